"""How good a simulated network is. Values only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Conditions:
    """What happens to messages and connections. Pairs are lowest and highest, both possible."""

    latency_ms: tuple[int, int] = (10, 10)
    """From sending to arriving, one way. A pipe keeps its order all the same."""
    dial_ms: tuple[int, int] = (20, 20)
    """From both sides having both descriptions to the open pipe."""
    notice_ms: tuple[int, int] = (200, 5_000)
    """After how long a side notices that its pipe was cut. What it sends meanwhile is lost."""
    verify_ms: tuple[int, int] = (0, 0)
    """How long a device takes to check one batch of signatures."""
    cut_chance: float = 0.0
    """For each message on a pipe: that the pipe is cut there, and the message and all behind it,
    in both directions, are lost."""
    dial_failure_chance: float = 0.0
    """For each pipe: that it never opens."""
    bytes_per_s: int = 0
    """What one side of a pipe sends in a second; 0 for as much as there is."""
    lost_signal_chance: float = 0.0
    """For each box that the server relays: that it does not arrive."""
    repeated_signal_chance: float = 0.0
    """For each box that the server relays: that it arrives twice."""
    relay_ms: tuple[int, int] = (0, 0)
    """What the server takes longer for each box that it relays: one may overtake another."""
    false_signal_chance: float = 0.0
    """For each box that the server relays: that it brings another, cut, oversized or old one, or
    many, or the same in another topic or as somebody else's."""
    false_word_chance: float = 0.0
    """For each welcome of the server: that it does not come, or for a while names another day; for
    each signal: that its sender is told, besides, that nobody has that address any more."""


CALM = Conditions()
"""Nothing is ever lost, and all takes the same time."""

STORMY = Conditions(
    latency_ms=(1, 300),
    dial_ms=(5, 2_000),
    verify_ms=(0, 50),
    cut_chance=0.03,
    dial_failure_chance=0.1,
    lost_signal_chance=0.05,
)
"""Pipes break all the time, and nothing arrives when it should."""

HOSTILE: Final = replace(
    STORMY,
    bytes_per_s=50_000,
    repeated_signal_chance=0.2,
    relay_ms=(0, 2_000),
    false_signal_chance=0.2,
    false_word_chance=0.1,
)
"""Besides, lines are slow, and the server lies."""

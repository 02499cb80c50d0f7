"""Numbers for the operator. Must not hold a topic, a box or an address."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from peerstack.signaling.wire import Refusal


@dataclass(slots=True)
class Stats:
    """Counted since the process started."""

    opened: int = 0
    """Connections let in."""
    relayed: int = 0
    """Messages handed on: an announcement counts once per recipient."""
    refused: Counter[Refusal] = field(default_factory=Counter)
    slow_readers: int = 0
    """Connections cut because they did not read what was sent to them."""
    passed: int = 0
    """Messages told to other processes."""
    unpassed: int = 0
    """Messages that could not be told to other processes."""
    heard: int = 0
    """Messages that other processes told."""
    foreign: int = 0
    """Messages in Redis that no server of this kind can have told."""

"""Numbers for the operator. Must not hold a topic, a box or an address."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from peerstack.signaling.wire import Refusal


@dataclass(slots=True)
class Stats:
    """Counted since the process started."""

    relayed: int = 0
    """Messages handed on: an announcement counts once per recipient."""
    refused: Counter[Refusal] = field(default_factory=Counter)
    slow_readers: int = 0
    """Connections cut because they did not read what was sent to them."""

"""Counts round trips: the one definition, for the benchmarks and for the tests that count.

From the first message of the group, the level that one side or the other shows first, to the
delivery of the last record (of the last level, where no record comes over), in round trips of the
link. The time that devices work, and that many bytes take, is left out. So this counts flights,
two to a round trip. The first level is in flight 1, and the other side's as much later as it was
sent later; any other message is one flight behind the latest of those that its sender had heard.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from peerstack.session.wire import Batch, Kind, Level, Message, Ranges, Want

_COUNTED: Final = (Level, Ranges, Want, Batch)
"""What is waited for: the others keep nobody from saying more, within a window of batches."""


class Event(NamedTuple):
    """A message of the session as it leaves one side, or reaches the other."""

    at: float
    is_sent: bool
    sender: str
    receiver: str
    message: Message


def round_trips(events: Iterable[Event], one_way: float) -> float:
    """Round trips until both sides were level, over a link that takes `one_way` for a message.

    Each side's events are in order; all are by one clock, in the unit of `one_way`.
    """
    heard = defaultdict[str, int](int)
    under_way = defaultdict[str, deque[int]](deque)
    began = None
    records = levels = 0
    # What is sent at the moment at which something came may be the answer to it.
    for at, is_sent, sender, receiver, message in sorted(events, key=lambda e: (e.at, e.is_sent)):
        if not isinstance(message, _COUNTED):
            continue
        if is_sent:
            began = at if began is None else began
            late = 0 if heard[sender] else round((at - began) / one_way)
            under_way[sender].append(1 + heard[sender] + late)
            continue
        flight = under_way[sender].popleft()
        heard[receiver] = max(heard[receiver], flight)
        if isinstance(message, Level):
            levels = max(levels, flight)
        elif isinstance(message, Batch) and message.kind is not Kind.STATEMENTS:
            records = max(records, flight)
    return (records or levels) / 2

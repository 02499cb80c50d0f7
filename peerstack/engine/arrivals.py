"""What peers sent and is being checked, apart from the turns in which it came and is admitted."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from peerstack import limits
from peerstack.engine.effects import Verify
from peerstack.engine.events import Ticket
from peerstack.engine.records import RecordsArrival
from peerstack.engine.statements import StatementsArrival
from peerstack.engine.turn import Turn
from peerstack.errors import Reason, RemoteError
from peerstack.keys import PublicKey
from peerstack.signaling.rendezvous import Link

Arrival = RecordsArrival | StatementsArrival

_CHECKED_AT_ONCE: Final = 3 * limits.WINDOW_BATCHES
"""Batches of one device; of one connection, it may send as many."""


class UnderWay(NamedTuple):
    """A batch that is being checked."""

    link: Link | None
    """The connection that it came by, if that is still there."""
    number: int
    arrival: Arrival
    key: PublicKey | None
    """Of the device that sent it, though it be gone; None for what waited here."""


class Arrivals:
    """All batches that are being checked. In memory alone: what is not admitted is not promised."""

    def __init__(self) -> None:
        self._under_way: dict[Ticket, UnderWay] = {}
        self._next_ticket = 0

    @property
    def most_of_one(self) -> int:
        """The most batches that are being checked of one device, or of what waited here."""
        return max(Counter(each.key for each in self._under_way.values()).values(), default=0)

    def check_room_untrusted(self, key: PublicKey) -> None:
        """Raise `RemoteError` where too much is being checked that the same key has sent.

        On any connection: by coming again, nobody has more of it checked at once.
        """
        if sum(each.key == key for each in self._under_way.values()) >= _CHECKED_AT_ONCE:
            raise RemoteError(Reason.TOO_MANY, "batches at once, on all its connections")

    def begin(self, turn: Turn, under_way: UnderWay) -> None:
        """Have a batch checked; `end` gives it back once that is done."""
        ticket = Ticket(self._next_ticket)
        self._next_ticket += 1
        self._under_way[ticket] = under_way
        turn.effects.append(Verify(ticket, under_way.arrival.checks))

    def end(self, ticket: Ticket) -> UnderWay:
        """A batch that was checked."""
        return self._under_way.pop(ticket)

    def forget(self, link: Link) -> None:
        """A connection is gone; what it sent and is being checked is still taken in."""
        for ticket, under_way in self._under_way.items():
            if under_way.link == link:
                self._under_way[ticket] = under_way._replace(link=None)

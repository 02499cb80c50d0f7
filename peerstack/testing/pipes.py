"""The simulated network: pipes between devices that delay, and are cut; partitions.

A stand-in for `peerstack.transport`: the two sides exchange descriptions that mean nothing, then
hold an ordered pipe whose binding no other pipe has. Knows no server and nothing of what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

from peerstack.keys import sha256
from peerstack.testing.conditions import Conditions
from peerstack.testing.dice import Dice

_DIAL_TIMEOUT_MS: Final = 15_000
_LATER = Callable[[int, Callable[[], None]], None]


class Holder(Protocol):
    """Who holds one end of a pipe."""

    name: str

    def opened(self, end: End) -> None:
        """The pipe is open."""

    def arrived(self, end: End, data: bytes) -> None:
        """The other side sent a message."""

    def closed(self, end: End, reason: str) -> None:
        """The pipe is no more, and this side did not end it; or it never opened."""


@dataclass(eq=False, slots=True)
class End:
    """One side of a pipe, or of an attempt at one."""

    holder: Holder
    link: int
    """The holder's name for the pipe."""
    dialled: bool
    text: str
    """What stands for this side's SDP."""
    other: End | None = field(default=None, repr=False)
    binding: bytes = b""
    is_open: bool = False
    is_cut: bool = False
    """Nothing passes any more, and what is not open never opens."""
    ended: bool = False
    """This side is done with it."""
    arrives_ms: int = 0
    """When the last message to this side arrives: no later one overtakes it."""
    sent_ms: float = 0
    """When all that this side has said is on its way."""


class Pipes:
    """All pipes of a world."""

    def __init__(self, later: _LATER, now: Callable[[], int], dice: Dice) -> None:
        """`later` has something done after so many milliseconds; `now` tells the time."""
        self.conditions = Conditions()
        self.on_send: Callable[[End, bytes], None] = lambda end, data: None
        """Told of each message as it is sent."""
        self._later = later
        self._now = now
        self._dice = dice
        self._offers: dict[str, End] = {}
        self._open: dict[End, None] = {}
        self._count = 0
        self._sides: tuple[frozenset[str], ...] = ()

    # --- Dialling. ------------------------------------------------------------------------------

    def offer(self, holder: Holder, link: int) -> End:
        """An end that waits for an answer. Its `text` is the offer."""
        end = self._end(holder, link, dialled=True)
        self._offers[end.text] = end
        return end

    def answer(self, holder: Holder, link: int, offer: str) -> End | None:
        """The end that answers an offer; None where there is no such offer."""
        dialler = self._offers.get(offer)
        if dialler is None or dialler.other is not None:
            return None
        end = self._end(holder, link, dialled=False)
        dialler.other, end.other = end, dialler
        return end

    def accept(self, dialler: End, answer: str) -> None:
        """The offer's side has the answer: the pipe opens after a while, or fails."""
        other = dialler.other
        if other is None or other.text != answer or dialler.ended:
            return
        failed = self._dice.happens(self.conditions.dial_failure_chance)
        if failed or not self.may_meet(dialler.holder.name, other.holder.name):
            self._later(_DIAL_TIMEOUT_MS, lambda: self._fail(dialler))
        else:
            wait_ms = self._dice.between(self.conditions.dial_ms)
            self._later(wait_ms, lambda: self._open_one_by_one(dialler))

    def connect(self, one: Holder, one_link: int, two: Holder, two_link: int) -> tuple[End, End]:
        """Open a pipe at once, without descriptions; the first side dialled it."""
        dialler = self.offer(one, one_link)
        answerer = self.answer(two, two_link, dialler.text)
        assert answerer is not None
        if self._join(dialler):
            dialler.holder.opened(dialler)
            answerer.holder.opened(answerer)
        return dialler, answerer

    def _end(self, holder: Holder, link: int, *, dialled: bool) -> End:
        self._count += 1
        kind = "offer" if dialled else "answer"
        return End(holder, link, dialled, f"{kind}:{holder.name}:{link}:{self._count}")

    def _open_one_by_one(self, dialler: End) -> None:
        """As over WebRTC: what the side that answered says last is what opens the other one."""
        if self._join(dialler):
            assert dialler.other is not None
            self._in_order(dialler, lambda: self._open_late(dialler))
            dialler.other.holder.opened(dialler.other)

    def _open_late(self, dialler: End) -> None:
        if dialler.is_open and not dialler.ended:
            dialler.holder.opened(dialler)

    def _join(self, dialler: End) -> bool:
        """Make one pipe of two ends; false where they may not meet, or one is gone."""
        other = dialler.other
        assert other is not None
        apart = not self.may_meet(dialler.holder.name, other.holder.name)
        if apart or any(end.is_cut or end.ended for end in (dialler, other)):
            self._fail(dialler)
            return False
        binding = sha256(dialler.text.encode(), other.text.encode())
        for end in (dialler, other):
            end.binding, end.is_open = binding, True
            self._open[end] = None
        return True

    def _fail(self, dialler: End) -> None:
        for end in (dialler, dialler.other):
            if end is not None:
                self._close(end, "it did not open")

    # --- Sending and ending. --------------------------------------------------------------------

    def send(self, end: End, data: bytes) -> None:
        """Send a message; a side that has ended sends nothing."""
        other = end.other
        if not end.is_open or end.ended or other is None:
            return
        self.on_send(end, data)
        if self._dice.happens(self.conditions.cut_chance):
            self.cut(end)
            return
        self._in_order(other, lambda: self._deliver(other, data), self._line_ms(end, len(data)))

    def end(self, end: End) -> None:
        """One side ends the pipe: what it sent before still arrives, then the other is told."""
        if end.ended:
            return
        end.ended = True
        self._open.pop(end, None)
        other = end.other
        if other is not None:
            self._in_order(other, lambda: self._close(other, "the other side ended it"))

    def cut(self, end: End) -> None:
        """The pipe breaks: nothing under way arrives, and both sides notice sooner or later.

        An attempt at one fails when it would have opened.
        """
        for side in filter(None, (end, end.other)):
            side.is_cut = True
            if side.is_open:
                side.is_open = False
                self._open.pop(side, None)
                wait_ms = self._dice.between(self.conditions.notice_ms)
                self._later(wait_ms, lambda side=side: self._close(side, "cut"))  # type: ignore[misc]

    def drop(self, holder: Holder) -> None:
        """A device is gone, with all its ends: its peers notice sooner or later."""
        for end in [end for end in self._open if end.holder is holder]:
            self.cut(end)

    def _line_ms(self, sender: End, size_bytes: int) -> int:
        """How long a message takes until it is on its way, behind those before it."""
        if self.conditions.bytes_per_s:
            begins_ms = max(sender.sent_ms, self._now())
            sender.sent_ms = begins_ms + size_bytes * 1000 / self.conditions.bytes_per_s
        return max(0, round(sender.sent_ms) - self._now())

    def _in_order(self, receiver: End, action: Callable[[], None], line_ms: int = 0) -> None:
        at_ms = self._now() + line_ms + self._dice.between(self.conditions.latency_ms)
        receiver.arrives_ms = max(receiver.arrives_ms, at_ms)
        self._later(receiver.arrives_ms - self._now(), action)

    def _deliver(self, end: End, data: bytes) -> None:
        if end.is_open and not end.ended:
            end.holder.arrived(end, data)

    def _close(self, end: End, reason: str) -> None:
        if not end.ended:
            end.ended, end.is_open = True, False
            self._open.pop(end, None)
            end.holder.closed(end, reason)

    # --- Partitions. ----------------------------------------------------------------------------

    def partition(self, sides: Collection[Collection[str]]) -> None:
        """Let only those meet who are on one side, or on none; the pipes of others are cut."""
        self._sides = tuple(frozenset(side) for side in sides)
        for end in list(self._open):
            if end.other and not self.may_meet(end.holder.name, end.other.holder.name):
                self.cut(end)

    def may_meet(self, one: str, two: str) -> bool:
        """Whether a pipe between these two is possible now."""
        places = [
            next((place for place, side in enumerate(self._sides) if name in side), None)
            for name in (one, two)
        ]
        return None in places or places[0] == places[1]

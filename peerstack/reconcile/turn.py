"""Puts the ranges of one turn into messages of bounded size. Knows no sets and no peers."""

from __future__ import annotations

from typing import Final

import msgspec

from peerstack import limits
from peerstack.reconcile.span import Span
from peerstack.reconcile.wire import Holds, Message, Range, Skip, asks

_ROOM_BYTES: Final = limits.RECONCILE_MESSAGE_BYTES - 512
"""For ranges; the rest is for a message's own frame, a skip, and the remainder of a turn."""

_encode: Final = msgspec.msgpack.Encoder().encode


class Turn:
    """What one side says before it is the other's turn: ranges in, bounded messages out."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.asks = False
        """Whether anything said is a question."""
        self._reached: bytes | None = b""
        self._lower = b""
        self._ranges: list[Range] = []
        self._size_bytes = 0
        self._ready: list[Message] = []
        self._closed = 0

    def add(self, span: Span, entry: Range) -> bool:
        """Say `entry` about `span`, which lies behind all that was said; false if there is no room.

        After a refusal only `add_remainder` may follow.
        """
        if self._merge(span, entry):
            return True
        size_bytes = len(_encode(entry))
        if self._overflows(size_bytes):
            if self._closed == limits.RECONCILE_TURN_MESSAGES - 1:
                return False
            self._close(last=False)
        self._append(span, entry, size_bytes)
        return True

    def add_remainder(self, span: Span, entry: Range) -> None:
        """Say `entry` about all that there was no room for; room for this one is kept free."""
        self._append(span, entry, len(_encode(entry)))

    def take(self) -> tuple[Message, ...]:
        """The messages that are full, once."""
        ready, self._ready = tuple(self._ready), []
        return ready

    def end(self) -> tuple[Message, ...]:
        """The remaining messages, of which the last one ends the turn."""
        self._close(last=True)
        return self.take()

    def _merge(self, span: Span, entry: Range) -> bool:
        if not self._ranges or span.lower != self._reached:
            return False
        before = self._ranges[-1]
        if not (isinstance(entry, Holds) and isinstance(before, Holds)):
            return False
        if bool(entry.count) != bool(before.count):
            return False
        merged = Holds(entry.upper, before.count + entry.count)
        self._size_bytes += len(_encode(merged)) - len(_encode(before))
        self._ranges[-1] = merged
        self._reached = span.upper
        return True

    def _overflows(self, size_bytes: int) -> bool:
        return (
            self._size_bytes + size_bytes > _ROOM_BYTES
            or len(self._ranges) + 4 > limits.RECONCILE_RANGES
        )

    def _append(self, span: Span, entry: Range, size_bytes: int) -> None:
        if not self._ranges:
            self._lower = span.lower
        elif span.lower != self._reached:
            skip = Skip(span.lower)
            self._ranges.append(skip)
            self._size_bytes += len(_encode(skip))
        self._ranges.append(entry)
        self._size_bytes += size_bytes
        self._reached = span.upper
        self.asks = self.asks or asks(entry)

    def _close(self, *, last: bool) -> None:
        self._ready.append(Message(self._lower, tuple(self._ranges), last))
        self._closed += 1
        self._lower, self._ranges, self._size_bytes = b"", [], 0

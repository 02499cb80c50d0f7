"""Listens in on the pipes of this process, to tell what crosses them when, and in how many turns.

Knows the messages of the session, so that it can tell what the handshake costs from the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from peerstack.session.wire import (
    Batch,
    Groups,
    Hello,
    Kind,
    Message,
    Proof,
    Ranges,
    Want,
    decode_untrusted,
)
from peerstack.transport.base import CloseReason, Pipe, PipeListener


class _Heard(NamedTuple):
    at_ns: int
    sent: bool
    data: bytes


class Tap:
    """All that crosses the pipes of this process from now on."""

    def __init__(self) -> None:
        self.opened_ns = 0
        """When the last channel opened."""
        self._heard: list[_Heard] = []
        send, listen = Pipe.send, Pipe.listen

        def tapped_send(pipe: Pipe, message: bytes) -> None:
            self.note(message, sent=True)
            send(pipe, message)

        def tapped_listen(pipe: Pipe, listener: PipeListener) -> None:
            self.opened_ns = time.monotonic_ns()
            listen(pipe, _Ear(self, listener))

        Pipe.send = tapped_send  # type: ignore[method-assign,assignment]
        Pipe.listen = tapped_listen  # type: ignore[method-assign,assignment]

    def note(self, data: bytes, *, sent: bool) -> None:
        """A message crosses."""
        self._heard.append(_Heard(time.monotonic_ns(), sent, data))

    def summary(self, level_ns: int) -> dict[str, Any]:
        """What it took until both were level, at `level_ns`: times in ms, bytes both ways."""
        messages = [(each, decode_untrusted(each.data)) for each in self._heard]
        # What follows the handshake concerns the one group that the two devices share.
        shared = [both for both in messages if not isinstance(both[1], Hello | Proof | Groups)]
        proven_ns = max(each.at_ns for each, said in messages if isinstance(said, Proof))
        return {
            "open_ms": (level_ns - self.opened_ns) / 1e6,
            "proven_ms": (level_ns - proven_ns) / 1e6,
            "group_bytes": sum(len(each.data) for each, _ in shared),
            "all_bytes": sum(len(each.data) for each, _ in messages),
            "round_trips": _flights(shared) / 2,
            "lacked_bytes": sum(_record_bytes(said) for each, said in shared if not each.sent),
        }


class _Ear:
    """Notes what arrives before the listener hears it."""

    def __init__(self, tap: Tap, listener: PipeListener) -> None:
        self._tap = tap
        self._listener = listener

    def message(self, message: bytes) -> None:
        self._tap.note(message, sent=False)
        self._listener.message(message)

    def drained(self) -> None:
        self._listener.drained()

    def closed(self, reason: CloseReason) -> None:
        self._listener.closed(reason)


def _flights(shared: Sequence[tuple[_Heard, Message]]) -> int:
    """One-way trips up to the last record that is brought over; two are a round trip.

    Both sides show their level at once: that is one flight, or the round trip of a no-op, in which
    each side hears of the other. After that, each change of direction is one more. What only ends
    the exchange keeps nobody waiting.
    """
    ways = [heard.sent for heard, said in shared if isinstance(said, Ranges | Want | Batch)]
    if not ways:
        return 2
    return 2 + sum(one != other for one, other in pairwise(ways))


def _record_bytes(message: Message) -> int:
    """Bodies and signatures as they are before compression."""
    if not isinstance(message, Batch) or message.kind is not Kind.RECORDS:
        return 0
    return sum(map(len, message.bodies)) + sum(map(len, message.signatures))

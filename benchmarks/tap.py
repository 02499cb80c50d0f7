"""Listens in on the pipes of this process, to tell what crosses them when.

Knows the messages of the session, so that it can tell what the handshake costs from the rest.
"""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any, NamedTuple

from peerstack.session.wire import (
    Batch,
    Groups,
    Hello,
    Kind,
    Message,
    Proof,
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
            "lacked_bytes": sum(_record_bytes(said) for each, said in shared if not each.sent),
        }

    def take(self) -> list[tuple[int, bool, str]]:
        """What has crossed since this was asked last: when, whether it was sent, and its bytes."""
        heard, self._heard = self._heard, []
        return [(each.at_ns, each.sent, b64encode(each.data).decode()) for each in heard]


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


def _record_bytes(message: Message) -> int:
    """Bodies and signatures as they are before compression."""
    if not isinstance(message, Batch) or message.kind is not Kind.RECORDS:
        return 0
    return sum(map(len, message.bodies)) + sum(map(len, message.signatures))

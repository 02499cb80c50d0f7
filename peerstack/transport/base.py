"""The transport interface: an ordered, reliable, bounded pipe of messages, and who listens to it.

Knows nothing of what the messages mean, nor of how the two ends found each other.
"""

from __future__ import annotations

import abc
import enum
from collections import deque
from typing import Protocol

from peerstack import limits
from peerstack.errors import InvalidValue, PipeClosed, PipeFull


class CloseReason(enum.StrEnum):
    """Why a pipe closed. Stable: counted in `status`."""

    LOCAL = "closed-here"
    REMOTE = "closed-by-peer"
    LOST = "peer-vanished"
    VIOLATION = "peer-broke-the-rules"


class PipeListener(Protocol):
    """What a pipe tells its owner, always on the pipe's event loop. Must not raise."""

    def message(self, message: bytes) -> None:
        """The next message of the peer: 1 to `limits.MESSAGE_BYTES` bytes, untrusted."""
        ...

    def drained(self) -> None:
        """What waits to be sent fell to `limits.PIPE_LOW_WATER_BYTES` after it was above."""
        ...

    def closed(self, reason: CloseReason) -> None:
        """The pipe closed. Said exactly once, whoever closed it; nothing follows."""
        ...


class Pipe(abc.ABC):
    """One connected pipe of messages between two devices.

    Messages arrive whole, once, in order, or the pipe closes. `binding` is 32 bytes that both
    ends compute alike and that no other pipe shares; a proof over it holds for this pipe only.
    `peerstack.testing.contract` checks all that is promised here.
    """

    def __init__(self, binding: bytes) -> None:
        """A pipe that is connected and that nobody listens to yet."""
        self.binding = binding
        self._listener: PipeListener | None = None
        self._ended: CloseReason | None = None
        self._held: deque[bytes] = deque()
        self._held_bytes = 0

    @property
    @abc.abstractmethod
    def buffered_bytes(self) -> int:
        """Bytes that were sent here and that the transport has not taken up yet."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Close, from any state and any number of times; return when nothing is left behind.

        What was sent before still goes out, as far as the peer takes it within a short bound.
        The listener hears `closed` at once and no message after it.
        """

    def listen(self, listener: PipeListener) -> None:
        """Name the one listener. It hears at once, within this call, what came before it."""
        self._listener = listener
        while self._held:
            listener.message(self._held.popleft())
        if self._ended is not None:
            listener.closed(self._ended)

    def send(self, message: bytes) -> None:
        """Queue a message of 1 to `limits.MESSAGE_BYTES` bytes; never blocks.

        Raises:
            InvalidValue: the message is empty or too large.
            PipeClosed: the pipe has closed.
            PipeFull: `limits.PIPE_BUFFER_BYTES` wait already; wait for `drained`, or hang up.
        """
        if self._ended is not None:
            raise PipeClosed(f"cannot send {len(message)} bytes: the pipe is {self._ended.value}")
        if not 1 <= len(message) <= limits.MESSAGE_BYTES:
            raise InvalidValue(
                f"a message of {len(message)} bytes cannot be sent; "
                f"1 to {limits.MESSAGE_BYTES} bytes can, so split it"
            )
        waiting = self.buffered_bytes
        if waiting + len(message) > limits.PIPE_BUFFER_BYTES:
            raise PipeFull(f"{waiting} bytes wait to be sent; wait for them to drain, or hang up")
        self._transmit(message)

    @abc.abstractmethod
    def _transmit(self, message: bytes) -> None:
        """Queue a message that `send` found good."""

    @abc.abstractmethod
    def _fail(self, reason: CloseReason) -> None:
        """Close without waiting, because the peer is gone or broke the rules."""

    def _arrived(self, message: bytes) -> None:
        """A transport calls this with each message of the peer."""
        if self._ended is not None:
            return
        if not 1 <= len(message) <= limits.MESSAGE_BYTES:
            self._fail(CloseReason.VIOLATION)
        elif self._listener is not None:
            self._listener.message(message)
        else:
            self._hold(message)

    def _hold(self, message: bytes) -> None:
        self._held_bytes += len(message)
        if self._held_bytes > limits.PIPE_BUFFER_BYTES:
            self._fail(CloseReason.VIOLATION)
        else:
            self._held.append(message)

    def _sank_low(self) -> None:
        """A transport calls this when its buffer falls to the low-water mark."""
        if self._ended is None and self._listener is not None:
            self._listener.drained()

    def _end(self, reason: CloseReason) -> None:
        """A transport calls this as the pipe closes, whoever closes it; only the first counts."""
        if self._ended is not None:
            return
        self._ended = reason
        if reason in (CloseReason.LOCAL, CloseReason.VIOLATION):
            self._held.clear()
        if self._listener is not None:
            self._listener.closed(reason)

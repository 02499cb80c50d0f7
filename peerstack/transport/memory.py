"""Two ends of a pipe within one event loop, for tests, examples and the contract's own sake.

Knows nothing of networks; each end delivers on the loop's next turn, as a socket would.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import deque

from peerstack import limits
from peerstack.transport.base import CloseReason, Pipe

_serials = itertools.count()


class MemoryPipe(Pipe):
    """One end of a pipe in memory. `connected_pair` makes both."""

    peer: MemoryPipe

    def __init__(self, binding: bytes) -> None:
        """An end whose `peer` is still to be set; needs a running event loop."""
        super().__init__(binding)
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._turn: asyncio.Handle | None = None
        self._gone = asyncio.Event()

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the loop's next turn."""
        return self._queued_bytes

    async def close(self) -> None:
        """Deliver what was sent, then close both ends."""
        self._end(CloseReason.LOCAL)
        self._deliver_soon()
        await self._gone.wait()

    def _transmit(self, message: bytes) -> None:
        self._queue.append(message)
        self._queued_bytes += len(message)
        self._deliver_soon()

    def _deliver_soon(self) -> None:
        if self._turn is None and not self._gone.is_set():
            self._turn = self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """Hand over what is queued now; what a listener sends meanwhile waits for another turn."""
        self._turn = None
        for _ in range(len(self._queue)):
            self._deliver_one(self._queue.popleft())
            if self._gone.is_set():
                return
        if self._ended is not None:
            self._vanish()
        elif self._queue:
            self._deliver_soon()

    def _deliver_one(self, message: bytes) -> None:
        was_high = self._queued_bytes > limits.PIPE_LOW_WATER_BYTES
        self._queued_bytes -= len(message)
        self.peer._arrived(message)
        if was_high and self._queued_bytes <= limits.PIPE_LOW_WATER_BYTES:
            self._sank_low()

    def _fail(self, reason: CloseReason) -> None:
        self._end(reason)
        self._vanish()

    def _vanish(self) -> None:
        for end in (self, self.peer):
            end._gone.set()
            end._queue.clear()
            end._queued_bytes = 0
        self.peer._end(CloseReason.REMOTE)


def connected_pair() -> tuple[MemoryPipe, MemoryPipe]:
    """Two ends of a new pipe on the running event loop, with a binding that no other pair has."""
    serial = next(_serials).to_bytes(8)
    binding = hashlib.sha256(b"peerstack/1 memory binding\0" + serial).digest()
    one, other = MemoryPipe(binding), MemoryPipe(binding)
    one.peer, other.peer = other, one
    return one, other

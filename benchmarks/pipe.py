"""A process with one end of a bare pipe: what the transport alone carries."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

from benchmarks import worker
from peerstack import limits
from peerstack.transport.base import CloseReason
from peerstack.transport.dialer import Dialer
from peerstack.transport.webrtc import WebRtcPipe

_AHEAD_BYTES: Final = 1024 * 1024
"""What a sender keeps in the pipe: about what the session has in flight."""


class End:
    """One end of one pipe."""

    def __init__(self) -> None:
        self._received_bytes = 0
        self._stirred = asyncio.Event()
        self._dialer: Dialer
        self._pipe: WebRtcPipe

    async def offer(self) -> str:
        """Begin a connection: SDP for the other end."""
        self._dialer = Dialer()
        return await self._dialer.offer()

    async def answer(self, offer: str) -> str:
        """Answer one: SDP for the other end."""
        self._dialer = Dialer()
        return await self._dialer.answer(offer)

    async def accept(self, answer: str) -> None:
        """Take the other end's answer."""
        await self._dialer.accept(answer)

    async def connect(self) -> None:
        """Wait for the pipe."""
        self._pipe = await self._dialer.opened()
        self._pipe.listen(self)

    async def send(self, size_bytes: int) -> None:
        """Send this much, which does not compress, in the largest messages."""
        message = os.urandom(limits.MESSAGE_BYTES)
        for _ in range(size_bytes // len(message)):
            while self._pipe.buffered_bytes > _AHEAD_BYTES:
                self._stirred.clear()
                await self._stirred.wait()
            self._pipe.send(message)

    async def receive(self, size_bytes: int) -> float:
        """Seconds from the first message to the last of this much."""
        start_s = 0.0
        while self._received_bytes < size_bytes:
            self._stirred.clear()
            await self._stirred.wait()
            start_s = start_s or time.perf_counter()
        return time.perf_counter() - start_s

    async def close(self) -> None:
        """Close the pipe."""
        await self._dialer.close()

    def message(self, message: bytes) -> None:
        self._received_bytes += len(message)
        self._stirred.set()

    def drained(self) -> None:
        self._stirred.set()

    def closed(self, reason: CloseReason) -> None:
        self._stirred.set()


if __name__ == "__main__":
    end = End()
    names = ("offer", "answer", "accept", "connect", "send", "receive", "close")
    worker.run({name: getattr(end, name) for name in names})

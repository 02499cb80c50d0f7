"""A real client of a real server that keeps what it was told, for tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from peerstack.signaling import wire
from peerstack.signaling.client import BackOff, SignalingClient, SignalingEvent

T = TypeVar("T")
WITHIN_S = 20.0
SOON = BackOff(first_ms=20, most_ms=40)


class SystemEntropy:
    """The operating system's entropy."""

    def draw(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)


class Device:
    """A client and the events that it reported."""

    def __init__(self, url: str, **options: Any) -> None:
        self.events: list[SignalingEvent] = []
        self._happened = asyncio.Event()
        options = {"back_off": SOON, **options}
        self.client = SignalingClient(url, self._on_event, SystemEntropy(), **options)

    @property
    def address(self) -> str:
        """Where this device is now."""
        return self.all(wire.Welcome)[-1].address

    def all(self, kind: type[T]) -> list[T]:
        """All events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def next(self, kind: type[T], number: int = 1) -> T:
        """The first (or a later) event of a kind, as soon as it is here."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.all(kind)) < number:
                self._happened.clear()
                await self._happened.wait()
        return self.all(kind)[number - 1]

    def _on_event(self, event: SignalingEvent) -> None:
        self.events.append(event)
        self._happened.set()


@asynccontextmanager
async def online(url: str, **options: Any) -> AsyncIterator[Device]:
    """A device that was welcomed by the server."""
    device = Device(url, **options)
    device.client.start()
    try:
        await device.next(wire.Welcome)
        yield device
    finally:
        await device.client.close()

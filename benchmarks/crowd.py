"""Many devices at one signaling server, or at several that act as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Final

from benchmarks.dialects import Device

_AT_ONCE: Final = 64
"""Connections that are being opened at a time."""
_PAIRS: Final = 100
"""Who talk at a time; each sends the next message once the one before has arrived."""
_PACE_S: Final = 0.005
_SETTLE_S: Final = 2.0
_NS_PER_MS: Final = 1e6


class Crowd:
    """Devices of one kind, all at these addresses."""

    def __init__(self, kind: type[Device], urls: Sequence[str]) -> None:
        self._kind = kind
        self._urls = cycle(urls)
        self.devices: list[Device] = []

    async def open(self, count: int) -> float:
        """Let so many more in; the seconds it took."""
        started = time.monotonic()
        waiting = iter([self._kind() for _ in range(count)])
        await asyncio.gather(*(self._enter(waiting) for _ in range(_AT_ONCE)))
        return time.monotonic() - started

    async def _enter(self, waiting: Iterator[Device]) -> None:
        for device in waiting:
            await device.enter(next(self._urls))
            self.devices.append(device)

    async def rest(self) -> None:
        """Wait until nothing is left to be done of what was said."""
        await asyncio.sleep(_SETTLE_S)

    async def relay(self, count: int) -> float:
        """Have so many messages relayed as fast as that goes; the seconds it took."""
        started = time.monotonic()
        chosen = self.devices[: 2 * _PAIRS]
        each = count // _PAIRS
        await asyncio.gather(
            *(_talk(a, b, each) for a, b in zip(chosen[::2], chosen[1::2], strict=True))
        )
        return time.monotonic() - started

    async def latencies_ms(self, count: int) -> list[float]:
        """How long each of so many messages takes, one after the other, at a pace."""
        return [await _latency_ms(*self.devices[:2]) for _ in range(count)]

    def close(self, count: int | None = None) -> None:
        """So many of the latest hang up, or all."""
        first = 0 if count is None else len(self.devices) - count
        for device in self.devices[first:]:
            device.close()
        del self.devices[first:]


async def _talk(one: Device, other: Device, count: int) -> None:
    message, left = one.message(other), count
    done = asyncio.get_running_loop().create_future()

    def hear() -> None:
        nonlocal left
        left -= 1
        if left:
            one.say(message)
        else:
            done.set_result(None)

    other.on_message = hear
    one.say(message)
    await done


async def _latency_ms(one: Device, other: Device) -> float:
    arrived = asyncio.get_running_loop().create_future()
    other.on_message = lambda: arrived.set_result(time.monotonic_ns())
    await asyncio.sleep(_PACE_S)
    message = one.message(other)
    sent = time.monotonic_ns()
    one.say(message)
    return float(await arrived - sent) / _NS_PER_MS

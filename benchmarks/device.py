"""A process with one device: `python -m benchmarks.device`, driven by `benchmarks.processes`."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from statistics import median
from typing import Any, Final

import peerstack
from benchmarks import worker
from benchmarks.notes import make_notes
from benchmarks.slow_link import SlowLink
from benchmarks.tap import Tap

_BULK: Final = 10_000
_TYPED: Final = ("bri chad", "garden", "money sto", "music pion ta")
_PATIENCE_S: Final = 600


class Device:
    """One device, from `open` to `close`, with one shared group."""

    def __init__(self) -> None:
        self._open = AsyncExitStack()
        self._node: peerstack.Node
        self._group: peerstack.Group
        self._link = SlowLink()
        self._tap: Tap

    async def open(
        self,
        path: str,
        name: str,
        server: str | None = None,
        search: dict[str, list[str]] | None = None,
    ) -> int:
        """Open a profile, offline without a server; the process's peak memory after that."""
        opening = peerstack.open(path, name, server, network=server is not None, search=search)
        self._node = await self._open.enter_async_context(opening)
        groups = await self._node.groups()
        self._group = groups[0] if groups else self._node.personal
        return worker.peak_bytes()

    async def close(self) -> int:
        """Close it; the process's peak memory."""
        await self._open.aclose()
        return worker.peak_bytes()

    async def found(self) -> None:
        """Found the group."""
        self._group = await self._node.create_group("Family")

    async def invite(self) -> str:
        """A link into the group."""
        return await self._group.invite()

    async def put_many(self, count: int) -> float:
        """Write notes, as many in a transaction as may be; seconds."""
        seconds = 0.0
        for first in range(0, count, _BULK):
            values = make_notes(min(_BULK, count - first), first=first)
            start_s = time.perf_counter()
            await self._group.put_many("note", values)
            seconds += time.perf_counter() - start_s
        return seconds

    async def put_each(self, count: int) -> float:
        """Write notes, each after the one before is stored; seconds."""
        values = make_notes(count)
        start_s = time.perf_counter()
        for value in values:
            await self._group.put("note", value)
        return time.perf_counter() - start_s

    async def search(self) -> float:
        """Search as a person types, a character more each time; the median, in seconds."""
        texts = [text[:end] for text in _TYPED for end in range(1, len(text) + 1)]
        took = []
        for text in texts:
            start_s = time.perf_counter()
            await self._group.search(text, "note")
            took.append(time.perf_counter() - start_s)
        return median(took)

    async def first_sync(self, link: str, count: int) -> dict[str, Any]:
        """Join, and wait until all is here: from the call on, so dialling is part of it."""
        start_s = time.perf_counter()
        cpu_s = time.process_time()
        self._group = await self._node.join(link)
        await self._group.wait_synced(_PATIENCE_S)
        seconds, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
        status = self._node.status()
        (standing,) = (each for each in status.groups if each.group == self._group.id)
        if standing.records < count:
            raise RuntimeError(f"level with {standing.records} of {count} records")
        (connection,) = status.connections
        crossed = connection.received_bytes + connection.sent_bytes
        return {"seconds": seconds, "cpu_s": cpu_s, "bytes": crossed}

    async def cpu(self) -> float:
        """CPU seconds of this process so far."""
        return time.process_time()

    async def slow_down(self, delay_ms: int) -> None:
        """Have what other devices send take so long from now on."""
        self._link.delay_s = delay_ms / 1000

    async def listen_in(self) -> None:
        """Keep what crosses the pipes that are opened from now on, for `overheard`."""
        self._tap = Tap()

    async def overheard(self) -> list[tuple[int, bool, str]]:
        """What has crossed since this was asked last."""
        return self._tap.take()

    async def resync(self, path: str, name: str, server: str) -> dict[str, Any]:
        """Open a profile whose group another device is online with, and wait until level."""
        self._tap = Tap()
        await self.open(path, name, server)
        await self._group.wait_synced(_PATIENCE_S)
        return self._tap.summary(time.monotonic_ns())

    async def edit(self, numbers: list[int]) -> None:
        """Edit the notes of these numbers."""
        for note in await self._group.find("note", {"number": peerstack.one_of(*numbers)}):
            await self._group.update(note.id, {"title": "edited " + note.value["title"]})

    async def edit_live(self, count: int, pace_ms: int) -> list[int]:
        """Edit notes at a pace; when each edit began, in monotonic ns."""
        notes = await self._group.find("note", limit=min(count, 50))
        began = []
        for number in range(count):
            place = number % len(notes)
            value = {**notes[place].value, "edit": number}
            began.append(time.monotonic_ns())
            notes[place] = await self._group.put("note", value, over=notes[place])
            await asyncio.sleep(pace_ms / 1000)
        return began

    async def subscribe(self) -> None:
        """Listen from now on for what `watch` returns."""
        self._changes = self._group.changes()

    async def watch(self, count: int) -> list[int]:
        """When each of the other's live edits was told of here, in monotonic ns."""
        seen = dict[int, int]()
        async for change in self._changes:
            seen[change.record.value["edit"]] = time.monotonic_ns()
            if len(seen) == count:
                break
        return [seen[number] for number in range(count)]

    async def wait_level(self) -> float:
        """Wait until the group is level with all that are connected; CPU seconds so far."""
        await self._group.wait_synced(_PATIENCE_S)
        return time.process_time()


if __name__ == "__main__":
    device = Device()
    names = [name for name in vars(Device) if not name.startswith("_")]
    worker.run({name: getattr(device, name) for name in names})

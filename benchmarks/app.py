"""A process with Family notes and one browser: `python -m benchmarks.app`, as `benchmarks.device`.

The browser asks the pages without a socket, so that what is measured is the app.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import httpx

from benchmarks import worker
from benchmarks.notes import make_notes
from family_notes.desk import Desk
from family_notes.model import Draft
from family_notes.transfer.form import Line, Parcel
from family_notes.transfer.job import Job, bring_in
from family_notes.web.app import make_app
from family_notes.web.walls import Door

_TURNS: Final = 9
_WORDS: Final = ("bri chad", "garden", "money sto")
_LIST: Final = 5
_EACH: Final = 10
"""Every tenth note has a list, and every hundredth is pinned."""
_PROBE_S: Final = 0.001


class App:
    """One desk with a family, whose pages are asked for."""

    def __init__(self) -> None:
        self._open = AsyncExitStack()
        self._desk: Desk
        self._browser: httpx.AsyncClient
        self._space = ""
        self._parcels: list[Parcel] = []
        self._blocked_s = 0.0
        self._probe: asyncio.Task[None]

    async def open(self, folder: str) -> float:
        """Open the desk in a folder; seconds until its first page could be asked for."""
        with _seconds() as taken:
            self._desk = await self._open.enter_async_context(Desk(Path(folder), network=False))
        door = Door("127.0.0.1:4321")
        transport = httpx.ASGITransport(make_app(self._desk, door))
        self._browser = await self._open.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=door.origin + door.path)
        )
        await self._browser.get(door.address)
        if self._desk.has_begun:
            self._space = (await self._desk.node.groups())[0].id
        self._probe = asyncio.create_task(self._watch_loop())
        return taken[0]

    async def close(self) -> None:
        """Close it."""
        self._probe.cancel()
        await self._open.aclose()

    async def found(self, count: int) -> None:
        """Found a family, and have notes ready for it."""
        await self._desk.begin("Ana")
        self._space = (await self._desk.node.create_group("The Millers")).id
        self._parcels = [
            Parcel(
                Draft(note["title"], note["text"], tuple(note["tags"])),
                [Line(word) for word in note["text"].split()[:_LIST]] if n % _EACH == 0 else (),
                pinned=n % _EACH**2 == 0 and n < _EACH**3,
            )
            for n, note in enumerate(make_notes(count))
        ]

    async def bring_in(self) -> float:
        """Import the notes; seconds."""
        family = await self._desk.node.group(self._space)
        with _seconds() as taken:
            await bring_in(family, self._parcels, Job("The Millers", len(self._parcels)))
        return taken[0]

    async def page(self, path: str) -> float:
        """Ask for a page of the family, a few times; the median of the seconds."""
        times = []
        for _ in range(_TURNS):
            with _seconds() as taken:
                answer = await self._browser.get(f"s/{self._space}/{path}")
            answer.raise_for_status()
            times.append(taken[0])
        return median(times)

    async def older(self) -> float:
        """Turn to older notes, page after page; the median of the seconds."""
        times = []
        path = f"s/{self._space}/"
        for _ in range(_TURNS):
            with _seconds() as taken:
                page = await self._browser.get(path)
            times.append(taken[0])
            if "more-notes" not in page.text:
                break
            link = page.text.split("more-notes")[1].split('href="')[1].split('"')[0]
            path = link.replace("&amp;", "&")
        return median(times)

    async def search(self) -> float:
        """Search for some words; the median of the seconds."""
        return median([await self.page(f"search?words={words}") for words in _WORDS])

    async def blocked(self) -> float:
        """The longest time since this was asked last in which the event loop did nothing else."""
        blocked_s, self._blocked_s = self._blocked_s, 0.0
        return blocked_s

    async def _watch_loop(self) -> None:
        while True:
            with _seconds() as taken:
                await asyncio.sleep(_PROBE_S)
            self._blocked_s = max(self._blocked_s, taken[0] - _PROBE_S)


@contextmanager
def _seconds() -> Iterator[list[float]]:
    """How long the block took, once it has ended."""
    taken: list[float] = []
    start_s = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - start_s)


if __name__ == "__main__":
    app = App()
    names = [name for name in vars(App) if not name.startswith("_")]
    worker.run({name: getattr(app, name) for name in names})

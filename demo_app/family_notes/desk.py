"""The profile on this machine: not begun yet, open, linked to a user's others, erased.

The folder has room for two profiles, and the file `current` says which of them is in use: so that
a machine can become a further device of its user and take along what was written before, without
a moment at which nothing is whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final, Self

import peerstack
from family_notes.model import INDEXES, ITEM, LABEL, NOTE, SEARCH
from family_notes.news import News

_NAMES: Final = ("notes", "notes-linked")
_BATCH: Final = 500


class NotBegun(Exception):
    """There is no profile here yet: somebody has to say what to call them first."""


class Desk:
    """The profile in a folder, and what goes on beside the pages. An async context manager."""

    def __init__(self, folder: Path, servers: Sequence[str] = (), *, network: bool = True) -> None:
        self.news = News()
        self._folder = folder
        self._servers = list(servers)
        self._network = network
        self._node: peerstack.Node | None = None
        self._open = AsyncExitStack()
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._remove_what_is_left()
        if self._path.exists():
            await self._enter(None)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._leave()

    @property
    def node(self) -> peerstack.Node:
        """The node of the profile. Raises `NotBegun`."""
        if self._node is None:
            raise NotBegun
        return self._node

    @property
    def has_begun(self) -> bool:
        """Whether there is a profile here."""
        return self._node is not None

    async def begin(self, name: str) -> None:
        """Make the profile. Without effect where there is one. Raises `peerstack.InvalidValue`."""
        if self._node is None:
            await self._enter(name)

    async def link(
        self, link: str, on_digits: Callable[[str], None], on_problem: Callable[[str], None]
    ) -> None:
        """Become a further device of a user, and take along what is here.

        Raises `peerstack.NotAllowed` where this profile is in a family, in which its user is
        somebody else; and as `peerstack.open_linked`.
        """
        if self._node is not None and await self._node.groups():
            raise peerstack.NotAllowed(
                "you are in a family on this device already: leave it first, or erase this device"
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._other_path
        opening = peerstack.open_linked(
            path, link, on_digits, on_problem=on_problem, indexes=INDEXES, search=SEARCH
        )
        async with opening as node:
            if self._node is not None:
                await _copy(self._node.personal, node.personal)
        await self._leave()
        fresh = self._pointer.with_suffix(".new")
        fresh.write_text(path.stem, encoding="utf-8")
        fresh.replace(self._pointer)
        await self._enter(None)
        await self._remove_what_is_left()

    async def restore(self, backup: Path, password: str) -> None:
        """Make the profile from a backup: a further device of its user, with all their notes.

        Raises `peerstack.NotAllowed` where there is a profile, and as `peerstack.restore`.
        """
        self._check_empty()
        await asyncio.to_thread(peerstack.restore, backup, password, self._path)
        await self._enter(None)

    async def recover(self, words: str, kit: Path, *, end_others: bool) -> None:
        """Take a user back by the recovery phrase and the kit; all their other devices may end.

        Raises `peerstack.NotAllowed` where there is a profile, and as `peerstack.recover`.
        """
        self._check_empty()
        known = await asyncio.to_thread(peerstack.read_kit, kit, words)
        lost = [each.id for each in known.devices if end_others and each.end_ms is None]
        opening = peerstack.recover(
            *(self._path, words, kit),
            revoke=lost,
            network=self._network,
            indexes=INDEXES,
            search=SEARCH,
        )
        await self._enter_by(opening)

    async def erase(self) -> None:
        """Remove the profile from this machine: keys, notes, everything."""
        node = self.node
        await self._stop_watching()
        self._node = None
        await node.wipe()
        await self._open.aclose()
        self._pointer.unlink(missing_ok=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside the pages, until it is done or the app ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- Opening and closing. -------------------------------------------------------------------

    @property
    def _pointer(self) -> Path:
        return self._folder / "current"

    @property
    def _path(self) -> Path:
        name = self._pointer.read_text(encoding="utf-8") if self._pointer.exists() else ""
        return self._folder / f"{name if name in _NAMES else _NAMES[0]}.db"

    @property
    def _other_path(self) -> Path:
        (other,) = (name for name in _NAMES if name != self._path.stem)
        return self._folder / f"{other}.db"

    def _check_empty(self) -> None:
        if self._node is not None:
            raise peerstack.NotAllowed("there are notes on this device: erase it first")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def _enter(self, name: str | None) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        opening = peerstack.open(
            self._path, name, self._servers, network=self._network, indexes=INDEXES, search=SEARCH
        )
        await self._enter_by(opening)

    async def _enter_by(self, opening: AbstractAsyncContextManager[peerstack.Node]) -> None:
        self._node = await self._open.enter_async_context(opening)
        self.news.status = self._node.status()
        self._watching = asyncio.create_task(self.news.watch(self._node))

    async def _leave(self) -> None:
        await self._stop_watching()
        self._node = None
        await self._open.aclose()

    async def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def _remove_what_is_left(self) -> None:
        """What a linking that was cut short, or the profile before it, has left."""
        with suppress(peerstack.PeerstackError):
            await asyncio.to_thread(peerstack.wipe, self._other_path)


async def _copy(source: peerstack.Group, target: peerstack.Group) -> None:
    """Write the private notes of one profile into another, as new records."""
    ids: dict[str, str] = {}
    for type in (NOTE, ITEM, LABEL):
        found = await source.find(type, order_by="id")
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            values = [_moved(each.value, ids) for each in batch]
            copies = await target.put_many(type, values)
            ids |= {old.id: new.id for old, new in zip(batch, copies, strict=True)}


def _moved(value: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """A value that names the note that it belongs to by its new id."""
    note = value.get("note")
    return value | {"note": ids[note]} if isinstance(note, str) and note in ids else value

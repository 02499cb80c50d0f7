"""What apps subscribe to: changes in the order in which they happened, and living lists.

Both read from the store when told that there is something new, so a slow reader costs no memory and
misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec

from peerstack.errors import NodeClosed
from peerstack.ids import GroupId
from peerstack.record import Record
from peerstack.store import LoggedChange

T = TypeVar("T")

_PAGE: Final = 200


class Change(msgspec.Struct, frozen=True):
    """One change of a group's records on this device.

    `conflict`: the author of `record` had not seen `previous`, which lost to it. Where a loser came
    late, `record` is what was live already. `origin` is "local", or the id of the device that it
    came from.

    `withdrawn`: this version left because its author had no right to it; `record` is the version
    that left. Where an older one is live again in its place, that is the next change of the record:
    `record` is what returned, and `previous` what left.
    """

    record: Record
    previous: Record | None
    origin: str
    conflict: bool
    seq: int
    withdrawn: bool = False


class Bell:
    """Wakes everyone who waits for something new."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Wake all."""
        for event in self._waiting:
            event.set()

    def subscribe(self) -> Subscription:
        """From now on, no ring is missed."""
        return Subscription(self._waiting)


class Subscription:
    """One waiter. `wait` returns at once if there was a ring since the last time."""

    def __init__(self, waiting: set[asyncio.Event]) -> None:
        self._waiting = waiting
        self._event = asyncio.Event()
        waiting.add(self._event)

    async def wait(self) -> None:
        """Wait for a ring."""
        await self._event.wait()
        self._event.clear()

    def end(self) -> None:
        """Wait no more."""
        self._waiting.discard(self._event)


ReadChanges = Callable[[int, GroupId, int], Awaitable[Sequence[LoggedChange]]]
Find = Callable[[], Awaitable[list[Record]]]


async def changes(
    group: GroupId, since: int, read: ReadChanges, subscription: Subscription
) -> AsyncIterator[Change]:
    """Changes behind `since`, then each as it happens, until the node is closed."""
    try:
        while True:
            page = await read(since, group, _PAGE)
            for logged in page:
                since = logged.seq
                if not logged.record.is_reserved:
                    yield _change(logged)
            if len(page) < _PAGE:
                await subscription.wait()
    except NodeClosed:
        return
    finally:
        subscription.end()


async def living(look: Callable[[], Awaitable[T]], subscription: Subscription) -> AsyncIterator[T]:
    """What there is to see now, and again after each ring, until the node is closed."""
    try:
        while True:
            yield await look()
            await subscription.wait()
    except NodeClosed:
        return
    finally:
        subscription.end()


async def living_list(find: Find, subscription: Subscription) -> AsyncIterator[list[Record]]:
    """The list now, and again after each change that alters it, until the node is closed."""
    shown: list[Record] | None = None
    try:
        while True:
            found = await find()
            if shown is None or [r.hash for r in found] != [r.hash for r in shown]:
                shown = found
                yield found
            await subscription.wait()
    except NodeClosed:
        return
    finally:
        subscription.end()


def _change(logged: LoggedChange) -> Change:
    previous = Record.of(logged.previous) if logged.previous else None
    return Change(
        Record.of(logged.record),
        previous,
        logged.origin,
        logged.conflict,
        logged.seq,
        logged.withdrawn,
    )

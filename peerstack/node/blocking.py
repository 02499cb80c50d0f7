"""The same API, blocking, for programs without an event loop; usable from any thread.

A node runs on an event loop in a thread of its own; each call here waits for the same call there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from peerstack.groups.statements import RoleName
from peerstack.identity import Fingerprint, User
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.node.backup import OnProgress
from peerstack.node.enrol import LINK_S, open_linked
from peerstack.node.feed import Change
from peerstack.node.group import Group, Where
from peerstack.node.invites import InviteInfo
from peerstack.node.linking import Linking
from peerstack.node.node import Node, Preview
from peerstack.node.node import open as open_node
from peerstack.node.people import AddressBook, DeviceInfo, Member, Reached
from peerstack.node.qr import QrCode
from peerstack.node.quarantine import QuarantinedRecord
from peerstack.node.restore import recover
from peerstack.node.status import Status
from peerstack.record import JsonObject, Record
from peerstack.store import BrokenVersion

if TYPE_CHECKING:
    from peerstack.node.diagnosis import Diagnosis

T = TypeVar("T")


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="peerstack-loop")
        self._thread.daemon = True
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it there, and wait for it here."""
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def iterate(self, stream: AsyncIterator[T]) -> Iterator[T]:
        """Its items, one by one."""
        steps = _Steps(stream)
        try:
            while True:
                try:
                    yield self.wait(steps.next())
                except StopAsyncIteration:
                    return
        finally:
            if not self._loop.is_closed():
                self.wait(steps.end())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Steps(Generic[T]):
    """A stream that is stepped through from outside of its loop."""

    def __init__(self, stream: AsyncIterator[T]) -> None:
        self._stream = stream
        self._step: asyncio.Task[Any] | None = None

    async def next(self) -> T:
        """Its next item."""
        self._step = asyncio.current_task()
        return await anext(self._stream)

    async def end(self) -> None:
        """Close it, once nobody waits for an item: Ctrl-C leaves a step that is under way."""
        if self._step is not None and not self._step.done():
            # Once: it may be closing, which a second time would cut short.
            if not self._step.cancelling():
                self._step.cancel()
            await asyncio.wait({self._step})
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


@contextmanager
def open_sync(
    path: str | Path,
    name: str | User | None = None,
    server: str | Sequence[str] | None = None,
    passphrase: str | None = None,
    *,
    network: bool = True,
    indexes: Mapping[str, Sequence[str]] | None = None,
    search: Mapping[str, Sequence[str]] | None = None,
    address_book: AddressBook | None = None,
) -> Iterator[SyncNode]:
    """As `peerstack.open`, as an ordinary context manager.

    The address book is called in the thread in which the node runs.
    """
    opening = open_node(
        path,
        name,
        server,
        passphrase,
        network=network,
        indexes=indexes,
        search=search,
        address_book=address_book,
    )
    with _opened(opening) as node:
        yield node


@contextmanager
def open_linked_sync(
    path: str | Path,
    link: str,
    on_digits: Callable[[str], None],
    device_name: str | None = None,
    passphrase: str | None = None,
    *,
    timeout: float = LINK_S,
    on_problem: Callable[[str], None] | None = None,
    indexes: Mapping[str, Sequence[str]] | None = None,
    search: Mapping[str, Sequence[str]] | None = None,
    address_book: AddressBook | None = None,
) -> Iterator[SyncNode]:
    """As `peerstack.open_linked`, as an ordinary context manager.

    `on_digits` and `on_problem` are called in the thread in which the node runs.
    """
    opening = open_linked(
        path,
        link,
        on_digits,
        device_name,
        passphrase,
        timeout=timeout,
        on_problem=on_problem,
        indexes=indexes,
        search=search,
        address_book=address_book,
    )
    with _opened(opening) as node:
        yield node


@contextmanager
def recover_sync(
    path: str | Path,
    phrase: str | Sequence[str],
    kit: str | Path,
    *,
    revoke: Collection[DeviceId] = (),
    keep: Collection[DeviceId] | None = None,
    device_name: str | None = None,
    passphrase: str | None = None,
    network: bool = True,
    indexes: Mapping[str, Sequence[str]] | None = None,
    search: Mapping[str, Sequence[str]] | None = None,
    address_book: AddressBook | None = None,
) -> Iterator[SyncNode]:
    """As `peerstack.recover`, as an ordinary context manager."""
    opening = recover(
        path,
        phrase,
        kit,
        revoke=revoke,
        keep=keep,
        device_name=device_name,
        passphrase=passphrase,
        network=network,
        indexes=indexes,
        search=search,
        address_book=address_book,
    )
    with _opened(opening) as node:
        yield node


@contextmanager
def _opened(opening: AbstractAsyncContextManager[Node]) -> Iterator[SyncNode]:
    loop = _Loop()
    try:
        node = loop.wait(_enter(opening))
        try:
            yield SyncNode(node, loop)
        finally:
            loop.wait(_leave(opening))
    finally:
        loop.close()


async def _enter(opening: AbstractAsyncContextManager[Node]) -> Node:
    return await opening.__aenter__()


async def _leave(opening: AbstractAsyncContextManager[Node]) -> None:
    await opening.__aexit__(None, None, None)


class SyncNode:
    """As `Node`, blocking."""

    def __init__(self, node: Node, loop: _Loop) -> None:
        self._node = node
        self._loop = loop
        self.personal = SyncGroup(node.personal, loop)
        """The group of one's own devices alone."""

    @property
    def user(self) -> User:
        """As `Node.user`."""
        return self._node.user

    @property
    def server_urls(self) -> tuple[str, ...]:
        """As `Node.server_urls`."""
        return self._node.server_urls

    def create_group(self, name: str) -> SyncGroup:
        """As `Node.create_group`."""
        return SyncGroup(self._loop.wait(self._node.create_group(name)), self._loop)

    def diagnose(self) -> Diagnosis:
        """As `Node.diagnose`."""
        return self._loop.wait(self._node.diagnose())

    def groups(self) -> list[SyncGroup]:
        """As `Node.groups`."""
        return [SyncGroup(group, self._loop) for group in self._loop.wait(self._node.groups())]

    def former_groups(self) -> list[SyncGroup]:
        """As `Node.former_groups`."""
        found = self._loop.wait(self._node.former_groups())
        return [SyncGroup(group, self._loop) for group in found]

    def group(self, id: str) -> SyncGroup:
        """As `Node.group`."""
        return SyncGroup(self._loop.wait(self._node.group(id)), self._loop)

    def fingerprint(self, user: UserId | None = None) -> Fingerprint:
        """As `Node.fingerprint`."""
        return self._loop.wait(self._node.fingerprint(user))

    def verify(self, user: UserId, fingerprint: Fingerprint | None = None) -> None:
        """As `Node.verify`."""
        self._loop.wait(self._node.verify(user, fingerprint))

    def unverify(self, user: UserId) -> None:
        """As `Node.unverify`."""
        self._loop.wait(self._node.unverify(user))

    def devices(self) -> list[DeviceInfo]:
        """As `Node.devices`."""
        return self._loop.wait(self._node.devices())

    def rename_device(self, id: str, name: str) -> None:
        """As `Node.rename_device`."""
        self._loop.wait(self._node.rename_device(id, name))

    def link_device(self, *, full: bool = True) -> SyncLinking:
        """As `Node.link_device`."""
        return SyncLinking(self._loop.wait(self._node.link_device(full=full)), self._loop)

    def revoke_device(self, id: str, *, force: bool = False) -> None:
        """As `Node.revoke_device`."""
        self._loop.wait(self._node.revoke_device(id, force=force))

    def add_server(self, url: str) -> None:
        """As `Node.add_server`."""
        self._loop.wait(self._node.add_server(url))

    def preview(self, link: str) -> Preview:
        """As `Node.preview`."""
        return self._node.preview(link)

    def join(self, link: str, *, timeout: float = 30.0) -> SyncGroup:
        """As `Node.join`."""
        return SyncGroup(self._loop.wait(self._node.join(link, timeout=timeout)), self._loop)

    def wait_synced(self, timeout: float | None = 30, *, group: GroupId | None = None) -> None:
        """As `Node.wait_synced`."""
        self._loop.wait(self._node.wait_synced(timeout, group=group))

    def status(self) -> Status:
        """As `Node.status`."""

        async def ask() -> Status:
            return self._node.status()

        return self._loop.wait(ask())

    def live_status(self) -> Iterator[Status]:
        """As `Node.live_status`."""

        async def subscribe() -> AsyncIterator[Status]:
            return self._node.live_status()

        return self._loop.iterate(self._loop.wait(subscribe()))

    def check(self) -> list[BrokenVersion]:
        """As `Node.check`."""
        return self._loop.wait(self._node.check())

    def backup(
        self, path: str | Path, password: str, *, on_progress: OnProgress | None = None
    ) -> None:
        """As `Node.backup`. `on_progress` is called in the thread in which the node runs."""
        self._loop.wait(self._node.backup(path, password, on_progress=on_progress))

    def recovery_phrase(self) -> list[str]:
        """As `Node.recovery_phrase`."""
        return self._loop.wait(self._node.recovery_phrase())

    def confirm_recovery(self, words: Mapping[int, str]) -> None:
        """As `Node.confirm_recovery`."""
        self._loop.wait(self._node.confirm_recovery(words))

    def write_kit(self, path: str | Path) -> None:
        """As `Node.write_kit`."""
        self._loop.wait(self._node.write_kit(path))

    def keep_device(self, device: DeviceId, *, until: datetime | None = None) -> None:
        """As `Node.keep_device`."""
        self._loop.wait(self._node.keep_device(device, until=until))

    def wipe(self) -> None:
        """As `Node.wipe`."""
        self._loop.wait(self._node.wipe())

    def close(self) -> None:
        """As `Node.close`."""
        self._loop.wait(self._node.close())


class SyncLinking:
    """As `Linking`, blocking; an ordinary context manager."""

    def __init__(self, linking: Linking, loop: _Loop) -> None:
        self._linking = linking
        self._loop = loop
        self.link = linking.link
        """As `Linking.link`."""

    def __repr__(self) -> str:
        return f"Sync{self._linking!r}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def qr(self) -> QrCode:
        """As `Linking.qr`."""
        return self._linking.qr()

    def digits(self, timeout: float | None = None) -> str:
        """As `Linking.digits`."""
        return self._loop.wait(self._linking.digits(timeout))

    @property
    def device_name(self) -> str:
        """As `Linking.device_name`."""
        return self._linking.device_name

    @property
    def is_current(self) -> bool:
        """As `Linking.is_current`."""
        return self._linking.is_current

    @property
    def turned_away(self) -> int:
        """As `Linking.turned_away`."""
        return self._linking.turned_away

    def confirm(self) -> DeviceInfo:
        """As `Linking.confirm`."""
        return self._loop.wait(self._linking.confirm())

    def completed(self, timeout: float | None = 30) -> None:
        """As `Linking.completed`."""
        self._loop.wait(self._linking.completed(timeout))

    def refuse(self) -> None:
        """As `Linking.refuse`."""
        self._loop.wait(self._linking.refuse())

    def close(self) -> None:
        """As `Linking.close`."""
        self._loop.wait(self._linking.close())


class SyncGroup:
    """As `Group`, blocking."""

    def __init__(self, group: Group, loop: _Loop) -> None:
        self._group = group
        self._loop = loop
        self.id = group.id
        self.name = group.name

    def __repr__(self) -> str:
        return f"Sync{self._group!r}"

    def put(
        self, type: str, value: JsonObject, *, over: Record | Sequence[Record] | None = None
    ) -> Record:
        """As `Group.put`."""
        return self._loop.wait(self._group.put(type, value, over=over))

    def put_many(self, type: str, values: Sequence[JsonObject]) -> list[Record]:
        """As `Group.put_many`."""
        return self._loop.wait(self._group.put_many(type, values))

    def update(self, id: str, fields: JsonObject) -> Record:
        """As `Group.update`."""
        return self._loop.wait(self._group.update(id, fields))

    def delete(self, id: str) -> None:
        """As `Group.delete`."""
        self._loop.wait(self._group.delete(id))

    def get(self, id: str) -> Record | None:
        """As `Group.get`."""
        return self._loop.wait(self._group.get(id))

    def find(
        self,
        type: str,
        where: Where | None = None,
        *,
        order_by: str = "modified",
        limit: int | None = None,
        after: Record | None = None,
    ) -> list[Record]:
        """As `Group.find`."""
        found = self._group.find(type, where, order_by=order_by, limit=limit, after=after)
        return self._loop.wait(found)

    def search(
        self, text: str, type: str | None = None, *, limit: int = 50, offset: int = 0
    ) -> list[Record]:
        """As `Group.search`."""
        return self._loop.wait(self._group.search(text, type, limit=limit, offset=offset))

    def types(self) -> dict[str, int]:
        """As `Group.types`."""
        return self._loop.wait(self._group.types())

    def live(
        self,
        type: str,
        where: Where | None = None,
        *,
        order_by: str = "modified",
        limit: int | None = None,
    ) -> Iterator[list[Record]]:
        """As `Group.live`."""

        async def subscribe() -> AsyncIterator[list[Record]]:
            return self._group.live(type, where, order_by=order_by, limit=limit)

        return self._loop.iterate(self._loop.wait(subscribe()))

    def changes(self, since: int | None = None) -> Iterator[Change]:
        """As `Group.changes`."""

        async def subscribe() -> AsyncIterator[Change]:
            return self._group.changes(since)

        return self._loop.iterate(self._loop.wait(subscribe()))

    def history(self, id: str) -> list[Record]:
        """As `Group.history`."""
        return self._loop.wait(self._group.history(id))

    def conflicts(self, id: str | None = None) -> list[Record]:
        """As `Group.conflicts`."""
        return self._loop.wait(self._group.conflicts(id))

    def quarantine(
        self, *, limit: int = 100, after: QuarantinedRecord | None = None
    ) -> list[QuarantinedRecord]:
        """As `Group.quarantine`."""
        return self._loop.wait(self._group.quarantine(limit=limit, after=after))

    def readmit(self, records: Sequence[QuarantinedRecord]) -> None:
        """As `Group.readmit`."""
        self._loop.wait(self._group.readmit(records))

    def invite(
        self,
        role: RoleName = "writer",
        *,
        expires: timedelta | None = timedelta(days=7),
        uses: int | None = None,
    ) -> str:
        """As `Group.invite`."""
        return self._loop.wait(self._group.invite(role, expires=expires, uses=uses))

    def invites(self) -> list[InviteInfo]:
        """As `Group.invites`."""
        return self._loop.wait(self._group.invites())

    def end_invite(self, id: str) -> None:
        """As `Group.end_invite`."""
        self._loop.wait(self._group.end_invite(id))

    def set_role(self, user: str, role: RoleName) -> None:
        """As `Group.set_role`."""
        self._loop.wait(self._group.set_role(user, role))

    def remove(self, user: str) -> None:
        """As `Group.remove`."""
        self._loop.wait(self._group.remove(user))

    def leave(self) -> None:
        """As `Group.leave`."""
        self._loop.wait(self._group.leave())

    def erase(self) -> None:
        """As `Group.erase`."""
        self._loop.wait(self._group.erase())

    def membership(self) -> str:
        """As `Group.membership`."""
        return self._loop.wait(self._group.membership())

    def members(self) -> list[Member]:
        """As `Group.members`."""
        return self._loop.wait(self._group.members())

    def reached(self, id: str) -> Reached:
        """As `Group.reached`."""
        return self._loop.wait(self._group.reached(id))

    def reached_many(self, ids: Sequence[str]) -> dict[str, Reached]:
        """As `Group.reached_many`."""
        return self._loop.wait(self._group.reached_many(ids))

    def wait_synced(self, timeout: float | None = 30) -> None:
        """As `Group.wait_synced`."""
        self._loop.wait(self._group.wait_synced(timeout))

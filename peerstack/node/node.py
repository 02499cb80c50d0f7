"""The public face of one device: open a profile, find groups in it, wait, ask how things stand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from peerstack.engine import (
    Engine,
    Turn,
    joining,
    own_groups,
    parting,
    profile,
    writing,
)
from peerstack.engine import status as standings
from peerstack.engine.status import Connection
from peerstack.errors import (
    JoinPending,
    NotFound,
    NotSynced,
)
from peerstack.groups.invites import decode_untrusted_link
from peerstack.groups.statements import RoleName
from peerstack.identity import User
from peerstack.ids import DeviceId, GroupId, is_ulid
from peerstack.node import feed, people, wiping
from peerstack.node.files import Files, first_keys, open_files
from peerstack.node.group import Group
from peerstack.node.myself import Myself
from peerstack.node.people import AddressBook
from peerstack.node.ports import SystemEntropy
from peerstack.node.status import (
    Status,
    advice,
    broken_identities,
    broken_versions,
    endings,
    key_changes,
    problems,
)
from peerstack.signaling.address import checked_urls, split_token

if TYPE_CHECKING:
    from peerstack.node.diagnosis import Diagnosis
    from peerstack.signaling.rendezvous import Link

T = TypeVar("T")

_log = logging.getLogger("peerstack")

_JOIN_S: Final = 30.0
_READERS: Final = 2


class Preview(msgspec.Struct, frozen=True):
    """What an invite link says, before joining: a hint, until a member of the group is met."""

    group: GroupId
    group_name: str
    inviter_name: str
    role: RoleName
    servers: tuple[str, ...]


@asynccontextmanager
async def open(
    path: str | Path,
    name: str | User | None = None,
    server: str | Sequence[str] | None = None,
    passphrase: str | None = None,
    *,
    network: bool = True,
    indexes: Mapping[str, Sequence[str]] | None = None,
    search: Mapping[str, Sequence[str]] | None = None,
    address_book: AddressBook | None = None,
) -> AsyncIterator[Node]:
    """Open the profile at `path`, making it where there is none, as an async context manager.

    `name` is what others see, and counts when the identity is made (a `User` can be passed in
    instead). `server` is the address of one signaling server or more, with their access tokens if
    they ask for one (`https://TOKEN@host`); they are remembered.
    `passphrase` seals the secrets on disk. With `network=False` nothing is connected, and other
    processes may have the profile open too. `indexes` names, by type of record, fields of the value
    that `find` looks up fast, and `search` those whose text `Group.search` looks in, what counts
    most first; where that was declared otherwise before, the index is made anew, which takes some
    seconds for 100,000 records. `address_book` says what the app calls a user (None: whatever they
    call themselves); it is called on the event loop, so it has to be quick, and what it raises
    comes out of whatever asked for the name.

    Raises `ProfileInUse`, `ProfileLocked`, `InvalidValue` or `StoreError`.
    """
    urls = [server] if isinstance(server, str) else list(server or ())

    def open_or_make() -> Files:
        return open_files(
            Path(path), lambda: first_keys(name), passphrase, network, indexes, search
        )

    node = await start_node(open_or_make, urls, address_book)
    try:
        yield node
    finally:
        await node.close()


async def start_node(
    open_or_make: Callable[[], Files],
    servers: Sequence[str],
    address_book: AddressBook | None,
    introduce: Callable[[Turn], None] | None = None,
) -> Node:
    """The node of a profile that is opened here. For the framework's own use.

    `introduce` is what begins in the store, where that is not what begins with any profile.
    """
    files = await _opened(open_or_make)
    node = Node(files, address_book)
    restores = files.keys.restores
    try:
        await node._start(servers, introduce or (lambda turn: profile.introduce(turn, restores)))
    except BaseException:
        await node.close()
        raise
    return node


async def _opened(open_or_make: Callable[[], Files]) -> Files:
    opening = asyncio.ensure_future(asyncio.to_thread(open_or_make))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # A thread goes on all the same: nobody is to remove the folder, or open it, before its end.
        await asyncio.wait({opening})
        if opening.exception() is None:
            await asyncio.to_thread(opening.result().close)
        raise


class Node(Myself):
    """One device of one user. Get one from `peerstack.open`; use it from one event loop."""

    def __init__(self, files: Files, address_book: AddressBook | None) -> None:
        super().__init__(files, address_book)
        self.personal = Group(self, self._user.id, "")
        """The group of one's own devices alone."""

    async def wipe(self) -> None:
        """Close the node and remove its profile from this machine: keys, records, everything.

        What others have of the user's records stays with them. Raises `ProfileInUse` while another
        process has the network (the node stays open then), and `StoreFull` where a file cannot be
        removed. See `peerstack.wipe`.
        """
        self._shell.check_usable()
        lock = self._lock or wiping.take_lock(self._path)
        # Held until all is gone, so that no other process begins to use what is being removed.
        self._lock = None
        try:
            await self.close()
        except BaseException:
            lock.release()
            raise
        await asyncio.to_thread(wiping.remove, self._path, lock)

    # --- Groups. --------------------------------------------------------------------------------

    async def create_group(self, name: str) -> Group:
        """Found a group. Raises `InvalidValue` for a name that is empty or too long."""
        group = await self.perform(lambda turn: writing.create_group(turn, name))
        return Group(self, group, name)

    async def groups(self) -> list[Group]:
        """The shared groups that this device is in, by name."""
        found = await self.perform(_groups)
        return sorted((Group(self, *each) for each in found), key=lambda g: (g.name, g.id))

    async def group(self, id: str) -> Group:
        """A group by its id, or by its name where only one has it. Raises `NotFound`."""
        if id == self._user.id:
            return self.personal
        matching = [group for group in await self.groups() if id in (group.id, group.name)]
        if len(matching) == 1:
            return matching[0]
        if matching:
            ids = ", ".join(group.id for group in matching)
            raise NotFound(f"{len(matching)} groups are named {id!r}; say which by its id: {ids}")
        kind = "id" if is_ulid(id) else "name"
        raise NotFound(f"no group with {kind} {id!r} on this device; `groups` lists those that are")

    async def former_groups(self) -> list[Group]:
        """The groups that this user left or was removed from, and that something is here of."""
        found = await self.perform(standings.former_groups)
        return [Group(self, each.group, each.name) for each in found]

    # --- Meeting. -------------------------------------------------------------------------------

    async def add_server(self, url: str) -> None:
        """Meet others by this signaling server too, from now on; new invite links name it.

        Where it was known with another access token (`https://TOKEN@host`), that one is forgotten.
        Raises `InvalidValue` for what is no address of one.
        """
        await self._add_servers([url], instead=True)

    # --- Joining. -------------------------------------------------------------------------------

    def preview(self, link: str) -> Preview:
        """What an invite link says. Raises `InvalidLink`."""
        parsed = decode_untrusted_link(link)
        servers = tuple(split_token(url)[0] for url in parsed.servers)
        return Preview(parsed.group, parsed.group_name, parsed.inviter_name, parsed.role, servers)

    async def join(self, link: str, *, timeout: float = _JOIN_S) -> Group:
        """Join the group that a link leads to; returns once this device is let in for good: it is
        admitted, and has the secret by which it finds the members from now on.

        Raises `InvalidLink`, or `JoinPending` where no member could be met within `timeout`
        seconds: the join is stored, and completes when one is.
        """
        preview = self.preview(link)
        servers = checked_urls(decode_untrusted_link(link).servers)
        stirred = self._stirred.subscribe()
        try:
            group, inside = await self.perform(lambda turn: joining.join(turn, link))
            self._join_refusals.pop(group, None)
            await self._add_servers(servers)
            async with asyncio.timeout(timeout if self._network is not None else 0):
                while not inside:
                    await stirred.wait()
                    inside = await self._is_inside(group)
        except TimeoutError as error:
            raise JoinPending(self._why_pending(preview)) from error
        finally:
            stirred.end()
        joined = await self.group(group)
        # The group's own name may still be on its way.
        return joined if joined.name != joined.id else Group(self, group, preview.group_name)

    async def _is_inside(self, group: GroupId) -> bool:
        refused = self._join_refusals.get(group)
        if refused is not None:
            raise JoinPending(
                f"a device that has this link did not let you in: {refused}. If it is a member's, "
                "ask for a new invite link; this one is tried again with other devices"
            )
        return await self.perform(lambda turn: joining.is_let_in(turn, group))

    def _why_pending(self, preview: Preview) -> str:
        reasons = "; ".join(self._hindrances(self.status())) or "no member of it is online now"
        return (
            f"joining {preview.group_name!r} waits for one of its members ({reasons}). The join is "
            "kept: it completes by itself while this device is online with one of them"
        )

    # --- Syncing and status. --------------------------------------------------------------------

    async def wait_synced(
        self, timeout: float | None = 30, *, group: GroupId | None = None
    ) -> None:
        """Wait until each group with other members is level with at least one of their devices.

        A group is level with a device when neither side lacks what the other shows; all that are
        connected count. Raises `NotSynced` after `timeout` seconds (None: never), saying what is
        missing and for whom.
        """
        stirred = self._stirred.subscribe()
        try:
            async with asyncio.timeout(timeout):
                while await self._not_level(group):
                    await stirred.wait()
        except TimeoutError:
            missing = await self._not_level(group)
            if missing:
                raise NotSynced(self._why_not_synced(missing)) from None
        finally:
            stirred.end()

    async def _not_level(self, group: GroupId | None) -> list[str]:
        return await self.perform(lambda turn: _not_level(turn, self._engine, group))

    def _why_not_synced(self, missing: Sequence[str]) -> str:
        return "not level yet: " + "; ".join([*missing, *self._hindrances(self.status())])

    def status(self) -> Status:
        """How this device stands now: connections, progress, refusals, and what to do."""
        self._shell.check_usable()
        return self._shown(self._shell.wait_for(self._look))

    def live_status(self) -> AsyncIterator[Status]:
        """What `status` says now, and again whenever something may have changed.

        That may be in groups and among members, too. Unlike `status`, it never blocks the event
        loop; what happens while nobody asks is told of once. Ends when the node is closed.
        """
        self._shell.check_usable()
        return feed.living(self._status, self._stirred.subscribe())

    async def _status(self) -> Status:
        return self._shown(await self.perform(self._standings))

    def _shown(self, now: standings.Standings) -> Status:
        revoked = now.revoked and not now.keeping.uncounted
        shown = Status(
            self._user.id,
            self._user.name,
            self._user.device,
            self._network is not None,
            self._network.servers() if self._network else (),
            self._connections(),
            now.groups,
            now.former,
            now.waiting_joins,
            self._engine.refusals(),
            (),
            () if revoked else advice(now.keeping),
        )
        names = [people.name_by(self._address_book, *each) for each in now.changed_keys]
        found = [
            *endings(now.former, revoked=revoked),
            *broken_identities(now.keeping, now.forked),
            *key_changes(names),
            *broken_versions(now.broken),
            *self._hindrances(shown),
        ]
        return msgspec.structs.replace(shown, problems=found)

    async def diagnose(self) -> Diagnosis:
        """Find out why this device does or does not connect to others, by asking all that it needs.

        Takes up to half a minute, with servers that do not answer or devices that are not reached.
        """
        self._shell.check_usable()
        # Loads aiortc and socket.io, which takes a while: only where they are used.
        from peerstack.node.diagnosis import Meeting, diagnose

        def devices() -> dict[Link, DeviceId]:
            return {each.link: each.device for each in self._shell.connections}

        meeting = Meeting(self._network, devices) if self._network is not None else None
        return await diagnose(self.server_addresses, meeting, SystemEntropy(), self.wall_ms)

    def _connections(self) -> Sequence[Connection]:
        """The connections, and which way each goes."""
        paths = self._network.paths() if self._network else {}
        return tuple(
            msgspec.structs.replace(each, path=paths.get(each.link, ""))
            for each in self._shell.connections
        )

    def _hindrances(self, status: Status) -> list[str]:
        """What keeps this device from the others, or its records from it."""
        found = problems(
            status.servers,
            status.connections,
            status.groups,
            self._network.failures if self._network else (),
            only_loopback=self._network is not None and self._network.only_loopback,
        )
        return [*([str(self._shell.failure)] if self._shell.failure else []), *found]

    def _look(self) -> standings.Standings:
        return self._engine.perform(self._standings, self._clock.now())[0]

    def _standings(self, turn: Turn) -> standings.Standings:
        self._recovery.refresh()
        return standings.standings(turn)


def _groups(turn: Turn) -> list[tuple[GroupId, str]]:
    return [
        (group, writing.label_of(turn, group))
        for group in turn.groups()
        if group != turn.me.user.id and turn.state(group).role(turn.me.user.id) is not None
    ]


def _called(turn: Turn, group: GroupId) -> str:
    return "your own devices" if group == turn.me.user.id else writing.label_of(turn, group)


def _not_level(turn: Turn, engine: Engine, only: GroupId | None) -> list[str]:
    """Of each group that is to be level: what is missing, in words. Empty if nothing is.

    Raises `NotSynced` where waiting is in vain.
    """
    if turn.is_revoked:
        raise NotSynced("this device was revoked: nothing new reaches it, nor leaves it")
    wanted = [only] if only else turn.groups()
    shared = [group for group in wanted if _is_shared(turn, group)]
    left = [group for group in wanted if group in parting.untold(turn)]
    coming = {
        group: name
        for group, name in own_groups.awaited(turn).items()
        if group == only or (only is None and engine.levels.is_coming(turn, group))
    }
    if not shared and not left and not coming and not standings.former_groups(turn):
        return ["no group has another member or device yet; invite somebody"]
    return [
        *(f"{writing.label_of(turn, group)}: nobody there knows that you left" for group in left),
        *(
            f"{_called(turn, group)}: {engine.levels.why_not(group)}"
            for group in shared
            if not engine.levels.is_level(turn, group)
        ),
        *(f"{name}: {engine.levels.why_not(group)}" for group, name in coming.items()),
    ]


def _is_shared(turn: Turn, group: GroupId) -> bool:
    """Whether there is anybody to be level with."""
    state = turn.state(group)
    if state.role(turn.me.user.id) is None:
        return False
    active = (
        device
        for user in state.members()
        if user in state.identities
        for device in state.identities[user].devices
        if state.is_active(user, device)
    )
    return len(list(islice(active, 2))) > 1

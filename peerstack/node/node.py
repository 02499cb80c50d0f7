"""The public face of one device: open a profile, find groups in it, wait, ask how things stand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from peerstack.engine import (
    Engine,
    Turn,
    enrolling,
    joining,
    linking,
    parting,
    profile,
    recovering,
    revoking,
    writing,
)
from peerstack.engine import people as known_people
from peerstack.engine import status as standings
from peerstack.engine.effects import (
    Changed,
    Effect,
    GroupsChanged,
    JoinRefused,
    KeepKeys,
    StatusChanged,
)
from peerstack.errors import (
    InvalidValue,
    JoinPending,
    LocalError,
    NotFound,
    NotSynced,
    StoreError,
)
from peerstack.groups.invites import decode_untrusted_link
from peerstack.groups.statements import RoleName
from peerstack.identity import Fingerprint, User
from peerstack.ids import DeviceId, GroupId, UserId, is_ulid
from peerstack.keys import Signer
from peerstack.node import feed, people, wiping
from peerstack.node.files import Files, first_keys, open_files
from peerstack.node.group import Group
from peerstack.node.linking import Linking
from peerstack.node.people import AddressBook, DeviceInfo, Member
from peerstack.node.ports import SystemClock, SystemEntropy
from peerstack.node.recovery import Recovery
from peerstack.node.shell import Shell
from peerstack.node.status import (
    Status,
    advice,
    broken_identities,
    endings,
    key_changes,
    problems,
)
from peerstack.record import Record
from peerstack.store import LoggedChange, Snapshot

if TYPE_CHECKING:
    from peerstack.node.network import Network

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
    address_book: AddressBook | None = None,
) -> AsyncIterator[Node]:
    """Open the profile at `path`, making it where there is none, as an async context manager.

    `name` is what others see, and counts when the identity is made (a `User` can be passed in
    instead). `server` is the address of one signaling server or more; they are remembered.
    `passphrase` seals the secrets on disk. With `network=False` nothing is connected, and other
    processes may have the profile open too. `indexes` names, by type of record, fields of the value
    that `find` looks up fast. `address_book` says what the app calls a user (None: whatever they
    call themselves); it is called on the event loop, so it has to be quick, and what it raises
    comes out of whatever asked for the name.

    Raises `ProfileInUse`, `ProfileLocked`, `InvalidValue` or `StoreError`.
    """
    urls = [server] if isinstance(server, str) else list(server or ())

    def open_or_make() -> Files:
        return open_files(Path(path), lambda: first_keys(name), passphrase, network, indexes)

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
    files = await asyncio.to_thread(open_or_make)
    node = Node(files, address_book)
    restores = files.keys.restores
    try:
        await node._start(servers, introduce or (lambda turn: profile.introduce(turn, restores)))
    except BaseException:
        await node.close()
        raise
    return node


class Node:
    """One device of one user. Get one from `peerstack.open`; use it from one event loop."""

    def __init__(self, files: Files, address_book: AddressBook | None) -> None:
        self._path = files.path
        self._address_book = address_book
        self._store = files.store
        self._lock = files.lock
        self._clock = SystemClock()
        self._changed = feed.Bell()
        self._stirred = feed.Bell()
        self._engine = Engine(files.store, files.keys.user, SystemEntropy())
        self._shell = Shell(self._engine, files.store, self._on_effect)
        self._key_file = files.key_file
        self._recovery = Recovery(files.key_file, self._engine, self._shell)
        self._readers = ThreadPoolExecutor(_READERS, "peerstack-read")
        self._network: Network | None = None
        self._join_refusals: dict[GroupId, str] = {}
        self._server_urls: tuple[str, ...] = ()
        self.personal = Group(self, self._user.id, "")
        """The group of one's own devices alone."""

    async def _start(self, urls: Sequence[str], introduce: Callable[[Turn], None]) -> None:
        await self._shell.perform(introduce)
        await self._add_servers(urls)
        if self._lock is not None:
            # Loads aiortc and socket.io, which takes a while: only where they are used.
            from peerstack.node.network import Network

            self._network = Network(self._shell.post, SystemEntropy())
            for url in self._server_urls:
                self._network.add_server(url)
        self._shell.start()

    async def _add_servers(self, urls: Sequence[str]) -> None:
        checked = checked_servers(urls)
        known = await self._shell.perform(lambda turn: profile.add_servers(turn, checked))
        self._server_urls = tuple(known)
        if self._network is not None:
            for url in known:
                self._network.add_server(url)

    async def close(self) -> None:
        """Close the node, in any state; what was awaited is stored. Without effect when closed."""
        if self._shell.closed:
            return
        try:
            if self._network is not None:
                await self._network.close()
        finally:
            await self._shell.close()
            self._changed.ring()
            self._stirred.ring()
            await asyncio.to_thread(self._close_files)

    def _close_files(self) -> None:
        self._readers.shutdown()
        self._store.close()
        if self._lock is not None:
            self._lock.release()

    @property
    def closed(self) -> bool:
        """Whether `close` was called. For the framework's own use."""
        return self._shell.closed

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

    # --- Who one is, and one's groups. ----------------------------------------------------------

    @property
    def user(self) -> User:
        """One's own user on this device. Holds secrets; its `repr` shows none."""
        return self._user

    @property
    def _user(self) -> User:
        return self._engine.me.user

    @property
    def server_urls(self) -> tuple[str, ...]:
        """The signaling servers that this device meets others by; invite links name them."""
        return self._server_urls

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

    # --- Knowing who it is. ---------------------------------------------------------------------

    async def fingerprint(self, user: UserId | None = None) -> Fingerprint:
        """What two people compare to know that nobody stands between them; by default one's own.

        Raises `NotFound` for a user of none of this device's groups.
        """
        asked = user or self._user.id
        return await self.perform(lambda turn: known_people.fingerprint(turn, asked))

    async def verify(self, user: UserId, fingerprint: Fingerprint | None = None) -> None:
        """Mark that a user's fingerprint was compared with what that person's own device shows.

        Give the fingerprint that was shown: a key that changed meanwhile is not taken for it then.
        One's other devices learn of the mark. It lasts until the user's keys change, which
        `Member.verified` and `status` show. Raises `NotFound` or `InvalidValue`.
        """
        await self.perform(lambda turn: known_people.verify(turn, user, fingerprint))

    async def unverify(self, user: UserId) -> None:
        """Take the mark of `verify` back; without effect where there is none."""
        await self.perform(lambda turn: known_people.unverify(turn, user))

    async def devices(self) -> list[DeviceInfo]:
        """All devices that one's own user ever had, the oldest first."""
        found = await self.perform(people.own_devices)
        return [people.with_online(device, self._online()) for device in found]

    async def rename_device(self, id: str, name: str) -> None:
        """Call one of one's own devices something else, on all of them; others do not see it.

        Raises `InvalidValue` for a name that is empty or too long, `NotFound` for a device that is
        not one's own.
        """
        await self.perform(lambda turn: known_people.rename_device(turn, DeviceId(id), name))

    async def link_device(self, *, full: bool = True) -> Linking:
        """Make a link by which a new device becomes one of one's own; see `Linking`.

        The new device opens it with `peerstack.open_linked`, and both show six digits: where they
        are the same, confirm. A `full` device is given the root key, and can itself link and revoke
        devices; another one can only use the groups. The link ends after 15 minutes, with its
        `close`, or with this node.

        Raises `NotAllowed` on a device without the present root key or while a link is open, and
        `InvalidValue` without a network or a signaling server to meet by.
        """
        if self._network is None:
            raise InvalidValue("this node was opened without the network, so no device can meet it")
        servers = self._server_urls
        opened = await self.perform(lambda turn: linking.open_link(turn, servers, full=full))
        return Linking(self, opened)

    async def revoke_device(self, id: str, *, force: bool = False) -> None:
        """End a device of one's own: what it signs from now on counts nowhere.

        Others refuse it once they have heard of this. Revoking this very device takes `force`.
        Without effect on one that is revoked already. Raises `NotFound` for a device that is not
        one's own, `NotAllowed` on a device without the present root key.
        """
        await self.perform(lambda turn: revoking.revoke_device(turn, DeviceId(id), force=force))

    def shown(self, member: Member) -> Member:
        """A member by the name that the app has for them, and with who is online."""
        online = self._online()
        return msgspec.structs.replace(
            member,
            name=people.name_by(self._address_book, member.user, member.name),
            devices=tuple(people.with_online(device, online) for device in member.devices),
        )

    def _online(self) -> set[DeviceId] | None:
        if self._network is None:
            return None
        return {connection.device for connection in self._shell.connections}

    # --- Joining. -------------------------------------------------------------------------------

    def preview(self, link: str) -> Preview:
        """What an invite link says. Raises `InvalidLink`."""
        parsed = decode_untrusted_link(link)
        return Preview(
            parsed.group, parsed.group_name, parsed.inviter_name, parsed.role, parsed.servers
        )

    async def join(self, link: str, *, timeout: float = _JOIN_S) -> Group:
        """Join the group that a link leads to; returns once this device is admitted.

        Raises `InvalidLink`, or `JoinPending` where no member could be met within `timeout`
        seconds: the join is stored, and completes when one is.
        """
        preview = self.preview(link)
        checked_servers(preview.servers)
        stirred = self._stirred.subscribe()
        try:
            group, inside = await self.perform(lambda turn: joining.join(turn, link))
            self._join_refusals.pop(group, None)
            await self._add_servers(preview.servers)
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
        return joined if joined.name else Group(self, group, preview.group_name)

    async def _is_inside(self, group: GroupId) -> bool:
        refused = self._join_refusals.get(group)
        if refused is not None:
            raise JoinPending(
                f"a member did not let you in: {refused}. Ask for a new invite link; this one is "
                "tried again with other members"
            )
        return await self.perform(lambda turn: turn.state(group).role(self._user.id) is not None)

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
        now = self._shell.wait_for(self._look)
        shown = Status(
            self._user.id,
            self._user.name,
            self._user.device,
            self._network is not None,
            self._network.servers() if self._network else (),
            self._shell.connections,
            now.groups,
            now.former,
            now.waiting_joins,
            self._engine.refusals(),
            (),
            advice(now.keeping),
        )
        names = [people.name_by(self._address_book, *each) for each in now.changed_keys]
        found = [
            *endings(now.former, revoked=now.revoked and not now.keeping.uncounted),
            *broken_identities(now.keeping, now.forked),
            *key_changes(names),
            *self._hindrances(shown),
        ]
        return msgspec.structs.replace(shown, problems=found)

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

    # --- Recovery. ------------------------------------------------------------------------------

    async def recovery_phrase(self) -> list[str]:
        """The 24 words that take this user back, whatever happens to their devices.

        To be written down on paper, and then confirmed. Raises `NotAllowed` once that is done:
        from then on, they are nowhere else.
        """
        return await self._recovery.phrase()

    async def confirm_recovery(self, words: Mapping[int, str]) -> None:
        """Show that the phrase is written down: some of its words, at least 3, by place (1 to 24).

        Erases it from this device. Only from then on can nobody who copies the device take the
        user over. Raises `InvalidPhrase` for a wrong word, and then changes nothing; and
        `NotAllowed` where it was confirmed before.
        """
        await self._recovery.confirm(words)

    async def write_kit(self, path: str | Path) -> None:
        """Write the recovery kit: what `recover` takes beside the phrase, which alone opens it.

        Over an older kit, if one is there. It knows the groups and devices of this moment:
        `status().advice` says when it lacks some. Raises `InvalidValue` for a path that is no place
        for it, `NotAllowed` on a device linked without the root key, and `StoreFull`.
        """
        await self._recovery.write_kit(Path(path))

    async def keep_device(self, device: DeviceId, *, until: datetime | None = None) -> None:
        """Let a device of one's own count again that a recovery did not keep.

        A recovery keeps the devices that its kit knows; what others have ever signed does not count
        until they are kept. With `until`, what it signed before that time does, and nothing after.
        Raises `NotFound` for a device that is not known here, and `NotAllowed` on a device without
        the present root key.
        """
        end_ms = None if until is None else round(until.timestamp() * 1000)
        await self.perform(lambda turn: recovering.keep_device(turn, device, end_ms))

    # --- For `Group`. ---------------------------------------------------------------------------

    async def perform(self, action: Callable[[Turn], T]) -> T:
        """Do something in one transaction on the engine's thread. For the framework's own use."""
        return await self._shell.perform(action)

    async def until(self, look: Callable[[Turn], T | None], timeout_s: float | None) -> T:
        """What `look` finds, once it finds anything. For the framework's own use.

        Raises `TimeoutError`, and what `look` raises.
        """
        stirred = self._stirred.subscribe()
        try:
            async with asyncio.timeout(timeout_s):
                while (found := await self.perform(look)) is None:
                    await stirred.wait()
                return found
        finally:
            stirred.end()

    def hindrances(self) -> list[str]:
        """What keeps this device from others. For the framework's own use."""
        network = self._network
        if network is None:
            return ["this node was opened without the network"]
        only_loopback = network.only_loopback
        return problems(
            network.servers(),
            self._shell.connections,
            (),
            network.failures,
            only_loopback=only_loopback,
        )

    async def read(self, question: Callable[[Snapshot], T]) -> T:
        """Ask the store without waiting for the engine; what was awaited before is visible."""
        self._shell.check_usable()

        def ask() -> T:
            with self._store.snapshot() as snapshot:
                return question(snapshot)

        return await self._shell.loop.run_in_executor(self._readers, ask)

    def changes(self, group: GroupId, since: int | None) -> AsyncIterator[feed.Change]:
        """See `Group.changes`."""
        self._shell.check_usable()
        subscription = self._changed.subscribe()
        if since is None:
            with self._store.snapshot() as snapshot:
                since = snapshot.last_seq()
        return feed.changes(group, since, self._read_changes, subscription)

    async def _read_changes(self, since: int, group: GroupId, limit: int) -> Sequence[LoggedChange]:
        return await self.read(lambda snapshot: snapshot.changes(since, group, limit=limit))

    def living_list(self, find: feed.Find) -> AsyncIterator[list[Record]]:
        """See `Group.live`."""
        self._shell.check_usable()
        return feed.living_list(find, self._changed.subscribe())

    def wall_ms(self) -> int:
        """This device's wall clock, in Unix milliseconds."""
        return self._clock.now().wall_ms

    # --- What the engine wants done. ------------------------------------------------------------

    def _on_effect(self, effect: Effect) -> None:
        match effect:
            case Changed():
                self._changed.ring()
                self._stirred.ring()
            case JoinRefused(group=group, reason=reason):
                self._join_refusals[group] = reason
                self._stirred.ring()
            case GroupsChanged():
                self._stirred.ring()
                self._learn_servers()
                self._shell.hand_in(self._recovery.refresh)
            case StatusChanged():
                self._stirred.ring()
            case KeepKeys() if self._network is not None:
                self._network.spawn(self._keep(effect))
            case _:
                if self._network is not None:
                    self._network.carry_out(effect)

    def _learn_servers(self) -> None:
        """Meet by servers too that another process of this profile was told of."""
        if self._network is not None:
            self._network.spawn(self._add_servers(()))

    async def _keep(self, given: KeepKeys) -> None:
        """Write what this device was given when it was linked to disk, and only then say so."""
        root = Signer(given.root) if given.root is not None else None
        try:
            user = await asyncio.to_thread(
                self._key_file.enrol, given.name, root, given.kit_key, given.statements
            )
        except (LocalError, StoreError) as error:
            _log.warning("the keys of this new device could not be kept: %s", error)
            await self.perform(enrolling.not_kept)
        else:
            await self.perform(lambda turn: enrolling.kept(turn, user))

    def _look(self) -> standings.Standings:
        self._recovery.refresh()
        return self._engine.perform(standings.standings, self._clock.now())[0]


def _groups(turn: Turn) -> list[tuple[GroupId, str]]:
    return [
        (row.id, writing.name_of(turn, row.id))
        for row in turn.tx.groups()
        if row.id != turn.me.user.id and turn.state(row.id).role(turn.me.user.id) is not None
    ]


def _not_level(turn: Turn, engine: Engine, only: GroupId | None) -> list[str]:
    """Of each group that is to be level: what is missing, in words. Empty if nothing is."""
    wanted = [only] if only else [row.id for row in turn.tx.groups()]
    shared = [group for group in wanted if _is_shared(turn, group)]
    left = [group for group in wanted if group in parting.untold(turn)]
    if not shared and not left and not standings.former_groups(turn):
        return ["no group has another member or device yet; invite somebody"]
    return [
        *(f"{writing.name_of(turn, group)}: nobody there knows that you left" for group in left),
        *(
            f"{writing.name_of(turn, group) or 'your own devices'}: {engine.why_not_level(group)}"
            for group in shared
            if not engine.is_level(turn, group)
        ),
    ]


def _is_shared(turn: Turn, group: GroupId) -> bool:
    """Whether there is anybody to be level with."""
    state = turn.state(group)
    devices = sum(
        len(state.identities[user].devices) for user in state.members() if user in state.identities
    )
    return devices > 1


def checked_servers(urls: Sequence[str]) -> list[str]:
    """What is remembered is tried for ever, so only what can be an address is.

    Raises `InvalidValue`.
    """
    if not urls:
        return []
    # Loads aiohttp, which takes a while.
    from peerstack.signaling.reach import checked_url

    return [checked_url(url) for url in urls]

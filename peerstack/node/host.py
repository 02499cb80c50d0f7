"""What runs behind a node: the engine's thread, the network, readers, and who is to be woken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from peerstack.engine import Engine, Turn, enrolling, profile
from peerstack.engine.effects import (
    Changed,
    Effect,
    GroupsChanged,
    JoinRefused,
    KeepKeys,
    StatusChanged,
)
from peerstack.engine.events import Event, PeerGone, ServerLost, ServerWelcomed
from peerstack.errors import LocalError, StoreDamaged, StoreError
from peerstack.identity import User
from peerstack.ids import GroupId
from peerstack.keys import Signer
from peerstack.node import feed
from peerstack.node.files import Files
from peerstack.node.people import AddressBook
from peerstack.node.ports import SystemClock, SystemEntropy
from peerstack.node.recovery import Recovery
from peerstack.node.shell import Shell
from peerstack.node.status import problems
from peerstack.record import Record
from peerstack.signaling.address import checked_urls, split_token
from peerstack.store import LoggedChange, Snapshot

if TYPE_CHECKING:
    from peerstack.node.network import Network

T = TypeVar("T")

_READERS: Final = 2

_log = logging.getLogger("peerstack")


class Host:
    """The machinery of a node. What apps are to use of it stands in `Node`."""

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
        self.server_addresses: tuple[str, ...] = ()
        """Of the signaling servers, with their access tokens. For the framework's own use."""

    async def _start(self, urls: Sequence[str], introduce: Callable[[Turn], None]) -> None:
        await self._shell.perform(introduce)
        await self._add_servers(urls, instead=True)
        if self._lock is not None:
            # Loads aiortc and socket.io, which takes a while: only where they are used.
            from peerstack.node.network import Network

            self._network = Network(self._on_network, SystemEntropy())
            self._network.meet_by(self.server_addresses)
        self._shell.start()

    async def _add_servers(self, urls: Sequence[str], *, instead: bool = False) -> None:
        checked = checked_urls(urls)
        known = await self._shell.perform(
            lambda turn: profile.add_servers(turn, checked, instead=instead)
        )
        self.server_addresses = tuple(known)
        if self._network is not None:
            self._network.meet_by(known)

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

    @property
    def user(self) -> User:
        """One's own user on this device. Holds secrets; its `repr` shows none."""
        return self._user

    @property
    def _user(self) -> User:
        return self._engine.me.user

    @property
    def server_urls(self) -> tuple[str, ...]:
        """The signaling servers that this device meets others by, without their access tokens.

        Invite links name them with these, as a newcomer needs them.
        """
        return tuple(dict.fromkeys(split_token(url)[0] for url in self.server_addresses))

    # --- For the other parts of a node. ---------------------------------------------------------

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

        try:
            return await self._shell.loop.run_in_executor(self._readers, ask)
        except StoreDamaged:
            self._shell.mend()
            raise

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

    def _on_network(self, event: Event) -> None:
        """Tell the engine; and of what stands in the status, though it changes nothing there."""
        self._shell.post(event)
        if isinstance(event, ServerWelcomed | ServerLost | PeerGone):
            self._stirred.ring()

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

"""The user at this device: whom they have compared keys with, their devices, their recovery."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from peerstack.engine import linking, profile, recovering, restoring, revoking
from peerstack.engine import people as known_people
from peerstack.errors import InvalidValue
from peerstack.identity import Fingerprint
from peerstack.ids import DeviceId, UserId
from peerstack.node import people
from peerstack.node.backup import OnProgress, write_backup
from peerstack.node.host import Host
from peerstack.node.linking import Linking
from peerstack.node.people import DeviceInfo, Member
from peerstack.store import BrokenVersion


class Myself(Host):
    """What a node can do for its user, whatever the groups."""

    # --- What is stored. ------------------------------------------------------------------------

    async def check(self) -> list[BrokenVersion]:
        """Look at all that is stored, which takes about a second for 20,000 records.

        Versions that the disk did not keep as they were stored are taken out of use and returned;
        each comes back once this device syncs with one that has it, and until then `status` names
        it. Indexes and sums are worked out again. Raises `StoreDamaged` where the file is broken
        beyond that: the message says how to restore it.
        """
        return list(await self.perform(profile.mend))

    async def backup(
        self, path: str | Path, password: str, *, on_progress: OnProgress | None = None
    ) -> None:
        """Write the whole profile to one file, encrypted under a password: records, keys and all.

        As it is at one moment, while the node goes on. Over an older backup, if one is there, and
        only once the new one is whole. `peerstack.restore` makes a new device of this user from it.
        `on_progress` is called on the event loop with the bytes that are done, and all. Needs room
        for a copy of the database beside it meanwhile.

        Raises `InvalidValue` for a path that is no place for it and for an empty password,
        `NotAllowed` on a device without the present root key, and `StoreFull`.
        """
        await self.perform(restoring.check_restorable)
        loop = asyncio.get_running_loop()

        def tell(done: int, total: int) -> None:
            if on_progress is not None:
                loop.call_soon_threadsafe(on_progress, done, total)

        files = (self._store, self._key_file, self._path)
        await asyncio.to_thread(write_backup, *files, Path(path), password, tell)

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

    # --- One's devices. --------------------------------------------------------------------------

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
        servers = self.server_addresses
        opened = await self.perform(lambda turn: linking.open_link(turn, servers, full=full))
        return Linking(self, opened)

    async def revoke_device(self, id: str, *, force: bool = False) -> None:
        """End a device of one's own: what it signs from now on counts nowhere.

        Others refuse it once they have heard of this. Revoking this very device takes `force`.
        Without effect on one that is revoked already. Raises `NotFound` for a device that is not
        one's own, `NotAllowed` on a device without the present root key.
        """
        await self.perform(lambda turn: revoking.revoke_device(turn, DeviceId(id), force=force))

    async def keep_device(self, device: DeviceId, *, until: datetime | None = None) -> None:
        """Let a device of one's own count again that a recovery did not keep.

        A recovery keeps the devices that its kit knows; what others have ever signed does not count
        until they are kept. With `until`, what it signed before that time does, and nothing after.
        Raises `NotFound` for a device that is not known here, and `NotAllowed` on a device without
        the present root key.
        """
        end_ms = None if until is None else round(until.timestamp() * 1000)
        await self.perform(lambda turn: recovering.keep_device(turn, device, end_ms))

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

    # --- For `Group`. ---------------------------------------------------------------------------

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

"""One group, as an app has it: records in, records out, members, invites."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from peerstack.engine import Turn, ending, joining, parting, writing
from peerstack.engine.reached import Held, held
from peerstack.errors import InvalidQuery, InvalidValue, NotFound
from peerstack.groups.statements import RoleName
from peerstack.ids import GroupId, RecordId, UserId, as_user, is_record_id, is_ulid
from peerstack.keys import HASH_BYTES, Hash
from peerstack.node import invites, people
from peerstack.node.feed import Change
from peerstack.node.invites import InviteInfo
from peerstack.node.people import Member, Reached
from peerstack.node.quarantine import QuarantinedRecord
from peerstack.query import Condition, Scalar
from peerstack.record import JsonObject, Record, Signed
from peerstack.store import Snapshot

if TYPE_CHECKING:
    from peerstack.node.node import Node

Where = Mapping[str, Scalar | Condition]


class Group:
    """A group that this device is in. Get one from a `Node`."""

    def __init__(self, node: Node, group: GroupId, name: str) -> None:
        self._node = node
        self.id = group
        self.name = name
        """The group's name when this object was made: empty for the personal group, and the id of
        another one while its name is not here yet."""

    def __repr__(self) -> str:
        return f"Group({self.name!r}, id={self.id})"

    # --- Writing. -------------------------------------------------------------------------------

    async def put(
        self, type: str, value: JsonObject, *, over: Record | Sequence[Record] | None = None
    ) -> Record:
        """Sign and store a record: a new one, or over the version that the user was looking at.

        Over several, where they were shown side by side: that ends a conflict between them.

        Raises `InvalidValue` for what is no JSON object, `NotAllowed` without the role, `NotFound`
        where the version is no longer kept, and `StoreError`.
        """
        _check_value(value)
        looked_at = [over] if isinstance(over, Record) else list(over or ())
        return await self._node.perform(
            lambda turn: writing.put(turn, self.id, type, value, looked_at)
        )

    async def put_many(self, type: str, values: Sequence[JsonObject]) -> list[Record]:
        """Sign and store new records, at most 10,000, all of them or none. Raises as `put`."""
        for value in values:
            _check_value(value)
        return await self._node.perform(lambda turn: writing.put_many(turn, self.id, type, values))

    async def update(self, id: str, fields: JsonObject) -> Record:
        """Replace some top-level fields of the live version at once. Raises as `put`."""
        _check_value(fields)
        record_id = _checked_id(id)
        return await self._node.perform(
            lambda turn: writing.update(turn, self.id, record_id, fields)
        )

    async def delete(self, id: str) -> None:
        """Delete a record everywhere; a small mark of it stays. Raises as `put`."""
        record_id = _checked_id(id)
        await self._node.perform(lambda turn: writing.delete(turn, self.id, record_id))

    # --- Reading. -------------------------------------------------------------------------------

    async def get(self, id: str) -> Record | None:
        """The live version of a record; None where there is none, or it was deleted."""
        record_id = _checked_id(id)
        found = await self._node.read(lambda snapshot: snapshot.get(self.id, record_id))
        if found is None or found.deleted or found.is_reserved:
            return None
        return Record.of(found)

    async def find(
        self,
        type: str,
        where: Where | None = None,
        *,
        order_by: str = "modified",
        limit: int | None = None,
        after: Record | None = None,
    ) -> list[Record]:
        """The records of a type whose fields match, in order.

        `where` maps fields to values, or to `lt le gt ge one_of prefix contains` of them;
        `order_by` is "modified", "id" or a field, with "-" before it for descending; `after` goes
        on behind the last record of the page before. Raises `InvalidQuery`.
        """
        if type.startswith("$"):
            raise InvalidQuery(f"type {type!r} is reserved; an app's types begin with a-z or 0-9")
        found = await self._node.read(
            lambda snapshot: snapshot.find(
                self.id, type, where, order_by=order_by, limit=limit, after=after
            )
        )
        return [Record.of(signed) for signed in found]

    async def search(
        self, text: str, type: str | None = None, *, limit: int = 50, offset: int = 0
    ) -> list[Record]:
        """The records in which all words of a text stand, the best match first.

        Looks in the fields that `open` was given as `search`, of one type or of all that are
        declared. The last word may be the beginning of one; upper and lower case and accents are
        all one. Where two match alike, the newer comes first. `text` is what a person typed: no
        character of it has a meaning of its own, and without a word in it nothing is found. For the
        next page, `offset` says how many records to pass over. Raises `InvalidQuery` for a type
        that is not declared, and for more than 500 characters.
        """
        found = await self._node.read(
            lambda snapshot: snapshot.search(self.id, text, type, limit=limit, offset=offset)
        )
        return [Record.of(signed) for signed in found]

    async def types(self) -> dict[str, int]:
        """The types of the group's records, in order, and how many there are of each.

        Those that peerstack keeps for itself, which begin with "$", are left out.
        """
        found = await self._node.read(lambda snapshot: snapshot.types(self.id))
        return {name: count for name, count in found.items() if not name.startswith("$")}

    def live(
        self,
        type: str,
        where: Where | None = None,
        *,
        order_by: str = "modified",
        limit: int | None = None,
    ) -> AsyncIterator[list[Record]]:
        """What `find` finds now, and again after each change of it, until the node is closed."""
        return self._node.living_list(
            lambda: self.find(type, where, order_by=order_by, limit=limit)
        )

    def changes(self, since: int | None = None) -> AsyncIterator[Change]:
        """Each change behind `since` (a `Change.seq`; by default, from now on), as it happens.

        Subscribed before this returns. What two devices wrote unseen by each other is told as a
        conflict, with both versions.
        """
        return self._node.changes(self.id, since)

    async def history(self, id: str) -> list[Record]:
        """The versions of a record that are kept: the live one, then those that lost, newest first.

        Kept are 20 of each signer, for 30 days.
        """
        record_id = _checked_id(id)

        def read(snapshot: Any) -> list[Record]:
            live = snapshot.get(self.id, record_id)
            lost = snapshot.history(self.id, record_id)
            versions = ([live] if live else []) + lost
            return [Record.of(signed) for signed in versions if not signed.is_reserved]

        return await self._node.read(read)

    async def conflicts(self, id: str | None = None) -> list[Record]:
        """The versions that lost to one whose author had not seen them, the latest first.

        Of one record, or of all. Each is one for 30 days, or until somebody writes over it as well:
        `put` with it among `over`.
        """
        record_id = None if id is None else _checked_id(id)

        def read(snapshot: Snapshot) -> list[Signed]:
            if record_id is None:
                return snapshot.kept(snapshot.unseen_hashes(self.id))
            return snapshot.kept(snapshot.conflicts(self.id, [record_id]))

        found = await self._node.read(read)
        latest_first = sorted(found, key=lambda each: each.order, reverse=True)
        return [Record.of(signed) for signed in latest_first if not signed.is_reserved]

    async def quarantine(
        self, *, limit: int = 100, after: QuarantinedRecord | None = None
    ) -> list[QuarantinedRecord]:
        """Versions that are kept apart since their authors had no right to them, the latest first.

        `after` goes on behind the last one of the page before. Raises `InvalidQuery`.
        """
        if limit < 0:
            raise InvalidQuery(f"a limit is 0 or more, not {limit}")
        place = (after.since, after.record.hash) if after else None
        found = await self._node.read(lambda snapshot: snapshot.quarantined(self.id, limit, place))
        return [QuarantinedRecord(Record.of(e.record), e.why, e.since_ms) for e in found]

    async def readmit(self, records: Sequence[QuarantinedRecord]) -> None:
        """Let quarantined versions back in, on all devices; the best of each record is live then.

        Raises `NotAllowed` for who is no admin, and where a revoked device signed one: then another
        device of its user can. Raises `NotFound` for what is not in quarantine any more.
        """
        hashes = [Hash(each.record.hash) for each in records]
        await self._node.perform(lambda turn: ending.readmit(turn, self.id, hashes))

    # --- People. --------------------------------------------------------------------------------

    async def invite(
        self,
        role: RoleName = "writer",
        *,
        expires: timedelta | None = timedelta(days=7),
        uses: int | None = None,
    ) -> str:
        """A link that lets whoever has it into the group: text that fits in any message.

        It ends after `expires` (None: never) or when `uses` newcomers came (None: any number).
        Raises `NotAllowed` for who is no admin.
        """
        servers = self._node.server_addresses
        now = self._node.wall_ms()
        expires_ms = None if expires is None else now + int(expires.total_seconds() * 1000)
        return await self._node.perform(
            lambda turn: joining.invite(turn, self.id, role, expires_ms, uses, servers)
        )

    async def invites(self) -> list[InviteInfo]:
        """Every invite to the group, open or ended, the newest first."""
        return await self._node.perform(lambda turn: invites.invites(turn, self.id))

    async def end_invite(self, id: str) -> None:
        """End an invite: nobody joins by it any more. Raises `NotFound` or `NotAllowed`."""
        invite = _checked_hash(id)
        await self._node.perform(lambda turn: ending.end_invite(turn, self.id, invite))

    async def set_role(self, user: str, role: RoleName) -> None:
        """Give a member another role, or one to somebody who was removed.

        A demotion ends the links by which they came, where these give more than the new role. An
        admin can be demoted by who made them one, or is above, and by nobody else. Raises
        `NotAllowed`, or `NotFound` for who is not in the group and has not agreed to be.
        """
        user_id = _checked_user(user)
        await self._node.perform(lambda turn: ending.set_role(turn, self.id, user_id, role))

    async def remove(self, user: str) -> None:
        """Remove a member: what they wrote until now stays, and nothing more reaches them.

        The others meet by a new secret from now on, and the links by which they came, or which they
        made, are ended; at those of others they still see who is online. Raises `NotAllowed` or
        `NotFound`.
        """
        user_id = _checked_user(user)
        await self._node.perform(lambda turn: ending.remove(turn, self.id, user_id))

    async def leave(self) -> None:
        """Leave the group. What is here of it stays on this device, until the app erases it.

        Raises `NotAllowed` for the only admin of a group that others are in.
        """
        await self._node.perform(lambda turn: ending.leave(turn, self.id))

    async def erase(self) -> None:
        """Remove all that is here of a group that one left, or was removed from.

        Raises `NotAllowed` while one is in it.
        """
        await self._node.perform(lambda turn: parting.erase(turn, self.id))

    async def membership(self) -> str:
        """How one stands to the group by what is known here: "member", "removed" or "left"."""
        state = await self._node.perform(lambda turn: turn.state(self.id))
        return state.membership(self._node.user.id).value

    async def members(self) -> list[Member]:
        """Everyone in the group, by what this device knows; in the order of names.

        What the app's address book raises comes out here.
        """
        found = await self._node.perform(lambda turn: people.members(turn, self.id))
        return self._shown(found)

    def _shown(self, found: Sequence[Member]) -> list[Member]:
        return sorted(map(self._node.shown, found), key=lambda member: (member.name, member.user))

    async def reached(self, id: str) -> Reached:
        """Which devices of the group's members have the live version of a record.

        Each device says how far it is level with the group, some seconds after it has come to be.
        Raises `NotFound` where there is no such record, or it was deleted.
        """
        found = await self.reached_many([id])
        if id not in found:
            raise NotFound(f"no record {id} in group {self.name or 'personal'}")
        return found[id]

    async def reached_many(self, ids: Sequence[str]) -> dict[str, Reached]:
        """The same of several records at once, by id; those that are not there are left out."""
        asked = [_checked_id(id) for id in ids]

        def look(turn: Turn) -> tuple[list[Member], list[Held]]:
            return people.members(turn, self.id), list(held(turn, self.id, asked))

        found, versions = await self._node.perform(look)
        shown = self._shown(found)
        by_id = {each.version.id: people.reached(each, shown) for each in versions}
        return {id: by_id[id] for id in asked if id in by_id}

    async def wait_synced(self, timeout: float | None = 30) -> None:
        """Wait until the group is level with at least one other device, and all that are connected.

        Raises `NotSynced` after `timeout` seconds, saying what is missing.
        """
        await self._node.wait_synced(timeout, group=self.id)


def _check_value(value: object) -> None:
    if not isinstance(value, dict):
        raise InvalidValue(
            f"a record's value is a JSON object, a dict with text keys; not {type(value).__name__}"
        )


def _checked_id(text: str) -> RecordId:
    if not is_record_id(text):
        raise InvalidValue(f"{text!r} is no record's id: those have 26 characters, 0-9 and A-Z")
    return RecordId(text)


def _checked_user(text: str) -> UserId:
    if not is_ulid(text):
        raise InvalidValue(f"{text!r} is no user's id: those have 26 characters, 0-9 and A-Z")
    return as_user(text)


def _checked_hash(text: str) -> Hash:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != HASH_BYTES:
        raise InvalidValue(f"{text!r} is no hash: those have 64 characters, 0-9 and a-f")
    return Hash(digest)

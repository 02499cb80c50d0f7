"""One group, as an app has it: records in, records out, members, invites."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from peerstack.engine import joining, writing
from peerstack.errors import InvalidQuery, InvalidValue
from peerstack.groups.statements import RoleName
from peerstack.ids import GroupId, RecordId, is_record_id
from peerstack.node import people
from peerstack.node.feed import Change
from peerstack.node.people import Member
from peerstack.query import Condition, Scalar
from peerstack.record import JsonObject, Record

if TYPE_CHECKING:
    from peerstack.node.node import Node

Where = Mapping[str, Scalar | Condition]


class Group:
    """A group that this device is in. Get one from a `Node`."""

    def __init__(self, node: Node, group: GroupId, name: str) -> None:
        self._node = node
        self.id = group
        self.name = name
        """The group's name when this object was made; empty for the personal group."""

    def __repr__(self) -> str:
        return f"Group({self.name!r}, id={self.id})"

    # --- Writing. -------------------------------------------------------------------------------

    async def put(self, type: str, value: JsonObject, *, over: Record | None = None) -> Record:
        """Sign and store a record: a new one, or over the version that the user was looking at.

        Raises `InvalidValue` for what is no JSON object, `NotAllowed` without the role, `NotFound`
        where the version is no longer kept, and `StoreError`.
        """
        _check_value(value)
        return await self._node.perform(lambda turn: writing.put(turn, self.id, type, value, over))

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
        servers = self._node.server_urls
        now = self._node.wall_ms()
        expires_ms = None if expires is None else now + int(expires.total_seconds() * 1000)
        return await self._node.perform(
            lambda turn: joining.invite(turn, self.id, role, expires_ms, uses, servers)
        )

    async def members(self) -> list[Member]:
        """Everyone in the group, by what this device knows; in the order of names.

        What the app's address book raises comes out here.
        """
        found = await self._node.perform(lambda turn: people.members(turn, self.id))
        shown = map(self._node.shown, found)
        return sorted(shown, key=lambda member: (member.name, member.user))

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

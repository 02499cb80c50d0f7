"""Small facts of this device, and which groups it holds. Knows no records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import orjson

from peerstack.ids import GroupId
from peerstack.reconcile import Sum
from peerstack.store import blocks, schema
from peerstack.store.faults import DATABASE_NAME
from peerstack.store.rows import Rows, chunks, fetch, marks, run_many
from peerstack.store.search import SearchIndex
from peerstack.store.statements import refresh_roots
from peerstack.store.values import GroupRow

_groups = schema.groups
# Every connection asks these many times, so they go to the driver as they stand.
_COLUMNS = ", ".join(column.name for column in _groups.c)
_GROUPS = f"SELECT {_COLUMNS} FROM groups ORDER BY id"  # noqa: S608 -- names of columns
_GROUP = f"SELECT {_COLUMNS} FROM groups WHERE id = ?"  # noqa: S608 -- names of columns
_ADD_GROUP = (
    "INSERT INTO groups (id, joined_ms, count, sum, statements_root, statements_count) "
    "VALUES (?, ?, 0, ?, x'', 0) ON CONFLICT (id) DO NOTHING"
)
_SET = (
    "INSERT INTO profile (key, value) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


class ProfileReads(Rows):
    """Questions about the device and its groups."""

    @property
    def database_name(self) -> str:
        """What messages call the database."""
        return str(self._connection.get_execution_options()[DATABASE_NAME])

    def profile_get(self, key: str) -> Any:
        """What `profile_set` stored last under `key`; `None` if nothing."""
        return self.profile_read([key]).get(key)

    def profile_read(self, keys: Collection[str]) -> dict[str, Any]:
        """The same for several keys; without those under which nothing is stored."""
        return {
            key: orjson.loads(value)
            for chunk in chunks(list(keys))
            for key, value in fetch(
                self._connection,
                f"SELECT key, value FROM profile WHERE key IN ({marks(len(chunk))})",  # noqa: S608 -- places
                chunk,
            )
        }

    def groups(self) -> list[GroupRow]:
        """Every group on this device, in the order of ids."""
        return [_group_of(row) for row in fetch(self._connection, _GROUPS)]

    def group(self, group: GroupId) -> GroupRow | None:
        """One group, with the roots of both its sets; costs one row."""
        rows = fetch(self._connection, _GROUP, [group])
        return _group_of(rows[0]) if rows else None


class ProfileWrites(ProfileReads):
    """What changes the device's facts and its list of groups."""

    def profile_set(self, key: str, value: Any) -> None:
        """Store a JSON value under `key`, over what stood there."""
        text = orjson.dumps(value).decode()
        run_many(self._connection, _SET, [(key, text)])

    def add_group(self, group: GroupId, joined_ms: int) -> None:
        """Make room for a group; without effect where it is there.

        Its statements may have been added before; its records may not.
        """
        if run_many(self._connection, _ADD_GROUP, [(group, joined_ms, Sum().dump())]):
            blocks.begin(self._connection, group)
            refresh_roots(self._connection, [group])

    def drop_group(self, group: GroupId) -> None:
        """Remove all that is here of a group: records, their history, statements and the rest."""
        index = SearchIndex.of(self._connection)
        if index is not None:
            index.leave_group(group)
        for table in (
            schema.judging,
            schema.changes,
            schema.remembered,
            schema.versions,
            schema.records,
            schema.blocks,
            schema.statements,
        ):
            sql = f"DELETE FROM {table.name} WHERE group_id = ?"  # noqa: S608 -- names of tables
            run_many(self._connection, sql, [(group,)])
        run_many(self._connection, "DELETE FROM groups WHERE id = ?", [(group,)])


def _group_of(row: Sequence[Any]) -> GroupRow:
    group, joined_ms, count, total, root, statements = row
    return GroupRow(group, joined_ms, Sum.load(count, total), root, statements)

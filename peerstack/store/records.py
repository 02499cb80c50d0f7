"""The live versions of records: read in bulk, made live in bulk, logged as changes.

Knows which version is live and what it replaced; who decided that, and by which rule, it does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from peerstack.errors import StoreError
from peerstack.ids import DeviceId, GroupId, RecordId
from peerstack.reconcile import Item, OrderedSet, Span
from peerstack.record import Signed
from peerstack.store import blocks
from peerstack.store.changes import log_changes
from peerstack.store.record_set import RecordSet
from peerstack.store.rows import (
    PARAMETERS,
    SIGNED,
    Rows,
    chunks,
    fetch,
    marks,
    row_of,
    run_many,
    signed_of,
)
from peerstack.store.search import SearchIndex
from peerstack.store.values import Change, Head, VersionState, item_of, key_of

INSERT = f"INSERT INTO records ({SIGNED}, seq, plain) VALUES ({marks(12)})"  # noqa: S608 -- names
_KEEP = (
    f"INSERT INTO versions ({SIGNED}, seq, state, since_ms) "  # noqa: S608 -- names of columns
    f"SELECT {SIGNED}, seq, '{VersionState.HISTORY}', ? "
    "FROM records WHERE group_id = ? AND id = ? AND hash = ? "
    "ON CONFLICT (hash) DO UPDATE SET state = excluded.state, seq = excluded.seq, "
    "since_ms = excluded.since_ms, until_ms = NULL, waits_for = NULL"
)
_UNLOGGED: Final = 0
"""The `seq` of what no change tells of."""

DELETE = "DELETE FROM records WHERE group_id = ? AND id = ? AND hash = ?"


class RecordReads(Rows):
    """Questions about live records. A deletion is a live record too: callers look at `deleted`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._sets = dict[GroupId, RecordSet]()

    def get(self, group: GroupId, record_id: RecordId) -> Signed | None:
        """The live version of a record."""
        return self.live(group, [record_id]).get(record_id)

    def live(self, group: GroupId, ids: Iterable[RecordId]) -> dict[RecordId, Signed]:
        """The live versions of those of these records that are here."""
        rows = self._by_id(SIGNED, group, ids)
        return {signed.id: signed for signed in map(signed_of, rows)}

    def live_in_groups(self, ids: Mapping[GroupId, RecordId]) -> dict[GroupId, Signed]:
        """The live versions of one record in each of several groups, where they are here."""
        found: dict[GroupId, Signed] = {}
        for chunk in chunks(list(ids.items()), PARAMETERS // 2):
            wanted = ", ".join(["(?, ?)"] * len(chunk))
            rows = fetch(
                self._connection,
                f"WITH wanted (in_group, its_id) AS (VALUES {wanted}) "  # noqa: S608 -- names, places
                f"SELECT {SIGNED} FROM wanted CROSS JOIN records "
                "ON group_id = in_group AND id = its_id",
                [each for pair in chunk for each in pair],
            )
            found.update((signed.group, signed) for signed in map(signed_of, rows))
        return found

    def live_heads(self, group: GroupId, ids: Iterable[RecordId]) -> dict[RecordId, Head]:
        """The same without bodies: enough to decide a merge."""
        rows = self._by_id("id, modified, hash, device", group, ids)
        return {record_id: Head(*head) for record_id, *head in rows}

    def latest_by(self, group: GroupId, device: DeviceId) -> int:
        """The latest `modified` of the apps' live records that a device signed; -1 without any."""
        # Reserved types begin with "$", and what comes behind "%" is none of them. The "+" keeps
        # SQLite from going by the types, of which that is nearly all.
        rows = fetch(
            self._connection,
            "SELECT modified FROM records WHERE group_id = ? AND device = ? AND +type > '%' "
            "ORDER BY modified DESC LIMIT 1",
            (group, device),
        )
        return int(rows[0][0]) if rows else -1

    def record_set(self, group: GroupId) -> OrderedSet:
        """The group's live records as reconciliation sees them, until the next write to them.

        Asking for it again costs nothing: what it has read of the sums is kept.
        """
        return self._sets.setdefault(group, RecordSet(self._connection, group))

    def neighbours(self, group: GroupId, rank: int, limit: int) -> list[Item]:
        """Live records of the group that follow one another, the first behind `rank` others.

        At most `limit`. Three statements, whatever the rank.
        """
        first, before = blocks.find(self._connection, group, rank)
        skipped = rank - before
        span = Span(first, None)
        return blocks.read_items(self._connection, group, span, skipped + limit)[skipped:]

    def read_slice(
        self, group: GroupId, lower: bytes, upper: bytes | None, limit: int
    ) -> list[Signed]:
        """The first `limit` live records from key `lower` on and before `upper`, ascending."""
        where, parameters = blocks.within(Span(lower, upper))
        rows = fetch(
            self._connection,
            f"SELECT {SIGNED} FROM records WHERE group_id = ? AND {where} "  # noqa: S608 -- places
            "ORDER BY modified, id LIMIT ?",
            (group, *parameters, limit),
        )
        return [signed_of(row) for row in rows]

    def _by_id(self, columns: str, group: GroupId, ids: Iterable[RecordId]) -> Iterator[Any]:
        for chunk in chunks(list(ids)):
            yield from fetch(
                self._connection,
                f"SELECT {columns} FROM records WHERE group_id = ? "  # noqa: S608 -- names, places
                f"AND id IN ({marks(len(chunk))})",
                (group, *chunk),
            )


class RecordWrites(RecordReads):
    """What makes versions live."""

    def apply(self, changes: Sequence[Change], now_ms: int) -> list[int]:
        """Make versions live, keep what they replace as history, and log each change.

        Marks are not logged, and what they replace is let go of. `now_ms` is when what is replaced
        becomes history. Sums and roots follow, all within this transaction. Returns the `seq` of
        each change that is logged. Raises `StoreError` where a `previous` is not
        what is live.
        """
        seqs: list[int] = []
        for turn in _turns(changes):
            seqs += self._apply_turn(turn, now_ms)
        return seqs

    def _apply_turn(self, changes: Sequence[Change], now_ms: int) -> list[int]:
        logged = [change for change in changes if not change.record.is_mark]
        marks = [change for change in changes if change.record.is_mark]
        seqs = log_changes(self._connection, logged)
        replacing = [change for change in changes if change.previous is not None]
        index = SearchIndex.of(self._connection)
        if index is not None:
            index.leave((each.record.group, each.record.id) for each in replacing)
        self._retire(replacing, now_ms)
        rows = [live_row(change.record, seq) for change, seq in zip(logged, seqs, strict=True)]
        rows += [live_row(change.record, _UNLOGGED) for change in marks]
        run_many(self._connection, INSERT, rows)
        if index is not None:
            index.enter((change.record.group, change.record.id) for change in changes)
        by_group = defaultdict[GroupId, list[Change]](list)
        for change in changes:
            by_group[change.record.group].append(change)
        self._sets.clear()
        for group, moved in by_group.items():
            removed = [item for change in moved for item in _item_before(change)]
            added = [item_of(change.record) for change in moved]
            blocks.move(self._connection, group, removed, added)
        return seqs

    def _retire(self, changes: Sequence[Change], now_ms: int) -> None:
        """Move what these changes replace from the live records to history."""
        replaced, kept = [], []
        for change in changes:
            if change.previous is not None:
                row = (change.record.group, change.record.id, change.previous.hash)
                replaced.append(row)
                kept += [] if change.record.is_mark else [(now_ms, *row)]
        run_many(self._connection, _KEEP, kept)
        if run_many(self._connection, DELETE, replaced) != len(replaced):
            raise StoreError("a change replaces a version that is not live; read it anew")


def _turns(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """The changes in order, in runs that hold no record twice: one replaces the other."""
    start, seen = 0, set[tuple[str, str]]()
    for place, change in enumerate(changes):
        line = (change.record.group, change.record.id)
        if line in seen:
            yield changes[start:place]
            start = place
            seen.clear()
        seen.add(line)
    if start < len(changes):
        yield changes[start:]


def _item_before(change: Change) -> Iterator[Item]:
    if change.previous is not None:
        key = key_of(change.previous.modified, change.record.id)
        yield Item(key, change.previous.hash)


def live_row(record: Signed, seq: int) -> tuple[Any, ...]:
    """The parameters of `INSERT`, for a version of which the change `seq` tells."""
    return (*row_of(record), seq, _plain(record))


def _plain(record: Signed) -> str | None:
    """The body respelled if it escapes characters, since a key may be among them; else nothing."""
    if b"\\u" not in record.body:
        return None
    return orjson.dumps(orjson.loads(record.body)).decode()

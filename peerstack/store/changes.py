"""This device's log of what became live, in order: what apps read to miss nothing.

Knows where a version's body stands now (live, or kept); not why anything changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Integer, Row, Select, and_, bindparam, or_, select

from peerstack.ids import GroupId
from peerstack.record import Signed
from peerstack.store import schema
from peerstack.store.rows import (
    Rows,
    chunks,
    fetch,
    marks,
    run_many,
    signed_columns,
    signed_of,
)
from peerstack.store.values import Change, LoggedChange, VersionState, Withdrawal

_log = schema.changes
_live = schema.records.alias("live")
_kept = schema.versions.alias("kept")
_before = schema.versions.alias("before")
_again = schema.records.alias("again")
_WIDTH = len(signed_columns(schema.records))

_INSERT = (
    "INSERT INTO changes (group_id, id, hash, previous, origin, conflict, withdrawn) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_UNSEEN: Final = VersionState.UNSEEN.value


def _chosen() -> Select[Any]:
    """The changes behind `:since`, with the versions that they tell of; the first `:most`."""
    joined = (
        _log.outerjoin(
            _live,
            and_(_live.c.group_id == _log.c.group_id, _live.c.id == _log.c.id),
        )
        .outerjoin(_kept, _kept.c.hash == _log.c.hash)
        .outerjoin(_before, _before.c.hash == _log.c.previous)
        # What was replaced is live again, where what replaced it has been withdrawn.
        .outerjoin(
            _again,
            and_(
                _again.c.group_id == _log.c.group_id,
                _again.c.id == _log.c.id,
                _again.c.hash == _log.c.previous,
            ),
        )
    )
    tables = (_live, _kept, _before, _again)
    columns = [column for table in tables for column in signed_columns(table)]
    goes_on = and_(_log.c.conflict, _before.c.state == _UNSEEN)
    found = or_(_live.c.hash == _log.c.hash, _kept.c.hash.is_not(None), goes_on)
    told = (_log.c.seq, _log.c.origin, _log.c.conflict, _log.c.withdrawn)
    chosen = select(*columns, *told).select_from(joined)
    chosen = chosen.where(_log.c.seq > bindparam("since"), found)
    return chosen.order_by(_log.c.seq).limit(bindparam("most", type_=Integer))


# Made once: apps ask at each of their turns, and making them costs more than running them.
_CHANGES: Final = _chosen()
_CHANGES_OF_GROUP: Final = _CHANGES.where(_log.c.group_id == bindparam("group"))


class ChangeReads(Rows):
    """Questions about the log."""

    def changes(
        self, since: int, group: GroupId | None = None, *, limit: int
    ) -> list[LoggedChange]:
        """The first `limit` changes behind `since`, ascending, of one group or of all.

        What history no longer keeps is no longer told of. A conflict is, as long as there is one:
        where the version that first won is gone, with the one that is live.
        """
        chosen = _CHANGES if group is None else _CHANGES_OF_GROUP
        asked = {"since": since, "group": group, "most": limit}
        return [_logged(row) for row in self._all(chosen, asked)]

    def last_seq(self) -> int:
        """The `seq` of the latest change; 0 if there is none."""
        ((last,),) = fetch(self._connection, "SELECT coalesce(max(seq), 0) FROM changes")
        return int(last)


def log_changes(connection: Connection, changes: Sequence[Change]) -> list[int]:
    """Note that versions become live. Returns the `seq` of each, ascending."""
    return _log_rows(
        connection,
        [
            (
                change.record.group,
                change.record.id,
                change.record.hash,
                change.previous and change.previous.hash,
                change.origin,
                int(change.conflict),
                0,
            )
            for change in changes
        ],
    )


def log_withdrawals(connection: Connection, withdrawals: Sequence[Withdrawal]) -> list[int]:
    """Note that versions leave, and behind each what is live again. The `seq` of each of these."""
    rows: list[tuple[Any, ...]] = []
    for gone in withdrawals:
        record, heir = gone.record, gone.heir
        # Nobody passed this on; but "local" would say that an app on this device had done it.
        rows.append((record.group, record.id, record.hash, None, record.device, 0, 1))
        if heir is not None:
            rows.append((heir.group, heir.id, heir.hash, record.hash, heir.device, 0, 0))
    seqs = _log_rows(connection, rows)
    return [seq for seq, row in zip(seqs, rows, strict=True) if not row[-1]]


def tell_of_conflict(connection: Connection, winner: bytes, loser: Signed, origin: str) -> int:
    """Note that the author of `winner`, which is live, had not seen `loser`, which is kept."""
    row = (loser.group, loser.id, winner, loser.hash, origin, 1, 0)
    seq = _log_rows(connection, [row])[0]
    untell(connection, _hand_over(connection, {loser.hash: seq}))
    return seq


def untell(connection: Connection, seqs: Iterable[int]) -> None:
    """Strike the entries of versions that are gone, but for those that tell of conflicts.

    Such an entry is its loser's from now on, in place of the one that told of that before.
    """
    waiting = sorted(set(seqs))
    while waiting:
        heirs: dict[bytes, int] = {}
        for chunk in chunks(waiting):
            heirs |= _heirs(connection, chunk)
        inherited = set(heirs.values())
        struck = [(seq,) for seq in waiting if seq not in inherited]
        run_many(connection, "DELETE FROM changes WHERE seq = ?", struck)
        # What told of an heir may tell of another conflict, over which that had won.
        waiting = _hand_over(connection, heirs)


def _heirs(connection: Connection, seqs: Sequence[int]) -> dict[bytes, int]:
    """The conflicts that these entries tell of and that no entry of their own tells of."""
    own = "SELECT 1 FROM changes AS own WHERE own.seq = loser.seq AND own.previous = loser.hash"
    rows = fetch(
        connection,
        "SELECT loser.hash, told.seq FROM changes AS told "  # noqa: S608 -- places
        "JOIN versions AS loser ON loser.hash = told.previous "
        f"WHERE told.seq IN ({marks(len(seqs))}) AND told.conflict AND loser.state = ? "
        f"AND NOT EXISTS ({own})",
        (*seqs, _UNSEEN),
    )
    return dict(map(tuple, rows))


def _hand_over(connection: Connection, entries: Mapping[bytes, int]) -> list[int]:
    """Have these kept versions told of by these entries; returns those that did so far."""
    before: list[int] = []
    for chunk in chunks(list(entries)):
        sql = f"SELECT seq FROM versions WHERE seq > 0 AND hash IN ({marks(len(chunk))})"  # noqa: S608 -- places
        before += [seq for (seq,) in fetch(connection, sql, chunk)]
    rows = [(seq, digest) for digest, seq in entries.items()]
    run_many(connection, "UPDATE versions SET seq = ? WHERE hash = ?", rows)
    return sorted(before)


def _log_rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[int]:
    if not rows:
        return []
    run_many(connection, _INSERT, rows)
    # Nobody else writes during this transaction, so the numbers are without gaps.
    ((last,),) = fetch(connection, "SELECT last_insert_rowid()")
    return list(range(last - len(rows) + 1, last + 1))


def _logged(row: Row[Any]) -> LoggedChange:
    parts = [row[start : start + _WIDTH] for start in range(0, 4 * _WIDTH, _WIDTH)]
    live, kept, before, again = (signed_of(part) if part[0] is not None else None for part in parts)
    # Live is whatever is now: not what this tells of, where that is kept elsewhere.
    record = kept or live
    assert record is not None
    return LoggedChange(
        seq=row.seq,
        record=record,
        previous=before or again,
        origin=row.origin,
        conflict=row.conflict,
        withdrawn=row.withdrawn,
    )

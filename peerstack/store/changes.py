"""This device's log of what became live, in order: what apps read to miss nothing.

Knows where a version's body stands now (live, or kept); not why anything changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, or_, select

from peerstack.ids import GroupId
from peerstack.record import Signed
from peerstack.store import schema
from peerstack.store.rows import Rows, fetch, run_many, signed_columns, signed_of
from peerstack.store.values import Change, LoggedChange

_log = schema.changes
_live = schema.records.alias("live")
_kept = schema.versions.alias("kept")
_before = schema.versions.alias("before")
_WIDTH = len(signed_columns(schema.records))

_INSERT = (
    "INSERT INTO changes (group_id, id, hash, previous, origin, conflict) VALUES (?, ?, ?, ?, ?, ?)"
)


class ChangeReads(Rows):
    """Questions about the log."""

    def changes(
        self, since: int, group: GroupId | None = None, *, limit: int
    ) -> list[LoggedChange]:
        """The first `limit` changes behind `since`, ascending, of one group or of all.

        What history no longer keeps is no longer told of.
        """
        joined = (
            _log.outerjoin(
                _live,
                and_(
                    _live.c.group_id == _log.c.group_id,
                    _live.c.id == _log.c.id,
                    _live.c.hash == _log.c.hash,
                ),
            )
            .outerjoin(_kept, _kept.c.hash == _log.c.hash)
            .outerjoin(_before, _before.c.hash == _log.c.previous)
        )
        columns = [*signed_columns(_live), *signed_columns(_kept), *signed_columns(_before)]
        found = or_(_live.c.hash.is_not(None), _kept.c.hash.is_not(None))
        chosen = select(*columns, _log.c.seq, _log.c.origin, _log.c.conflict).select_from(joined)
        chosen = chosen.where(_log.c.seq > since, found).order_by(_log.c.seq).limit(limit)
        if group is not None:
            chosen = chosen.where(_log.c.group_id == group)
        return [_logged(row) for row in self._all(chosen)]

    def last_seq(self) -> int:
        """The `seq` of the latest change; 0 if there is none."""
        return int(self._all(select(func.coalesce(func.max(_log.c.seq), 0)))[0][0])


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
            )
            for change in changes
        ],
    )


def log_late_loser(connection: Connection, winner: bytes, loser: Signed, origin: str) -> int:
    """Note that `loser` came when `winner`, whose author had not seen it, was live already."""
    row = (loser.group, loser.id, winner, loser.hash, origin, 1)
    return _log_rows(connection, [row])[0]


def _log_rows(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[int]:
    if not rows:
        return []
    run_many(connection, _INSERT, rows)
    # Nobody else writes during this transaction, so the numbers are without gaps.
    ((last,),) = fetch(connection, "SELECT last_insert_rowid()")
    return list(range(last - len(rows) + 1, last + 1))


def _logged(row: Row[Any]) -> LoggedChange:
    live, kept, before = (row[start : start + _WIDTH] for start in range(0, 3 * _WIDTH, _WIDTH))
    return LoggedChange(
        seq=row.seq,
        record=signed_of(live if live[0] is not None else kept),
        previous=None if before[0] is None else signed_of(before),
        origin=row.origin,
        conflict=row.conflict,
    )

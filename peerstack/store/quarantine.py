"""The quarantine: versions whose authors had no right to them, kept where admins can look at them.

Knows how versions get in and out, and that sums and the log follow; whose right ended, it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import and_, func, or_, select

from peerstack import limits
from peerstack.errors import StoreError
from peerstack.ids import GroupId
from peerstack.record import Signed
from peerstack.store import blocks, schema
from peerstack.store.changes import log_withdrawals
from peerstack.store.records import DELETE, INSERT, RecordReads, live_row
from peerstack.store.rows import (
    SIGNED,
    Rows,
    chunks,
    fetch,
    marks,
    row_of,
    run_many,
    signed_columns,
    signed_of,
)
from peerstack.store.search import SearchIndex
from peerstack.store.values import SetAside, VersionState, Withdrawal, item_of

_table = schema.versions
_SIGNED = signed_columns(_table)
_QUARANTINED: Final = VersionState.QUARANTINED.value

_TAKE_OUT = (
    f"INSERT INTO versions ({SIGNED}, seq, state, since_ms, waits_for) "  # noqa: S608 -- columns
    f"SELECT {SIGNED}, seq, '{_QUARANTINED}', ?, ? "
    "FROM records WHERE group_id = ? AND id = ? AND hash = ? "
    "ON CONFLICT (hash) DO UPDATE SET state = excluded.state, seq = excluded.seq, "
    "since_ms = excluded.since_ms, until_ms = NULL, waits_for = excluded.waits_for"
)
_PUT = (
    f"INSERT INTO versions ({SIGNED}, state, since_ms, waits_for) "  # noqa: S608 -- columns
    f"VALUES ({marks(13)}) ON CONFLICT (hash) DO NOTHING"
)
_SET_ASIDE = (
    f"UPDATE versions SET state = '{_QUARANTINED}', "  # noqa: S608 -- a constant
    f"since_ms = CASE state WHEN '{_QUARANTINED}' THEN since_ms ELSE ? END, waits_for = ? "
    "WHERE hash = ?"
)


class QuarantineReads(Rows):
    """Questions about a group's quarantine."""

    def quarantined(
        self, group: GroupId, limit: int, after: tuple[int, bytes] | None = None
    ) -> list[SetAside]:
        """The first `limit` versions of apps' types in quarantine, those that came last first.

        `after`: the `since_ms` and hash of the last one of the page before.
        """
        chosen = (_table.c.group_id == group) & (_table.c.state == _QUARANTINED)
        chosen &= ~_table.c.type.startswith("$")
        if after is not None:
            since_ms, digest = after
            behind = and_(_table.c.since_ms == since_ms, _table.c.hash > digest)
            chosen &= or_(_table.c.since_ms < since_ms, behind)
        rows = select(*_SIGNED, _table.c.waits_for, _table.c.since_ms).where(chosen)
        ordered = rows.order_by(_table.c.since_ms.desc(), _table.c.hash).limit(limit)
        return [_set_aside(row) for row in self._all(ordered)]

    def quarantined_by_hash(self, group: GroupId, hashes: Iterable[bytes]) -> list[SetAside]:
        """Those of these versions that are in the group's quarantine."""
        found = []
        for chunk in chunks(sorted(set(hashes))):
            sql = (
                f"SELECT {SIGNED}, waits_for, since_ms FROM versions "  # noqa: S608 -- places
                f"WHERE hash IN ({marks(len(chunk))}) AND group_id = ? AND state = ?"
            )
            rows = fetch(self._connection, sql, (*chunk, group, _QUARANTINED))
            found += [_set_aside(row) for row in rows]
        return found


class QuarantineWrites(RecordReads, QuarantineReads):
    """What puts versions into quarantine and takes them out of it."""

    def withdraw(self, withdrawals: Sequence[Withdrawal], now_ms: int) -> None:
        """Take live versions out, let lost ones be live again in their place, and log both.

        Marks are neither logged nor kept. All of one group, and no record twice. Sums and roots
        follow. Nothing is refused here, however full the quarantine is: these were stored already.
        Raises `StoreError` where one is not live.
        """
        if not withdrawals:
            return
        logged = [one for one in withdrawals if not one.record.is_mark]
        seqs = log_withdrawals(self._connection, logged)
        gone = [one.record for one in withdrawals]
        heirs = [one.heir for one in withdrawals if one.heir is not None]
        lines = [(each.group, each.id, each.hash) for each in gone]
        asides = [
            (now_ms, one.why, one.record.group, one.record.id, one.record.hash) for one in logged
        ]
        index = SearchIndex.of(self._connection)
        if index is not None:
            index.leave((each.group, each.id) for each in gone)
        run_many(self._connection, _TAKE_OUT, asides)
        if run_many(self._connection, DELETE, lines) != len(gone):
            raise StoreError("a version is withdrawn that is not live; read it anew")
        rows = [live_row(heir, seq) for heir, seq in zip(heirs, seqs, strict=True)]
        run_many(self._connection, INSERT, rows)
        if index is not None:
            index.enter((heir.group, heir.id) for heir in heirs)
        self._drop(heirs)
        self._sets.clear()
        removed, added = [item_of(each) for each in gone], [item_of(heir) for heir in heirs]
        blocks.move(self._connection, gone[0].group, removed, added)

    def quarantine(self, versions: Sequence[tuple[Signed, str]], now_ms: int) -> list[Signed]:
        """Put versions that arrived into quarantine, each with why (as in `SetAside`).

        What is kept already stays as it is. Returns what did not fit: nothing is added where a
        group's quarantine holds `limits.QUARANTINED_PER_GROUP`.
        """
        rooms, fitting, rest = dict[str, int](), list[tuple[Any, ...]](), list[Signed]()
        for version, why in versions:
            free = rooms.get(version.group)
            if free is None:
                free = self._room(version.group)
            if free > 0:
                fitting.append((*row_of(version), _QUARANTINED, now_ms, why))
            else:
                rest.append(version)
            rooms[version.group] = free - 1
        run_many(self._connection, _PUT, fitting)
        return rest

    def set_aside(self, versions: Sequence[tuple[Signed, str]], now_ms: int) -> None:
        """Move versions that are kept already into quarantine, or say anew why they are there."""
        rows = [(now_ms, why, version.hash) for version, why in versions]
        run_many(self._connection, _SET_ASIDE, rows)

    def readmit(self, versions: Sequence[Signed]) -> None:
        """Let go of versions in quarantine, since they are about to be live, or lose."""
        self._drop(versions)

    def _drop(self, versions: Sequence[Signed]) -> None:
        rows = [(version.hash,) for version in versions]
        run_many(self._connection, "DELETE FROM versions WHERE hash = ?", rows)

    def _room(self, group: str) -> int:
        most = limits.QUARANTINED_PER_GROUP
        chosen = (_table.c.group_id == group) & (_table.c.state == _QUARANTINED)
        # No more are counted than matter: what was withdrawn has no bound.
        some = select(_table.c.hash).where(chosen).limit(most).subquery()
        count: int = self._all(select(func.count()).select_from(some))[0][0]
        return most - count


def _set_aside(row: Sequence[Any]) -> SetAside:
    *_, why, since_ms = row
    return SetAside(signed_of(row), why, since_ms)

"""Versions that are not live but kept, and hashes that are only remembered.

Knows the bounds and the ages; why a version is held or was refused is for others to say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Select, delete, func, select

from peerstack import limits
from peerstack.ids import GroupId, RecordId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed
from peerstack.store import schema
from peerstack.store.changes import log_late_loser
from peerstack.store.rows import (
    PARAMETERS,
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
from peerstack.store.values import Counts, VersionState

_table = schema.versions
_memory = schema.remembered
_SIGNED = signed_columns(_table)
_PRUNED = (_table.c.group_id, _table.c.hash, _table.c.signer, _table.c.id, _table.c.seq)
_KEEP = (
    f"INSERT INTO versions ({SIGNED}, seq, state, since_ms, until_ms, waits_for) "  # noqa: S608
    f"VALUES ({marks(15)}) ON CONFLICT (hash) DO UPDATE SET state = excluded.state, "
    "seq = excluded.seq, since_ms = excluded.since_ms, until_ms = excluded.until_ms, "
    "waits_for = excluded.waits_for"
)
_REMEMBER = (
    "INSERT INTO remembered (group_id, hash, signer, reason, at_ms, id) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (group_id, hash) DO NOTHING"
)

_UNSEEN: Final = VersionState.UNSEEN.value
_LOST: Final = (VersionState.HISTORY, VersionState.UNSEEN)

PRUNED: Final = "pruned"
"""The reason under which hashes are remembered that history no longer keeps."""


class VersionReads(Rows):
    """Questions about versions that are not live."""

    def history(self, group: GroupId, record_id: RecordId) -> list[Signed]:
        """The versions of a record that lost, and are still kept; the newest first."""
        line = (_table.c.group_id == group) & (_table.c.id == record_id)
        newest = (_table.c.modified.desc(), _table.c.hash.desc())
        return self._signed(select(*_SIGNED).where(line, _in(*_LOST)).order_by(*newest))

    def known(self, group: GroupId, hashes: Iterable[bytes]) -> set[bytes]:
        """Those of these hashes that are kept though not live, or remembered: not to be asked for.

        Whether a version is live, `live_heads` tells.
        """
        found = set[bytes]()
        for chunk in chunks(sorted(set(hashes))):
            for table in ("versions", "remembered"):
                sql = (
                    f"SELECT hash FROM {table} "  # noqa: S608 -- names and places
                    f"WHERE group_id = ? AND hash IN ({marks(len(chunk))})"
                )
                found.update(digest for (digest,) in fetch(self._connection, sql, (group, *chunk)))
        return found

    def unseen_hashes(self, group: GroupId) -> list[Hash]:
        """The hashes of the group's versions that `mark_unseen` named, ascending."""
        sql = "SELECT hash FROM versions WHERE group_id = ? AND state = ? ORDER BY hash"
        return [digest for (digest,) in fetch(self._connection, sql, (group, _UNSEEN))]

    def lost(self, group: GroupId, ids: Collection[RecordId]) -> dict[RecordId, list[Signed]]:
        """`history` of many records at once, each newest first; without those that have none."""
        found = defaultdict[RecordId, list[Signed]](list)
        for chunk in chunks(sorted(set(ids)), PARAMETERS - 3):
            sql = (
                f"SELECT {SIGNED} FROM versions WHERE group_id = ? "  # noqa: S608 -- places
                f"AND id IN ({marks(len(chunk))}) AND state IN ({marks(len(_LOST))}) "
                "ORDER BY modified DESC, hash DESC"
            )
            for row in fetch(self._connection, sql, (group, *chunk, *_LOST)):
                version = signed_of(row)
                found[version.id].append(version)
        return dict(found)

    def kept(self, hashes: Iterable[bytes]) -> list[Signed]:
        """Those of these versions that lost and are still kept."""
        found = []
        for chunk in chunks(sorted(set(hashes))):
            chosen = _table.c.hash.in_(chunk) & _in(*_LOST)
            found += self._signed(select(*_SIGNED).where(chosen))
        return found

    def known_aside(self, group: GroupId, limit: int) -> list[Hash]:
        """Hashes of what is known without being live: kept, or remembered; the newest, bounded."""
        kept = select(_table.c.hash).where(_table.c.group_id == group)
        newest = kept.order_by(_table.c.since_ms.desc(), _table.c.hash).limit(limit)
        remembered = select(_memory.c.hash).where(_memory.c.group_id == group)
        latest = remembered.order_by(_memory.c.number.desc()).limit(limit)
        found = [row.hash for query in (newest, latest) for row in self._all(query)]
        return found[:limit]

    def has_set_aside(self, group: GroupId) -> bool:
        """Whether anything of the group is held, quarantined, or remembered."""
        aside = (_table.c.group_id == group) & ~_in(*_LOST)
        kept = select(_table.c.hash).where(aside).limit(1)
        remembered = select(_memory.c.hash).where(_memory.c.group_id == group).limit(1)
        return bool(self._all(kept) or self._all(remembered))

    def due(self, now_ms: int, limit: int) -> list[Signed]:
        """Held versions whose time has come, those that waited longest first."""
        chosen = _in(VersionState.HELD) & (_table.c.until_ms <= now_ms)
        ordered = select(*_SIGNED).where(chosen).order_by(_table.c.until_ms, _table.c.hash)
        return self._signed(ordered.limit(limit))

    def next_due_ms(self) -> int | None:
        """When `due` will next have something to say; `None` if nothing waits for a time."""
        earliest = select(func.min(_table.c.until_ms)).where(_in(VersionState.HELD))
        found: int | None = self._all(earliest)[0][0]
        return found

    def waiting(self, group: GroupId, limit: int, after: bytes = b"") -> list[Signed]:
        """Versions held for want of a statement, in the order of hashes, from behind `after`."""
        chosen = (_table.c.group_id == group) & _in(VersionState.HELD) & (_table.c.hash > after)
        ordered = select(*_SIGNED).where(chosen, _table.c.waits_for.is_not(None))
        return self._signed(ordered.order_by(_table.c.hash).limit(limit))

    def counts(self, group: GroupId) -> Counts:
        """How many of everything, for a group; all zero for one that is not here."""
        states = select(_table.c.state, func.count()).where(_table.c.group_id == group)
        kept = dict(map(tuple, self._all(states.group_by(_table.c.state))))
        reasons = select(_memory.c.reason, func.count()).where(_memory.c.group_id == group)
        refused = dict(map(tuple, self._all(reasons.group_by(_memory.c.reason))))
        live = select(schema.groups.c.count).where(schema.groups.c.id == group)
        statements = schema.statements.c
        pending = select(func.count()).where(statements.group_id == group, statements.pending)
        return Counts(
            live=sum(count for (count,) in self._all(live)),
            history=sum(kept.get(state, 0) for state in _LOST),
            held=kept.get(VersionState.HELD, 0),
            quarantined=kept.get(VersionState.QUARANTINED, 0),
            pending_statements=self._all(pending)[0][0],
            refused=refused,
        )


class VersionWrites(VersionReads):
    """What keeps versions, lets go of them, and remembers hashes."""

    def log_conflict(self, winner: Hash, loser: Signed, origin: str, now_ms: int) -> int:
        """Keep a version that came late and lost to one whose author had not seen it, and log it.

        `winner` is the hash of the live version. Returns the `seq` of the change.
        """
        seq = log_late_loser(self._connection, winner, loser, origin)
        self._keep([loser], VersionState.HISTORY, now_ms, seq=seq)
        return seq

    def keep_history(self, losers: Sequence[Signed], now_ms: int) -> None:
        """Keep versions that lost to one whose author had seen them; nothing is logged."""
        self._keep(losers, VersionState.HISTORY, now_ms)

    def mark_unseen(self, lost: Iterable[Hash], unseen: Iterable[Hash]) -> None:
        """Of the versions in `lost`, those in `unseen` are conflicts now, and the others none."""
        marked = set(unseen)
        rows = [(_UNSEEN if one in marked else VersionState.HISTORY.value, one) for one in lost]
        run_many(self._connection, "UPDATE versions SET state = ? WHERE hash = ?", rows)

    def prune_history(self, group: GroupId, ids: Collection[RecordId], now_ms: int) -> int:
        """Let go of what history need not keep of these records; returns how many versions.

        Each signer keeps the newest `limits.HISTORY_PER_SIGNER` of a record, so that nobody pushes
        out another's, and none for longer than `limits.HISTORY_MS`. The hashes are remembered.
        """
        place = func.row_number().over(
            partition_by=(_table.c.id, _table.c.signer),
            order_by=(_table.c.modified.desc(), _table.c.hash.desc()),
        )
        pruned = 0
        for chunk in chunks(sorted(set(ids))):
            line = (_table.c.group_id == group) & _table.c.id.in_(chunk)
            placed = select(*_PRUNED, _table.c.since_ms, place.label("place")).where(
                line, _in(*_LOST)
            )
            ranked = placed.subquery()
            old = (ranked.c.place > limits.HISTORY_PER_SIGNER) | (
                ranked.c.since_ms < now_ms - limits.HISTORY_MS
            )
            pruned += self._prune(select(*ranked.c[: len(_PRUNED)]).where(old), now_ms)
        return pruned

    def sweep_history(self, now_ms: int, limit: int) -> int:
        """Let go of at most `limit` versions that are too old for history; returns how many."""
        old = _in(*_LOST) & (_table.c.since_ms < now_ms - limits.HISTORY_MS)
        eldest = select(*_PRUNED).where(old).order_by(_table.c.since_ms).limit(limit)
        return self._prune(eldest, now_ms)

    def hold(
        self,
        versions: Sequence[Signed],
        now_ms: int,
        *,
        until_ms: int | None = None,
        waits_for: str | None = None,
    ) -> list[Signed]:
        """Keep versions until a time comes, or for want of a statement (its id, or hash in hex).

        Returns what did not fit: a group holds `limits.HELD_RECORDS_PER_GROUP`.
        """
        rooms, fitting, rest = dict[str, int](), list[Signed](), list[Signed]()
        for version in versions:
            free = rooms.get(version.group)
            if free is None:
                free = limits.HELD_RECORDS_PER_GROUP - self._count_held(version.group)
            (fitting if free > 0 else rest).append(version)
            rooms[version.group] = free - 1
        self._keep(fitting, VersionState.HELD, now_ms, until_ms=until_ms, waits_for=waits_for)
        return rest

    def release(self, hashes: Iterable[bytes]) -> None:
        """Hold versions no longer: they have become live, lost, or were refused."""
        for chunk in chunks(sorted(set(hashes))):
            chosen = _table.c.hash.in_(chunk) & _in(VersionState.HELD)
            self._connection.execute(delete(_table).where(chosen))

    def remember(
        self, group: GroupId, refused: Sequence[tuple[Hash, UserId, str]], now_ms: int
    ) -> None:
        """Remember hashes, with their signers and why; the oldest beyond the bound go."""
        self._remember(group, [(*one, now_ms, None) for one in refused])

    def _remember(
        self,
        group: GroupId,
        remembered: Sequence[tuple[Hash, UserId, str, int, RecordId | None]],
    ) -> None:
        if not remembered:
            return
        rows = [(group, *one) for one in remembered]
        run_many(self._connection, _REMEMBER, rows)
        mine = _memory.c.group_id == group
        newest = select(_memory.c.number).where(mine).order_by(_memory.c.number.desc())
        eldest = newest.offset(limits.REFUSED_HASHES_PER_GROUP).limit(1).scalar_subquery()
        self._connection.execute(delete(_memory).where(mine, _memory.c.number <= eldest))

    def forget(self, group: GroupId, signers: Collection[UserId]) -> None:
        """Forget what was refused of these signers, since their rights have changed.

        What history let go of, it did not for want of a right: that stays remembered.
        """
        for chunk in chunks(sorted(signers)):
            mine = (_memory.c.group_id == group) & _memory.c.signer.in_(chunk)
            self._connection.execute(delete(_memory).where(mine, _memory.c.reason != PRUNED))

    def forget_pruned(self, group: GroupId, ids: Collection[RecordId]) -> None:
        """Forget what history let go of these records: what was live is no longer above it."""
        for chunk in chunks(sorted(set(ids))):
            mine = (_memory.c.group_id == group) & _memory.c.id.in_(chunk)
            self._connection.execute(delete(_memory).where(mine))

    def _keep(
        self,
        versions: Iterable[Signed],
        state: VersionState,
        now_ms: int,
        *,
        seq: int | None = None,
        until_ms: int | None = None,
        waits_for: str | None = None,
    ) -> None:
        rest = (seq, state.value, now_ms, until_ms, waits_for)
        run_many(self._connection, _KEEP, [(*row_of(version), *rest) for version in versions])

    def _count_held(self, group: str) -> int:
        chosen = (_table.c.group_id == group) & _in(VersionState.HELD)
        count: int = self._all(select(func.count()).select_from(_table).where(chosen))[0][0]
        return count

    def _prune(
        self, chosen: Select[tuple[GroupId, Hash, UserId, RecordId, int | None]], now_ms: int
    ) -> int:
        rows = self._all(chosen)
        run_many(
            self._connection,
            "DELETE FROM versions WHERE hash = ?",
            [(digest,) for _, digest, *_ in rows],
        )
        logged = [(seq,) for *_, seq in rows if seq is not None]
        run_many(self._connection, "DELETE FROM changes WHERE seq = ?", logged)
        by_group = defaultdict[GroupId, list[tuple[Hash, UserId, str, int, RecordId]]](list)
        for group, digest, signer, record_id, _ in rows:
            by_group[group].append((digest, signer, PRUNED, now_ms, record_id))
        for group, pruned in by_group.items():
            self._remember(group, pruned)
        return len(rows)


def _in(*states: VersionState) -> ColumnElement[bool]:
    return _table.c.state.in_([state.value for state in states])

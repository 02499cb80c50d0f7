"""Versions that are not live but kept, and hashes that are only remembered.

Knows the bounds and the ages; why a version is held or was refused is for others to say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from peerstack import limits
from peerstack.ids import DeviceId, GroupId, RecordId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed, had_seen
from peerstack.store.changes import tell_of_conflict, untell
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
from peerstack.store.values import UNCHECKED, Counts, VersionState

_KEEP = (
    f"INSERT INTO versions ({SIGNED}, state, since_ms) "  # noqa: S608 -- names of columns
    f"VALUES ({marks(12)}) ON CONFLICT (hash) DO UPDATE SET state = excluded.state, "
    "since_ms = excluded.since_ms, seq = NULL, until_ms = NULL, waits_for = NULL, sender = NULL"
)
_HOLD = (
    f"INSERT INTO versions ({SIGNED}, state, since_ms, "  # noqa: S608 -- names of columns
    f"until_ms, waits_for, sender) VALUES ({marks(15)}) ON CONFLICT (hash) DO UPDATE SET "
    "signature = excluded.signature, until_ms = excluded.until_ms, waits_for = excluded.waits_for "
    f"WHERE state = '{VersionState.HELD}' AND excluded.waits_for IS NOT '{UNCHECKED}'"
)
_SURPLUS = (
    # Of what whoever has most held has sent, the eldest.
    "SELECT hash FROM (SELECT hash, since_ms, row_number() OVER "
    "(PARTITION BY sender ORDER BY since_ms DESC, hash) AS place "
    "FROM versions WHERE group_id = ? AND state = ?) ORDER BY place DESC, since_ms, hash LIMIT ?"
)


class _Dropped(NamedTuple):
    """What has to be known of a version to let go of it."""

    group_id: GroupId
    id: RecordId
    hash: Hash
    signer: UserId
    seq: int | None
    state: str


_DROPPED: Final = ", ".join(_Dropped._fields)
_AGED_FIRST = (
    f"SELECT {_DROPPED} FROM versions "  # noqa: S608 -- names of columns
    f"WHERE state IN ({marks(2)}) AND since_ms < ? ORDER BY since_ms LIMIT ?"
)

_REMEMBER = (
    "INSERT INTO remembered (group_id, hash, signer, reason, at_ms, id) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (group_id, hash) DO NOTHING"
)

_FORGET_OLDEST = (
    "DELETE FROM remembered WHERE group_id = ? AND number <= (SELECT number FROM remembered "
    "WHERE group_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)"
)
_HELD: Final = VersionState.HELD.value
_UNSEEN: Final = VersionState.UNSEEN.value
_LOST: Final = (VersionState.HISTORY.value, _UNSEEN)

AGED: Final = "aged"
"""Why a hash is remembered of what was in history for all its time."""


_CHECKED: Final = f"waits_for IS NOT '{UNCHECKED}'"
_NEWEST_ASIDE: Final = (
    f"SELECT hash FROM versions WHERE group_id = ? AND {_CHECKED} "  # noqa: S608 -- a condition
    "ORDER BY since_ms DESC, hash LIMIT ?"
)
_NEWEST_REMEMBERED: Final = (
    "SELECT hash FROM remembered WHERE group_id = ? ORDER BY number DESC LIMIT ?"
)
_LINE: Final = (
    f"SELECT {SIGNED} FROM versions WHERE group_id = ? AND id = ? "  # noqa: S608 -- columns, places
    f"AND state IN ({marks(len(_LOST))}) ORDER BY modified DESC, hash DESC"
)
_ANY_ASIDE: Final = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM versions WHERE group_id = ? "  # noqa: S608 -- places
    f"AND state NOT IN ({marks(len(_LOST))})) "
    "OR EXISTS (SELECT 1 FROM remembered WHERE group_id = ?)"
)


class Swept(NamedTuple):
    """What a sweep of history has let go of."""

    eldest: int
    """How many versions had been there too long."""
    groups: Collection[GroupId]
    """Those that have fewer conflicts since."""


class VersionReads(Rows):
    """Questions about versions that are not live."""

    def history(self, group: GroupId, record_id: RecordId) -> list[Signed]:
        """The versions of a record that lost, and are still kept; the newest first."""
        rows = fetch(self._connection, _LINE, (group, record_id, *_LOST))
        return [signed_of(row) for row in rows]

    def known(self, group: GroupId, hashes: Iterable[bytes]) -> set[bytes]:
        """Those of these hashes that are kept though not live, or remembered: not to be asked for.

        Whether a version is live, `live_heads` tells. A copy that nobody could check is not known.
        """
        found = set[bytes]()
        for chunk in chunks(sorted(set(hashes))):
            for table, checked in (("versions", f"AND {_CHECKED}"), ("remembered", "")):
                sql = (
                    f"SELECT hash FROM {table} "  # noqa: S608 -- names and places
                    f"WHERE group_id = ? AND hash IN ({marks(len(chunk))}) {checked}"
                )
                found.update(digest for (digest,) in fetch(self._connection, sql, (group, *chunk)))
        return found

    def unseen_hashes(self, group: GroupId) -> list[Hash]:
        """The hashes of the group's versions that `mark_conflicts` named, ascending."""
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

    def conflicts(self, group: GroupId, ids: Iterable[RecordId]) -> set[Hash]:
        """The hashes of those versions of these records that `mark_conflicts` named."""
        found = set[Hash]()
        for chunk in chunks(sorted(set(ids))):
            sql = (
                f"SELECT hash FROM versions WHERE group_id = ? AND id IN ({marks(len(chunk))}) "  # noqa: S608 -- places
                "AND state = ?"
            )
            rows = fetch(self._connection, sql, (group, *chunk, _UNSEEN))
            found.update(digest for (digest,) in rows)
        return found

    def kept(self, hashes: Iterable[bytes]) -> list[Signed]:
        """Those of these versions that lost and are still kept."""
        found = list[Signed]()
        for chunk in chunks(sorted(set(hashes)), PARAMETERS - len(_LOST)):
            sql = (
                f"SELECT {SIGNED} FROM versions WHERE hash IN ({marks(len(chunk))}) "  # noqa: S608 -- places
                f"AND state IN ({marks(len(_LOST))})"
            )
            found += [signed_of(row) for row in fetch(self._connection, sql, (*chunk, *_LOST))]
        return found

    def known_aside(self, group: GroupId, limit: int) -> list[Hash]:
        """Hashes of what is known without being live: kept, or remembered; the newest, bounded."""
        found = [
            digest
            for sql in (_NEWEST_ASIDE, _NEWEST_REMEMBERED)
            for (digest,) in fetch(self._connection, sql, (group, limit))
        ]
        return found[:limit]

    def has_set_aside(self, group: GroupId) -> bool:
        """Whether anything of the group is held, quarantined, or remembered."""
        return bool(fetch(self._connection, _ANY_ASIDE, (group, *_LOST, group)))

    def due(self, now_ms: int, limit: int) -> list[Signed]:
        """Held versions whose time has come, those that waited longest first."""
        sql = (
            f"SELECT {SIGNED} FROM versions WHERE state = ? AND until_ms <= ? "  # noqa: S608 -- columns
            "ORDER BY until_ms, hash LIMIT ?"
        )
        rows = fetch(self._connection, sql, (_HELD, now_ms, limit))
        return [signed_of(row) for row in rows]

    def next_due_ms(self) -> int | None:
        """When `due` will next have something to say; `None` if nothing waits for a time."""
        sql = "SELECT min(until_ms) FROM versions WHERE state = ?"
        ((found,),) = fetch(self._connection, sql, (_HELD,))
        return None if found is None else int(found)

    def waiting_signers(self, group: GroupId) -> set[UserId]:
        """Who signed the versions that are held for want of a statement."""
        sql = (
            "SELECT DISTINCT signer FROM versions "
            "WHERE group_id = ? AND state = ? AND waits_for IS NOT NULL"
        )
        return {signer for (signer,) in fetch(self._connection, sql, (group, _HELD))}

    def counts(self, group: GroupId) -> Counts:
        """How many of everything, for a group; all zero for one that is not here."""
        states = "SELECT state, count(*) FROM versions WHERE group_id = ? GROUP BY state"
        kept = dict(map(tuple, fetch(self._connection, states, (group,))))
        reasons = (
            "SELECT reason, count(*) FROM remembered "
            "WHERE group_id = ? AND reason != ? GROUP BY reason"
        )
        live = "SELECT count FROM groups WHERE id = ?"
        pending = "SELECT count(*) FROM statements WHERE group_id = ? AND pending = 1"
        return Counts(
            live=sum(count for (count,) in fetch(self._connection, live, (group,))),
            history=sum(kept.get(state, 0) for state in _LOST),
            held=kept.get(VersionState.HELD, 0),
            quarantined=kept.get(VersionState.QUARANTINED, 0),
            pending_statements=fetch(self._connection, pending, (group,))[0][0],
            refused=dict(map(tuple, fetch(self._connection, reasons, (group, AGED)))),
        )


class VersionWrites(VersionReads):
    """What keeps versions, lets go of them, and remembers hashes."""

    def keep_history(self, losers: Sequence[Signed], now_ms: int) -> None:
        """Keep versions that came when a later one was live already; nothing is logged."""
        rest = (VersionState.HISTORY.value, now_ms)
        run_many(self._connection, _KEEP, [(*row_of(loser), *rest) for loser in losers])

    def mark_conflicts(self, appeared: Iterable[Hash], ended: Iterable[Hash]) -> None:
        """Some versions that are kept are conflicts now, and others none any more."""
        rows = [(_UNSEEN, one) for one in appeared]
        rows += [(VersionState.HISTORY.value, one) for one in ended]
        run_many(self._connection, "UPDATE versions SET state = ? WHERE hash = ?", rows)

    def log_conflict(self, winner: Hash, loser: Signed, origin: str) -> int:
        """Log that the author of `winner`, which is live, had not seen a version that is kept.

        Returns the `seq` of the change, which tells of that version from now on.
        """
        return tell_of_conflict(self._connection, winner, loser, origin)

    def prune_history(self, group: GroupId, ids: Collection[RecordId]) -> int:
        """Let go of what is too much in the history of these records; returns how many versions.

        Each signer keeps `limits.HISTORY_PER_SIGNER` of a record, so that nobody pushes out
        another's: conflicts before all others, and then the newest. The hashes are not remembered,
        since what is no conflict here may still be one elsewhere, and then belongs to history.
        """
        pruned = 0
        for chunk in chunks(sorted(set(ids)), PARAMETERS - 5):
            sql = (
                f"SELECT {_DROPPED} FROM (SELECT {_DROPPED}, row_number() OVER "  # noqa: S608 -- names, places
                "(PARTITION BY id, signer ORDER BY state = ? DESC, modified DESC, hash DESC) "
                f"AS place FROM versions WHERE group_id = ? AND id IN ({marks(len(chunk))}) "
                f"AND state IN ({marks(len(_LOST))})) WHERE place > ?"
            )
            asked = (_UNSEEN, group, *chunk, *_LOST, limits.HISTORY_PER_SIGNER)
            surplus = fetch(self._connection, sql, asked)
            pruned += self._let_go([_Dropped(*row) for row in surplus])
        return pruned

    def sweep_history(self, now_ms: int, limit: int) -> Swept:
        """Let go of at most `limit` versions that lost more than `limits.HISTORY_MS` ago.

        With a conflict goes what its author had seen, which would be a conflict itself without it.
        All are remembered: others may keep them longer, and would bring them back.
        """
        old = (*_LOST, now_ms - limits.HISTORY_MS, limit)
        eldest = [_Dropped(*row) for row in fetch(self._connection, _AGED_FIRST, old)]
        ended = [row.hash for row in eldest if row.state == _UNSEEN]
        rows = {row.hash: row for row in [*eldest, *self._seen_by(ended)]}.values()
        self._let_go(rows)
        by_group = defaultdict[GroupId, list[tuple[Hash, UserId, str, int, RecordId]]](list)
        for row in rows:
            by_group[row.group_id].append((row.hash, row.signer, AGED, now_ms, row.id))
        for group, aged in by_group.items():
            self._remember(group, aged)
        return Swept(len(eldest), {row.group_id for row in rows if row.state == _UNSEEN})

    def hold(
        self,
        versions: Sequence[Signed],
        sender: DeviceId,
        now_ms: int,
        *,
        until_ms: int | None = None,
        waits_for: str | None = None,
    ) -> int:
        """Keep versions until a time comes, or for want of a statement (its id, or hash in hex).

        Returns how many there is no room for: a group holds `limits.HELD_RECORDS_PER_GROUP`, of
        which the eldest of the device that sent most make room. One that is held already goes on to
        wait since it came from whoever sent it first; of copies, the last that was checked stays.
        """
        rest = (VersionState.HELD.value, now_ms, until_ms, waits_for, sender)
        run_many(self._connection, _HOLD, [(*row_of(version), *rest) for version in versions])
        dropped = 0
        for group in {version.group for version in versions}:
            surplus = self._count_held(group) - limits.HELD_RECORDS_PER_GROUP
            if surplus > 0:
                chosen = (group, VersionState.HELD.value, surplus)
                self.release(row[0] for row in fetch(self._connection, _SURPLUS, chosen))
                dropped += surplus
        return dropped

    def sweep_held(self, now_ms: int, limit: int) -> int:
        """Let go of at most `limit` versions that were held too long; returns how many."""
        sql = "SELECT hash FROM versions WHERE state = ? AND since_ms < ? LIMIT ?"
        old = (VersionState.HELD, now_ms - limits.WAITING_MS, limit)
        eldest = fetch(self._connection, sql, old)
        self.release(digest for (digest,) in eldest)
        return len(eldest)

    def release(self, hashes: Iterable[bytes]) -> None:
        """Hold versions no longer: they have become live, lost, or were refused."""
        for chunk in chunks(sorted(set(hashes))):
            sql = f"DELETE FROM versions WHERE hash IN ({marks(len(chunk))}) AND state = ?"  # noqa: S608 -- places
            run_many(self._connection, sql, [(*chunk, _HELD)])

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
        bound = (group, group, limits.REFUSED_HASHES_PER_GROUP)
        run_many(self._connection, _FORGET_OLDEST, [bound])

    def forget(self, group: GroupId, signers: Collection[UserId]) -> None:
        """Forget what was refused of these signers, since their rights have changed.

        What history let go of, it did not for want of a right: that stays remembered.
        """
        for chunk in chunks(sorted(signers), PARAMETERS - 2):
            sql = (
                "DELETE FROM remembered WHERE group_id = ? "  # noqa: S608 -- places
                f"AND signer IN ({marks(len(chunk))}) AND reason != ?"
            )
            run_many(self._connection, sql, [(group, *chunk, AGED)])

    def forget_aged(self, group: GroupId, ids: Collection[RecordId]) -> None:
        """Forget what history let go of these records: what was live is no longer above it."""
        for chunk in chunks(sorted(set(ids)), PARAMETERS - 1):
            sql = f"DELETE FROM remembered WHERE group_id = ? AND id IN ({marks(len(chunk))})"  # noqa: S608 -- places
            run_many(self._connection, sql, [(group, *chunk)])

    def _count_held(self, group: str) -> int:
        sql = "SELECT count(*) FROM versions WHERE group_id = ? AND state = ?"
        ((count,),) = fetch(self._connection, sql, (group, _HELD))
        return int(count)

    def _seen_by(self, conflicts: Iterable[Hash]) -> Iterator[_Dropped]:
        """The rows of what is kept of the same records that the authors of these had seen."""
        for conflict in self.kept(conflicts):
            lost = self.history(conflict.group, conflict.id)
            seen = [version.hash for version in lost if had_seen(conflict, version)]
            for chunk in chunks(seen):
                sql = f"SELECT {_DROPPED} FROM versions WHERE hash IN ({marks(len(chunk))})"  # noqa: S608 -- names, places
                yield from (_Dropped(*row) for row in fetch(self._connection, sql, chunk))

    def _let_go(self, rows: Collection[_Dropped]) -> int:
        """Delete versions, and what the log tells of them; returns how many."""
        gone = [(row.hash,) for row in rows]
        run_many(self._connection, "DELETE FROM versions WHERE hash = ?", gone)
        untell(self._connection, [row.seq for row in rows if row.seq is not None])
        return len(gone)

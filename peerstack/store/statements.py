"""The log of statements: kept by hash, never replaced. Knows not what any of them says.

A group's statements are those that name it, and the identity statements (whose group is the user's
own id) of everyone who signed one of those. Their root is kept in `groups`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection

from peerstack import limits
from peerstack.ids import GroupId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed
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
from peerstack.store.values import Sender, Waiting

_COLUMNS = SIGNED.removesuffix(", deleted")
_INSERT = (
    f"INSERT INTO statements ({_COLUMNS}, pending) "  # noqa: S608 -- names of columns
    f"VALUES ({marks(9)}, 0) ON CONFLICT (hash) DO UPDATE "
    "SET pending = 0, signature = excluded.signature, waits_for = NULL, sender = NULL, "
    "by_member = NULL, since_ms = NULL WHERE pending"
)
_WAIT = (
    f"INSERT INTO statements ({_COLUMNS}, pending, "  # noqa: S608 -- names of columns
    f"waits_for, sender, by_member, since_ms) VALUES ({marks(9)}, 1, {marks(4)}) "
    "ON CONFLICT (hash) DO UPDATE SET waits_for = excluded.waits_for WHERE pending"
)
_SURPLUS = (
    # Those of strangers first; of either, the eldest of whoever has most.
    "SELECT hash FROM (SELECT hash, by_member, since_ms, row_number() OVER "
    "(PARTITION BY by_member, sender ORDER BY since_ms DESC, hash) AS place "
    "FROM statements WHERE group_id = ? AND pending) "
    "ORDER BY by_member, place DESC, since_ms, hash LIMIT ?"
)
_HASHES = (
    "SELECT hash FROM statements WHERE pending = 0 AND (group_id = ? OR group_id IN "
    "(SELECT signer FROM statements WHERE group_id = ? AND pending = 0) AND device = '') "
    "ORDER BY hash"
)


class StatementReads(Rows):
    """Questions about statements."""

    def statements(self, group: GroupId) -> list[Signed]:
        """The statements whose group this is; of a user's personal group, their identity too.

        Pending ones are left out. In the order of time and hash.
        """
        return self._where("group_id = ? AND NOT pending ORDER BY modified, hash", (group,))

    def identities(self, users: Iterable[str]) -> list[Signed]:
        """The statements that say who these users are, in the order of time and hash.

        They have the user's id as their group, as all of the personal group has; but they name no
        device. Pending ones are left out.
        """
        found = list[Signed]()
        for chunk in chunks(sorted(set(users))):
            places = marks(len(chunk))
            found += self._where(f"group_id IN ({places}) AND device = '' AND NOT pending", chunk)
        return sorted(found, key=lambda signed: signed.order)

    def pending_statements(
        self, group: GroupId, waiting_for: Collection[str] | None = None
    ) -> list[Signed]:
        """The group's statements that wait for another one, in the order of time and hash.

        `waiting_for`: only those that wait for one of these.
        """
        chosen = "group_id = ? AND pending"
        if waiting_for is None:
            found = self._where(chosen, (group,))
        else:
            found = []
            for chunk in chunks(sorted(waiting_for), PARAMETERS - 1):
                awaited = f"{chosen} AND waits_for IN ({marks(len(chunk))})"
                found += self._where(awaited, (group, *chunk))
        return sorted(found, key=lambda signed: signed.order)

    def has_pending(self, group: GroupId) -> bool:
        """Whether any statement of the group waits for another one."""
        sql = "SELECT 1 FROM statements WHERE group_id = ? AND pending LIMIT 1"
        return bool(fetch(self._connection, sql, (group,)))

    def pending_signers(self, group: GroupId) -> set[UserId]:
        """Who signed the group's statements that wait for another one."""
        sql = "SELECT DISTINCT signer FROM statements WHERE group_id = ? AND pending = 1"
        return {signer for (signer,) in fetch(self._connection, sql, (group,))}

    def groups_waiting_for(self, signers: Iterable[str]) -> set[GroupId]:
        """The groups in which statements of any of these users wait for another one."""
        found: set[GroupId] = set()
        for chunk in chunks(sorted(set(signers)), PARAMETERS - 1):
            found.update(_groups_signed_in(self._connection, chunk, pending=1))
        return found

    def statements_by_hash(self, hashes: Iterable[bytes], *, settled: bool = False) -> list[Signed]:
        """Those of these statements that are here; pending ones too, unless `settled` is asked."""
        found = list[Signed]()
        for chunk in chunks(sorted(set(hashes))):
            chosen = f"hash IN ({marks(len(chunk))})"
            found += self._where(f"{chosen} AND NOT pending" if settled else chosen, chunk)
        return found

    def statement_hashes(self, group: GroupId) -> list[Hash]:
        """The hashes of the group's statements, ascending: its own, and its signers' identities."""
        return _hashes(self._connection, group)

    def _where(self, chosen: str, parameters: Sequence[str | bytes]) -> list[Signed]:
        sql = f"SELECT {_COLUMNS}, 0 FROM statements WHERE {chosen}"  # noqa: S608 -- names, places
        return [signed_of(row) for row in fetch(self._connection, sql, parameters)]


class StatementWrites(StatementReads):
    """What adds statements, settles them, and drops what waited in vain."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.counting_now: set[Hash] = set()
        """The statements that count since this transaction, and did not before."""
        self.roots_before: dict[GroupId, bytes] = {}
        """The statements' roots before this transaction, of the groups whose statements changed."""

    def add_statements(self, signed: Sequence[Signed]) -> None:
        """Add statements; one that is here already stays as it is, or waits no longer."""
        self.counting_now.update(self._not_settled(one.hash for one in signed))
        run_many(self._connection, _INSERT, [row_of(one)[:-1] for one in signed])
        self._refresh({one.group for one in signed})

    def keep_pending(
        self, group: GroupId, waiting: Sequence[Waiting], sender: Sender, now_ms: int
    ) -> int:
        """Keep statements of a group that wait for something; how many there is no room for.

        A group keeps `limits.PENDING_STATEMENTS_PER_GROUP`, of which the eldest make room: first
        those that strangers sent, then those of the member's device that sent most. One that waits
        already stays as it is, but for what it waits for.
        """
        rest = (sender.name, int(sender.is_member), now_ms)
        rows = [(*row_of(one.signed)[:-1], one.waits_for, *rest) for one in waiting]
        run_many(self._connection, _WAIT, rows)
        surplus = self._count_pending(group) - limits.PENDING_STATEMENTS_PER_GROUP
        if surplus <= 0:
            return 0
        self.drop_pending(row[0] for row in fetch(self._connection, _SURPLUS, (group, surplus)))
        return surplus

    def sweep_pending(self, now_ms: int, limit: int) -> int:
        """Forget at most `limit` statements that waited too long; returns how many."""
        sql = "SELECT hash FROM statements WHERE pending AND since_ms < ? LIMIT ?"
        eldest = fetch(self._connection, sql, (now_ms - limits.WAITING_MS, limit))
        self.drop_pending(digest for (digest,) in eldest)
        return len(eldest)

    def drop_pending(self, hashes: Iterable[bytes]) -> None:
        """Forget pending statements."""
        for chunk in chunks(sorted(set(hashes))):
            sql = f"DELETE FROM statements WHERE hash IN ({marks(len(chunk))}) AND pending = 1"  # noqa: S608 -- places
            run_many(self._connection, sql, [tuple(chunk)])

    def _not_settled(self, hashes: Iterable[Hash]) -> set[Hash]:
        wanted = set(hashes)
        for chunk in chunks(sorted(wanted)):
            chosen = f"hash IN ({marks(len(chunk))}) AND pending = 0"
            sql = f"SELECT hash FROM statements WHERE {chosen}"  # noqa: S608 -- places
            wanted.difference_update(digest for (digest,) in fetch(self._connection, sql, chunk))
        return wanted

    def _count_pending(self, group: str) -> int:
        sql = "SELECT count(*) FROM statements WHERE group_id = ? AND pending = 1"
        ((count,),) = fetch(self._connection, sql, (group,))
        return int(count)

    def _refresh(self, group_ids: Collection[str]) -> None:
        """Renew the roots of the groups that these groups' statements belong to.

        They may be identity statements: then they belong to each group in which that user signs.
        """
        affected = set(group_ids)
        for chunk in chunks(sorted(group_ids), PARAMETERS - 1):
            affected.update(_groups_signed_in(self._connection, chunk, pending=0))
        for group, root in refresh_roots(self._connection, affected).items():
            self.roots_before.setdefault(group, root)


def refresh_roots(connection: Connection, group_ids: Iterable[str]) -> dict[GroupId, bytes]:
    """Renew the statement roots of those of these groups that are on this device.

    Returns what the roots were, of those that are another now.
    """
    before: dict[GroupId, bytes] = {}
    for chunk in chunks(sorted(set(group_ids))):
        here = f"SELECT id, statements_root FROM groups WHERE id IN ({marks(len(chunk))})"  # noqa: S608 -- places
        for group, root_before in fetch(connection, here, chunk):
            hashes = _hashes(connection, group)
            root = hashlib.sha256(b"".join(hashes)).digest()
            run_many(
                connection,
                "UPDATE groups SET statements_root = ?, statements_count = ? WHERE id = ?",
                [(root, len(hashes), group)],
            )
            if root != root_before:
                before[group] = root_before
    return before


def _groups_signed_in(
    connection: Connection, signers: Sequence[str], *, pending: int
) -> set[GroupId]:
    """The groups in which statements of any of these users wait, or stand."""
    sql = (
        "SELECT DISTINCT group_id FROM statements "  # noqa: S608 -- places
        f"WHERE signer IN ({marks(len(signers))}) AND pending = ?"
    )
    return {group for (group,) in fetch(connection, sql, (*signers, pending))}


def _hashes(connection: Connection, group: str) -> list[Hash]:
    return [digest for (digest,) in fetch(connection, _HASHES, (group, group))]

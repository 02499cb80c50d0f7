"""The log of statements: kept by hash, never replaced. Knows not what any of them says.

A group's statements are those that name it, and the identity statements (whose group is the user's
own id) of everyone who signed one of those. Their root is kept in `groups`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, delete, func, or_, select

from peerstack import limits
from peerstack.ids import GroupId
from peerstack.keys import Hash
from peerstack.record import Signed
from peerstack.store import schema
from peerstack.store.rows import SIGNED, Rows, chunks, marks, row_of, run_many, signed_columns

_table = schema.statements
_SIGNED = signed_columns(_table)
_COLUMNS = SIGNED.removesuffix(", deleted")
_OF_ROOT = _table.c.device == ""
_INSERT = (
    f"INSERT INTO statements ({_COLUMNS}, pending) "  # noqa: S608 -- names of columns
    f"VALUES ({marks(10)}) ON CONFLICT (hash) DO UPDATE "
    "SET pending = 0, signature = excluded.signature WHERE pending AND excluded.pending = 0"
)


class StatementReads(Rows):
    """Questions about statements."""

    def statements(self, group: GroupId) -> list[Signed]:
        """The statements whose group this is; of a user's personal group, their identity too.

        Pending ones are left out. In the order of time and hash.
        """
        chosen = (_table.c.group_id == group) & ~_table.c.pending
        return self._signed(
            select(*_SIGNED).where(chosen).order_by(_table.c.modified, _table.c.hash)
        )

    def identities(self, users: Iterable[str]) -> list[Signed]:
        """The statements that say who these users are, in the order of time and hash.

        They have the user's id as their group, as all of the personal group has; but they name no
        device. Pending ones are left out.
        """
        found = []
        for chunk in chunks(sorted(set(users))):
            chosen = _table.c.group_id.in_(chunk) & _OF_ROOT & ~_table.c.pending
            found += self._signed(select(*_SIGNED).where(chosen))
        return sorted(found, key=lambda signed: signed.order)

    def pending_statements(self, group: GroupId) -> list[Signed]:
        """The group's statements that wait for another one, in the order of time and hash."""
        chosen = (_table.c.group_id == group) & _table.c.pending
        ordered = select(*_SIGNED).where(chosen).order_by(_table.c.modified, _table.c.hash)
        return self._signed(ordered)

    def groups_waiting_for(self, signers: Iterable[str]) -> set[GroupId]:
        """The groups in which statements of any of these users wait for another one."""
        found: set[GroupId] = set()
        for chunk in chunks(sorted(set(signers))):
            chosen = _table.c.signer.in_(chunk) & _table.c.pending
            rows = self._all(select(_table.c.group_id).where(chosen).distinct())
            found.update(row.group_id for row in rows)
        return found

    def statements_by_hash(self, hashes: Iterable[bytes], *, settled: bool = False) -> list[Signed]:
        """Those of these statements that are here; pending ones too, unless `settled` is asked."""
        found = []
        for chunk in chunks(sorted(set(hashes))):
            chosen = select(*_SIGNED).where(_table.c.hash.in_(chunk))
            found += self._signed(chosen.where(~_table.c.pending) if settled else chosen)
        return found

    def statement_hashes(self, group: GroupId) -> list[Hash]:
        """The hashes of the group's statements, ascending: its own, and its signers' identities."""
        return _hashes(self._connection, group)


class StatementWrites(StatementReads):
    """What adds statements, settles them, and drops what waited in vain."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.counting_now: set[Hash] = set()
        """The statements that count since this transaction, and did not before."""
        self.roots_before: dict[GroupId, bytes] = {}
        """The statements' roots before this transaction, of the groups whose statements changed."""

    def add_statements(self, signed: Sequence[Signed], *, pending: bool = False) -> list[Signed]:
        """Add statements; one that is here already stays as it is, or is settled.

        Returns what did not fit: a group keeps `limits.PENDING_STATEMENTS_PER_GROUP` pending ones.
        """
        fitting, rest = self._fitting(signed) if pending else (list(signed), [])
        if not pending:
            self.counting_now.update(self._not_settled(one.hash for one in fitting))
        rows = [(*row_of(one)[:-1], int(pending)) for one in fitting]
        run_many(self._connection, _INSERT, rows)
        if not pending:
            self._refresh({one.group for one in fitting})
        return rest

    def drop_pending(self, hashes: Iterable[bytes]) -> None:
        """Forget pending statements."""
        for chunk in chunks(sorted(set(hashes))):
            chosen = _table.c.hash.in_(chunk) & _table.c.pending
            self._connection.execute(delete(_table).where(chosen))

    def _not_settled(self, hashes: Iterable[Hash]) -> set[Hash]:
        wanted = set(hashes)
        for chunk in chunks(sorted(wanted)):
            chosen = _table.c.hash.in_(chunk) & ~_table.c.pending
            wanted.difference_update(
                row.hash for row in self._all(select(_table.c.hash).where(chosen))
            )
        return wanted

    def _fitting(self, signed: Sequence[Signed]) -> tuple[list[Signed], list[Signed]]:
        known = {one.hash for one in self.statements_by_hash(one.hash for one in signed)}
        room: dict[str, int] = {}
        fitting, rest = list[Signed](), list[Signed]()
        for one in signed:
            if one.hash in known:
                continue
            free = room.get(one.group)
            if free is None:
                free = limits.PENDING_STATEMENTS_PER_GROUP - self._count_pending(one.group)
            (fitting if free > 0 else rest).append(one)
            room[one.group] = free - 1
        return fitting, rest

    def _count_pending(self, group: str) -> int:
        chosen = (_table.c.group_id == group) & _table.c.pending
        return int(self._all(select(func.count()).select_from(_table).where(chosen))[0][0])

    def _refresh(self, group_ids: Collection[str]) -> None:
        """Renew the roots of the groups that these groups' statements belong to.

        They may be identity statements: then they belong to each group in which that user signs.
        """
        affected = set(group_ids)
        for chunk in chunks(sorted(group_ids)):
            chosen = _table.c.signer.in_(chunk) & ~_table.c.pending
            rows = self._all(select(_table.c.group_id).where(chosen).distinct())
            affected.update(row.group_id for row in rows)
        for group, root in refresh_roots(self._connection, affected).items():
            self.roots_before.setdefault(group, root)


def refresh_roots(connection: Connection, group_ids: Iterable[str]) -> dict[GroupId, bytes]:
    """Renew the statement roots of those of these groups that are on this device.

    Returns what the roots were, of those that are another now.
    """
    before: dict[GroupId, bytes] = {}
    groups = schema.groups.c
    for chunk in chunks(sorted(set(group_ids))):
        here = select(groups.id, groups.statements_root).where(groups.id.in_(chunk))
        for row in connection.execute(here).fetchall():
            hashes = _hashes(connection, row.id)
            root = hashlib.sha256(b"".join(hashes)).digest()
            run_many(
                connection,
                "UPDATE groups SET statements_root = ?, statements_count = ? WHERE id = ?",
                [(root, len(hashes), row.id)],
            )
            if root != row.statements_root:
                before[row.id] = row.statements_root
    return before


def _hashes(connection: Connection, group: str) -> list[Hash]:
    signers = select(_table.c.signer).where(_table.c.group_id == group, ~_table.c.pending)
    chosen = or_(_table.c.group_id == group, _table.c.group_id.in_(signers) & _OF_ROOT)
    hashes = select(_table.c.hash).where(chosen, ~_table.c.pending).order_by(_table.c.hash)
    return [row.hash for row in connection.execute(hashes).fetchall()]

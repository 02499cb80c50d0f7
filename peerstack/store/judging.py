"""Whose versions are to be judged again, how far that has come, and what there is of them.

Knows signers and places in an order; by which rule anything is judged, it does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from peerstack.ids import GroupId, UserId
from peerstack.record import Signed
from peerstack.store.rows import SIGNED, Rows, fetch, marks, run_many, signed_of
from peerstack.store.values import Judging, KeptVersion, VersionState

_JUDGED: Final = (VersionState.HISTORY, VersionState.UNSEEN, VersionState.QUARANTINED)
_QUEUE: Final = (
    "INSERT INTO judging (group_id, signer, cursor) VALUES (?, ?, '') "
    "ON CONFLICT (group_id, signer) DO UPDATE SET cursor = excluded.cursor"
)
_QUEUE_AT: Final = (
    "INSERT INTO judging (group_id, signer, cursor) VALUES (?, ?, ?) "
    "ON CONFLICT (group_id, signer) DO NOTHING"
)


class JudgingReads(Rows):
    """Questions about who is to be judged, and about what."""

    def next_judging(self) -> Judging | None:
        """The signer who has been waiting longest; None if nobody is."""
        sql = "SELECT group_id, signer, cursor FROM judging ORDER BY number LIMIT 1"
        rows = fetch(self._connection, sql)
        return Judging(*rows[0]) if rows else None

    def to_be_judged(self, group: GroupId) -> set[UserId]:
        """All whose versions in a group are to be judged again."""
        sql = "SELECT signer FROM judging WHERE group_id = ?"
        return {UserId(signer) for (signer,) in fetch(self._connection, sql, (group,))}

    def live_by(self, group: GroupId, signer: UserId, after: str, limit: int) -> list[Signed]:
        """A signer's live versions, in the order of their ids, from behind the id `after`."""
        sql = (
            f"SELECT {SIGNED} FROM records WHERE group_id = ? AND signer = ? "  # noqa: S608 -- columns
            "AND id > ? ORDER BY id LIMIT ?"
        )
        rows = fetch(self._connection, sql, (group, signer, after, limit))
        return [signed_of(row) for row in rows]

    def kept_by(
        self, group: GroupId, signer: UserId, after: bytes, limit: int
    ) -> list[KeptVersion]:
        """A signer's versions in history and quarantine, by hash, from behind the hash `after`.

        Held ones are left out: see `held_by`.
        """
        sql = (
            f"SELECT {SIGNED}, state, waits_for FROM versions "  # noqa: S608 -- columns, places
            f"WHERE group_id = ? AND signer = ? AND hash > ? AND state IN ({marks(len(_JUDGED))}) "
            "ORDER BY hash LIMIT ?"
        )
        rows = fetch(self._connection, sql, (group, signer, after, *_JUDGED, limit))
        return [
            KeptVersion(signed_of(row), VersionState(state), why or "")
            for row in rows
            for state, why in [row[-2:]]
        ]

    def held_by(self, group: GroupId, signer: UserId, after: bytes, limit: int) -> list[Signed]:
        """A signer's versions that are held for want of a statement, from behind the hash `after`.

        By hash.
        """
        sql = (
            # By the signer's index, and not by that of what everybody has held.
            f"SELECT {SIGNED} FROM versions WHERE group_id = ? AND signer = ? "  # noqa: S608 -- columns
            "AND hash > ? AND +state = ? AND waits_for IS NOT NULL ORDER BY hash LIMIT ?"
        )
        rows = fetch(self._connection, sql, (group, signer, after, VersionState.HELD, limit))
        return [signed_of(row) for row in rows]


class JudgingWrites(JudgingReads):
    """What puts signers into the queue, and notes how far it has come with them."""

    def queue_judging(self, group: GroupId, signers: Iterable[UserId]) -> None:
        """Have signers judged, from the beginning where that is under way; the others keep place.

        The group has to be here.
        """
        run_many(self._connection, _QUEUE, [(group, signer) for signer in sorted(signers)])

    def queue_at(self, group: GroupId, signers: Iterable[UserId], cursor: str) -> None:
        """Have signers judged from a cursor on; those who are in the queue stay where they are."""
        rows = [(group, signer, cursor) for signer in sorted(signers)]
        run_many(self._connection, _QUEUE_AT, rows)

    def note_judging(self, judging: Judging) -> None:
        """Go on from this cursor the next time."""
        sql = "UPDATE judging SET cursor = ? WHERE group_id = ? AND signer = ?"
        run_many(self._connection, sql, [(judging.cursor, judging.group, judging.signer)])

    def end_judging(self, judging: Judging) -> None:
        """Nothing is left to be judged of this signer."""
        sql = "DELETE FROM judging WHERE group_id = ? AND signer = ?"
        run_many(self._connection, sql, [(judging.group, judging.signer)])

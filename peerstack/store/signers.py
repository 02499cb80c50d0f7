"""What one signer has written that counts here: the hashes that a seal names."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, Table, and_, or_, select

from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.keys import Hash
from peerstack.record import REACHED_TYPE
from peerstack.store import schema
from peerstack.store.rows import Rows
from peerstack.store.values import VersionState

_LOST = (VersionState.HISTORY.value, VersionState.UNSEEN.value)


class Moment(NamedTuple):
    """A moment on this device: the last change in its log, and its wall clock (Unix ms)."""

    seq: int
    wall_ms: int


class SignerReads(Rows):
    """Questions about who wrote what."""

    def written_by(
        self,
        group: GroupId,
        signer: UserId,
        device: DeviceId | None = None,
        until: Moment | None = None,
    ) -> set[Hash]:
        """The hashes of a signer's admitted versions: live, or lost and still kept; no marks.

        Of one device of theirs, where it is named; and only what was here at a moment, even if it
        was withdrawn since.
        """
        live, kept = schema.records, schema.versions
        chosen_live = select(live.c.hash).where(_by(live, group, signer, device))
        chosen_kept = select(kept.c.hash).where(
            _by(kept, group, signer, device), kept.c.state.in_(_LOST)
        )
        if until is not None:
            unlogged = and_(kept.c.seq.is_(None), kept.c.since_ms <= until.wall_ms)
            chosen_live = chosen_live.where(live.c.seq <= until.seq)
            chosen_kept = chosen_kept.where(or_(kept.c.seq <= until.seq, unlogged))
        queries = [chosen_live, chosen_kept]
        if until is not None:
            queries.append(_withdrawn_since(until, group, signer, device))
        return {row.hash for query in queries for row in self._all(query)}


def _withdrawn_since(
    until: Moment, group: GroupId, signer: UserId, device: DeviceId | None
) -> Select[tuple[Hash]]:
    kept, log = schema.versions, schema.changes
    withdrawals = and_(log.c.seq > until.seq, log.c.group_id == group, log.c.withdrawn)
    return select(kept.c.hash).where(
        _by(kept, group, signer, device),
        kept.c.state == VersionState.QUARANTINED.value,
        kept.c.seq <= until.seq,
        kept.c.hash.in_(select(log.c.hash).where(withdrawals)),
    )


def _by(
    table: Table, group: GroupId, signer: UserId, device: DeviceId | None
) -> ColumnElement[bool]:
    mine = and_(table.c.group_id == group, table.c.signer == signer, table.c.type != REACHED_TYPE)
    return mine if device is None else and_(mine, table.c.device == device)

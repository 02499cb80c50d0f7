"""Merge versions that were admitted into the live records: last writer wins, nothing unseen.

The winner of an id is the same on every device in whatever order versions arrive. Where a winner's
author had not seen the loser, that is a conflict: it is logged with both, and the loser is sent on,
so that whoever has the winner sees it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peerstack.engine.effects import Changed
from peerstack.engine.kept_secrets import remember_versions
from peerstack.engine.turn import Turn
from peerstack.ids import DeviceId, GroupId, RecordId
from peerstack.record import SECRET_TYPE, Signed, had_seen, unseen_losers
from peerstack.store import Change, Head


def merge(
    turn: Turn, group: GroupId, candidates: Sequence[Signed], origin: DeviceId | None
) -> None:
    """Make admitted candidates live where they win; `origin` is None for this device's own."""
    best, rest = _best(candidates)
    heads = turn.tx.live_heads(group, best)
    changes: list[Change] = []
    for record_id, candidate in best.items():
        head = heads.get(record_id)
        if head is None or candidate.order > head.order:
            conflict = head is not None and not _had_seen_head(candidate, head)
            changes.append(Change(candidate, head, origin or "local", conflict))
        elif candidate.hash != head.hash:
            rest.append(candidate)
    fallen = [change.record.id for change in changes if change.conflict]
    # Read before they are replaced.
    losers = list(turn.tx.live(group, fallen).values()) if fallen else []
    if changes:
        turn.tx.apply(changes, turn.now.wall_ms)
        turn.records_changed(group)
        turn.effects.append(Changed())
    secrets = [each for each in candidates if each.type == SECRET_TYPE]
    if secrets:
        remember_versions(turn, group, secrets)
    types = {change.record.type for change in changes}
    turn.reserved_changed(group, types, by_me=origin is None)
    if losers:
        turn.news.append((group, None, losers))
    _keep_losers(turn, group, rest, origin)
    lines = {change.record.id for change in changes if change.previous is not None}
    lines.update(loser.id for loser in rest)
    if lines:
        turn.tx.prune_history(group, lines, turn.now.wall_ms)
        mark_conflicts(turn, group, lines)


def _best(candidates: Iterable[Signed]) -> tuple[dict[RecordId, Signed], list[Signed]]:
    best: dict[RecordId, Signed] = {}
    rest: list[Signed] = []
    for candidate in sorted(candidates, key=lambda each: each.order):
        if candidate.id in best:
            rest.append(best[candidate.id])
        best[candidate.id] = candidate
    return best, rest


def _had_seen_head(winner: Signed, head: Head) -> bool:
    return head.modified <= winner.seen.get(head.device, -1)


def _keep_losers(
    turn: Turn, group: GroupId, losers: Sequence[Signed], origin: DeviceId | None
) -> None:
    """Keep versions that came after what beats them; tell of those that its author had not seen."""
    if not losers:
        return
    # Two peers may have told of one at once: both were being checked when neither was kept yet.
    known = turn.tx.known(group, [loser.hash for loser in losers])
    losers = [loser for loser in losers if loser.hash not in known]
    live = turn.tx.live(group, {loser.id for loser in losers})
    unseen = [loser for loser in losers if not had_seen(live[loser.id], loser)]
    seen = [loser for loser in losers if had_seen(live[loser.id], loser)]
    turn.tx.keep_history(seen, turn.now.wall_ms)
    for loser in unseen:
        turn.tx.log_conflict(live[loser.id].hash, loser, origin or "local", turn.now.wall_ms)
    if unseen:
        turn.news.append((group, origin, unseen))
        turn.effects.append(Changed())


def mark_conflicts(turn: Turn, group: GroupId, lines: Iterable[RecordId]) -> None:
    """Work out which losers of these records nobody has seen: the third set that is compared."""
    live = turn.tx.live(group, lines)
    lost = turn.tx.lost(group, live)
    unseen = [each.hash for line, some in lost.items() for each in unseen_losers(live[line], some)]
    turn.tx.mark_unseen([each.hash for some in lost.values() for each in some], unseen)
    turn.records_changed(group)

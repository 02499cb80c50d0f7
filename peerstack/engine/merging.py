"""Merge versions that were admitted into the live records: last writer wins, nothing unseen.

The winner of an id is the same on every device in whatever order versions arrive. Where a winner's
author had not seen the loser, that is a conflict: it is logged with both, and the loser is sent on,
so that whoever has the winner sees it too. The conflicts of an id are the same on every device, but
for what one of them has let go of for its age (`docs/protocol.md`, "The conflicts").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from peerstack.engine.effects import Changed, StatusChanged
from peerstack.engine.kept_secrets import remember_versions
from peerstack.engine.turn import Turn
from peerstack.ids import DeviceId, GroupId, RecordId
from peerstack.keys import Hash
from peerstack.record import SECRET_TYPE, Signed, unseen_losers
from peerstack.store import LOCAL_ORIGIN, Change, Head


class _Conflict(NamedTuple):
    winner: Signed
    loser: Signed


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
            changes.append(Change(candidate, head, origin or LOCAL_ORIGIN, conflict))
        elif candidate.hash != head.hash:
            rest.append(candidate)
    # A mark says all that its device knows: nobody needs another one, or to be told of it.
    rest = [loser for loser in rest if not loser.is_mark]
    if changes:
        turn.tx.apply(changes, turn.now.wall_ms)
        turn.records_changed(group)
        is_news = not all(change.record.is_mark for change in changes)
        turn.effects.append(Changed() if is_news else StatusChanged())
    secrets = [each for each in candidates if each.type == SECRET_TYPE]
    if secrets:
        remember_versions(turn, group, secrets)
    types = {change.record.type for change in changes}
    turn.reserved_changed(group, types, by_me=origin is None)
    _keep_losers(turn, group, rest)
    replaced = [change for change in changes if change.previous and not change.record.is_mark]
    lines = {change.record.id for change in replaced}
    lines.update(loser.id for loser in rest)
    fallen = {each.previous.hash for each in changes if each.previous and each.conflict}
    settle_conflicts(turn, group, lines, origin, fallen)


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


def _keep_losers(turn: Turn, group: GroupId, losers: Sequence[Signed]) -> None:
    """Keep versions that came after what beats them."""
    # Two peers may have told of one at once: both were being checked when neither was kept yet.
    known = turn.tx.known(group, [loser.hash for loser in losers])
    fresh = [loser for loser in losers if loser.hash not in known]
    turn.tx.keep_history(fresh, turn.now.wall_ms)


def settle_conflicts(
    turn: Turn,
    group: GroupId,
    lines: Collection[RecordId],
    origin: DeviceId | None = None,
    told: Collection[Hash] = (),
) -> None:
    """Work out the conflicts of some records anew: the third set that is compared.

    Tells the app of new ones, except of those in `told`, which it knows from the change by which
    they lost. Whoever wrote them has sent them to all; levels tell whom that did not reach.
    """
    if not lines:
        return
    appeared = _mark_conflicts(turn, group, lines)
    turn.tx.prune_history(group, lines)
    turn.records_changed(group)
    late = [each for each in appeared if each.loser.hash not in told]
    for winner, loser in late:
        turn.tx.log_conflict(winner.hash, loser, origin or LOCAL_ORIGIN)
        turn.effects.append(Changed())


def _mark_conflicts(turn: Turn, group: GroupId, lines: Collection[RecordId]) -> list[_Conflict]:
    """Mark which losers of these records are conflicts; those that were none before."""
    marked = turn.tx.conflicts(group, lines)
    found: list[_Conflict] = []
    lost = turn.tx.lost(group, lines)
    for record_id, winner in turn.tx.live(group, lines).items():
        losers = unseen_losers(winner, lost.get(record_id, ()))
        # The eldest first, as they would have been told of one by one.
        found += [_Conflict(winner, loser) for loser in reversed(losers)]
    present = {each.loser.hash for each in found}
    turn.tx.mark_conflicts(present - marked, marked - present)
    return [each for each in found if each.loser.hash not in marked]

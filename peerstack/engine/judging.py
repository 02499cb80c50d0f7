"""Judge records again whose signers' rights have changed, slice by slice.

Who is to be judged stands in the store, from the turn on in which the statements changed: so any
process of the profile goes on with it, after a restart too. What it costs grows with the versions
of those signers, not with the group. What is held of them is taken up last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from peerstack import limits
from peerstack.engine.effects import Changed
from peerstack.engine.merging import merge, settle_conflicts
from peerstack.engine.records import RecordsArrival, taken_up
from peerstack.engine.turn import Turn
from peerstack.errors import Reason
from peerstack.groups.membership import GroupState
from peerstack.groups.rules import Admitted, Quarantined, Refused, judge_record
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.record import Signed
from peerstack.store import Judging, KeptVersion, VersionState, Withdrawal

T = TypeVar("T")

_LIVE: Final = "live"
_KEPT: Final = "kept"
_HELD: Final = "held"
_MOVE_COST: Final = 5
"""Of the versions that a slice judges, it moves no more than one in so many, since that is slow."""


def queue_changed(turn: Turn) -> bool:
    """Queue all whose rights are others than before this turn; whether there was anybody."""
    queued = False
    for before, after in turn.changed_states():
        users = [user for user in after.identities if before.rights(user) != after.rights(user)]
        queue(turn, after.group, users)
        queued = queued or bool(users)
    return queued


def queue(turn: Turn, group: GroupId, users: Iterable[UserId]) -> None:
    """Have all that these users signed in a group judged again.

    What was refused of them may be asked for from now on: nothing of it is here.
    """
    users = list(users)
    turn.tx.forget(group, users)
    turn.tx.queue_judging(group, users)


def queue_waiting(turn: Turn, group: GroupId) -> None:
    """Queue whose records may have waited for what is here, in case nobody has finished it."""
    here = turn.tx.waiting_signers(group) & turn.state(group).identities.keys()
    turn.tx.queue_at(group, here, f"{_HELD}:")


class Judged(NamedTuple):
    """What one slice has come to."""

    released: RecordsArrival | None
    """Records that need be held no longer, once they are checked."""
    more: bool
    """Whether there is more to be judged."""


def judge_slice(turn: Turn) -> Judged:
    """Judge the next versions of whoever waits longest."""
    waiting = turn.tx.next_judging()
    if waiting is None:
        return Judged(None, False)
    stage, _, place = waiting.cursor.partition(":")
    released = None
    if stage == _HELD:
        cursor, released = _release(turn, waiting, place)
    else:
        cursor = _judge_from(turn, waiting, stage, place)
    if cursor is None:
        turn.tx.end_judging(waiting)
    else:
        turn.tx.note_judging(msgspec.structs.replace(waiting, cursor=cursor))
    return Judged(released, turn.tx.next_judging() is not None)


def _judge_from(turn: Turn, waiting: Judging, stage: str, place: str) -> str | None:
    """Judge a slice of one signer's versions: live ones first, then the others, then held ones.

    Returns from where to go on; None where there is nothing. What becomes live or is replaced
    meanwhile is judged by the same statements, so nothing is missed by going on from there.
    """
    group, signer = waiting.group, waiting.signer
    state, room = turn.state(group), limits.SLICE_RECORDS
    if stage != _KEPT:
        live = turn.tx.live_by(group, signer, place, room)
        done = _judge_live(turn, state, live)
        if done < len(live) or done == room:
            return f"{_LIVE}:{live[done - 1].id}"
        place, room = "", room - done
    kept = turn.tx.kept_by(group, signer, bytes.fromhex(place), room)
    done = _judge_kept(turn, state, kept)
    if done < len(kept) or done == room:
        return f"{_KEPT}:{kept[done - 1].record.hash.hex()}"
    return f"{_HELD}:" if turn.tx.held_by(group, signer, b"", 1) else None


def _release(turn: Turn, waiting: Judging, place: str) -> tuple[str | None, RecordsArrival | None]:
    """Take up a slice of what is held of one signer; from where to go on, if anywhere."""
    group, room = waiting.group, limits.SLICE_RECORDS
    held = turn.tx.held_by(group, waiting.signer, bytes.fromhex(place), room)
    cursor = f"{_HELD}:{held[-1].hash.hex()}" if len(held) == room else None
    return cursor, taken_up(turn, turn.state(group), held)


def _judge_live(turn: Turn, state: GroupState, live: Sequence[Signed]) -> int:
    """Withdraw what is not admitted; the best of history that is, is live again in its place.

    Returns how many were judged.
    """
    judged = list(_until_enough(live, lambda each: _why_not(state, each), _falls))
    fallen = {record.id: (record, why) for record, why in judged if why is not None}
    if not fallen:
        return len(judged)
    lost = turn.tx.lost(state.group, fallen)
    gone = [
        Withdrawal(record, why, _heir(state, lost.get(record.id, ())))
        for record, why in fallen.values()
    ]
    turn.tx.withdraw(gone, turn.now.wall_ms)
    # Others may have kept a better one than is kept here.
    turn.tx.forget_aged(state.group, fallen)
    settle_conflicts(turn, state.group, fallen)
    turn.effects.append(Changed())
    types = {each.type for one in gone for each in (one.record, one.heir) if each is not None}
    turn.reserved_changed(state.group, types, by_me=False)
    return len(judged)


def _falls(_: Signed, why: str | None) -> bool:
    return why is not None


def _heir(state: GroupState, newest_first: Iterable[Signed]) -> Signed | None:
    return next((each for each in newest_first if _why_not(state, each) is None), None)


def _judge_kept(turn: Turn, state: GroupState, kept: Sequence[KeptVersion]) -> int:
    """Quarantine lost versions that are not admitted, and merge quarantined ones that are.

    Returns how many were judged.
    """
    judged = list(_until_enough(kept, lambda each: _why_not(state, each.record), _changes_sides))
    aside = [(each.record, why) for each, why in judged if why is not None and why != each.why]
    turn.tx.set_aside(aside, turn.now.wall_ms)
    moved = [(each.record, why) for each, why in judged if _changes_sides(each, why)]
    lost = {record.id for record, why in moved if why is not None}
    if lost:
        settle_conflicts(turn, state.group, lost)
    _let_back(turn, state.group, [record for record, why in moved if why is None])
    return len(judged)


def _changes_sides(each: KeptVersion, why: str | None) -> bool:
    """What is admitted leaves the quarantine, and what is not goes there."""
    return (each.state is VersionState.QUARANTINED) is (why is None)


def _until_enough(
    versions: Iterable[T], judge: Callable[[T], str | None], moves: Callable[[T, str | None], bool]
) -> Iterator[tuple[T, str | None]]:
    """Versions, each with why it is not admitted, as long as one slice has room for its move."""
    room = max(1, limits.SLICE_RECORDS // _MOVE_COST)
    for each in versions:
        why = judge(each)
        yield each, why
        room -= moves(each, why)
        if not room:
            return


def _let_back(turn: Turn, group: GroupId, records: Sequence[Signed]) -> None:
    turn.tx.readmit(records)
    # They come from their authors' devices, as far as anybody knows who reads the log.
    by_device = defaultdict[DeviceId, list[Signed]](list)
    for record in records:
        by_device[record.device].append(record)
    for device, theirs in by_device.items():
        merge(turn, group, theirs, device)


def _why_not(state: GroupState, record: Signed) -> str | None:
    """Why a version is not admitted, as `SetAside.why` says it; None where it is.

    No clock decides: what was admitted once was not from too far ahead, or its time has come.
    """
    match judge_record(state, record, limits.TIME_MS_MAX):
        case Admitted():
            return None
        case Quarantined(ends=ends):
            return ends.hex()
        case Refused(reason=reason):
            return reason.value
        case _:
            # Its device stood under a key of its user's that is disputed now.
            return Reason.UNKNOWN_DEVICE.value

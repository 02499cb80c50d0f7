"""Records from elsewhere: which to check, and what becomes of them once they are checked.

Nothing is believed between `Verify` and `Verified`: admission is judged after, in the turn that
stores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from peerstack.engine.merging import merge
from peerstack.engine.turn import Turn
from peerstack.errors import Reason, RemoteError
from peerstack.groups.membership import GroupState
from peerstack.groups.rules import (
    MISSING,
    Admitted,
    Held,
    Quarantined,
    Refused,
    judge_record,
)
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.keys import Hash, SignatureCheck
from peerstack.record import Signed
from peerstack.store import UNCHECKED

_STATEMENT: Final = "statement"


@dataclass(frozen=True, slots=True)
class RecordsArrival:
    """Records whose signatures are being checked, and the keys that they are checked with."""

    group: GroupId
    origin: DeviceId
    """The device that passed them on; this one, where they were held here."""
    items: Sequence[Signed]
    keys: Sequence[bytes]

    @property
    def checks(self) -> tuple[SignatureCheck, ...]:
        """One check for each record."""
        return tuple(
            item.signature_check(key) for item, key in zip(self.items, self.keys, strict=True)
        )


def receive(
    turn: Turn,
    group: GroupId,
    items: Sequence[Signed],
    origin: DeviceId,
    *,
    statements_level: bool,
) -> RecordsArrival | None:
    """What of some records has to be checked; None if nothing is new.

    `statements_level`: the sender has shown all its statements, so one by a signer that they do not
    introduce is refused; before that, it is held. Raises `RemoteError(WRONG_GROUP)` where an item
    is no record of this group: whatever was compared under a group is judged under it.
    """
    for item in items:
        if item.group != group or item.is_statement:
            raise RemoteError(Reason.WRONG_GROUP, f"{item.type} {item.id} among records")
    known = turn.tx.known(group, [item.hash for item in items])
    state = turn.state(group)
    ready: list[tuple[Signed, bytes]] = []
    strangers: list[Signed] = []
    for item in {item.hash: item for item in items if item.hash not in known}.values():
        device = state.certified(item.signer, item.device)
        if device is None:
            strangers.append(item)
        else:
            ready.append((item, device.key))
    _put_aside(turn, strangers, origin, statements_level=statements_level)
    if not ready:
        return None
    return RecordsArrival(group, origin, [item for item, _ in ready], [key for _, key in ready])


def _put_aside(
    turn: Turn, strangers: Sequence[Signed], origin: DeviceId, *, statements_level: bool
) -> None:
    if not strangers:
        return
    if statements_level:
        # Not remembered by hash: its signature could not be checked, so it may come again.
        turn.refused(Reason.UNKNOWN_SIGNER, len(strangers))
        return
    dropped = turn.tx.hold(strangers, origin, turn.now.wall_ms, waits_for=UNCHECKED)
    turn.refused(Reason.TOO_MANY, dropped)


def admit(turn: Turn, arrival: RecordsArrival, holds: Sequence[bool]) -> None:
    """Judge what was checked, by the statements of this moment, and merge what is admitted."""
    state = turn.state(arrival.group)
    mine = arrival.origin == turn.me.user.device
    over: list[Hash] = []
    admitted: list[Signed] = []
    refused: list[tuple[Hash, UserId, str]] = []
    outside: list[tuple[Signed, str]] = []
    for item, key, signed_by_key in zip(arrival.items, arrival.keys, holds, strict=True):
        device = state.certified(item.signer, item.device)
        if not signed_by_key or device is None or device.key != key:
            # A bad signature marks nothing: the true version has another hash, or comes again. So
            # what holds takes the place of a copy that may not, and what does not goes itself.
            turn.refused(Reason.BAD_SIGNATURE)
            over += [item.hash] if mine else []
            continue
        verdict = judge_record(state, item, turn.now.wall_ms)
        if isinstance(verdict, Held):
            _hold(turn, item, arrival.origin, verdict.until_ms)
            continue
        over.append(item.hash)
        match verdict:
            case Admitted():
                admitted.append(item)
            case Refused(reason=reason):
                refused.append((item.hash, item.signer, reason.value))
                turn.refused(reason)
            case Quarantined(ends=ends):
                outside.append((item, ends.hex()))
    turn.tx.release(over)
    refused += _quarantine(turn, arrival.group, outside)
    turn.tx.remember(arrival.group, refused, turn.now.wall_ms)
    merge(turn, arrival.group, admitted, None if mine else arrival.origin)


def _hold(turn: Turn, item: Signed, origin: DeviceId, until_ms: int | None) -> None:
    waits_for = None if until_ms is not None else _STATEMENT
    now_ms = turn.now.wall_ms
    dropped = turn.tx.hold([item], origin, now_ms, until_ms=until_ms, waits_for=waits_for)
    turn.held_anything = True
    turn.refused(Reason.TOO_MANY, dropped)


def _quarantine(
    turn: Turn, group: GroupId, outside: Sequence[tuple[Signed, str]]
) -> Sequence[tuple[Hash, UserId, str]]:
    """Set apart what a seal leaves out; what there is no room for is to be remembered."""
    live = turn.tx.live_heads(group, [item.id for item, _ in outside])
    # What is live is about to be judged again, with all that its author signed.
    outside = [
        (item, why)
        for item, why in outside
        if (head := live.get(item.id)) is None or head.hash != item.hash
    ]
    rest = turn.tx.quarantine(outside, turn.now.wall_ms)
    turn.refused(Reason.QUARANTINED, len(outside) - len(rest))
    turn.refused(Reason.TOO_MANY, len(rest))
    return [(item.hash, item.signer, Reason.TOO_MANY.value) for item in rest]


def release_due(turn: Turn, limit: int) -> bool:
    """Judge records again whose time has come; whether there may be more of them."""
    due = turn.tx.due(turn.now.wall_ms, limit)
    for group in sorted({item.group for item in due}):
        mine = [item for item in due if item.group == group]
        state = turn.state(group)
        devices = [state.certified(item.signer, item.device) for item in mine]
        keys = [device.key if device else b"" for device in devices]
        here = turn.me.user.device
        admit(turn, RecordsArrival(group, here, mine, keys), [True] * len(mine))
    return len(due) == limit


def taken_up(turn: Turn, state: GroupState, waiting: Sequence[Signed]) -> RecordsArrival | None:
    """Records of one group that waited for a statement, to be checked if that is here now.

    They stay held until they are checked, so that a crash meanwhile loses none.
    """
    ready = [
        (item, device.key)
        for item in waiting
        if (device := state.certified(item.signer, item.device)) is not None
        # Whether its signature holds matters to nobody while it would be held all the same.
        and judge_record(state, item, turn.now.wall_ms) != MISSING
    ]
    items, keys = [item for item, _ in ready], [key for _, key in ready]
    return RecordsArrival(state.group, turn.me.user.device, items, keys) if ready else None

"""Seals: what stays of what somebody wrote whose right, or device, has ended.

Who ends a right seals it at once. Who hears of an end later adds what had been admitted here
before; a leave is sealed by each admin's device that sees it, a revoked device by others of its
user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from peerstack import limits
from peerstack.engine.turn import Turn
from peerstack.engine.writing import (
    add_own_statements,
    secret_since_ms,
    sign_statement,
    stamp_for_statement,
    write_new_secret,
)
from peerstack.groups.keeping import with_effect
from peerstack.groups.membership import GroupState
from peerstack.groups.seals import End, seal_root
from peerstack.groups.statements import SEAL_TYPE, Close, Role, Seal, named
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed
from peerstack.store import Moment

_HEARD: Final = "ends heard of"


class _Ended(NamedTuple):
    """An end that this device is to seal."""

    by: Hash
    user: UserId
    device: DeviceId | None
    """None where a right ended, and not a device."""
    end: End


class _Heard(msgspec.Struct, frozen=True):
    """When this device heard of an end; None once it has done its part."""

    moment: tuple[int, int] | None
    statements: tuple[str, ...] = ()
    """Those of who lost a right that had effect until then: what came with its end, or later, may
    be dated back."""


def all_by(turn: Turn, state: GroupState, user: UserId) -> set[Hash]:
    """The hashes of all that a user signed, that was admitted here and has effect."""
    return turn.tx.written_by(state.group, user, None, None) | with_effect(state, user)


def seal_parts(
    turn: Turn, group: GroupId, under: Hash, ends: Hash, hashes: set[Hash], modified: int
) -> Sequence[Signed]:
    """The signed parts of a seal over some hashes; one part without any where there are none."""
    in_order = sorted(hashes)
    root, size = seal_root(in_order).hex(), limits.SEAL_PART_HASHES
    parts = []
    for part, start in enumerate(range(0, max(1, len(in_order)), size)):
        some = [each.hex() for each in in_order[start : start + size]]
        form = Seal(under.hex(), ends.hex(), len(in_order), root, part, some)
        parts.append(sign_statement(turn, group, SEAL_TYPE, form, modified))
    return parts


def hear_of_ends(turn: Turn, group: GroupId) -> None:
    """Note the moment at which this device hears of each end that it is to seal."""
    heard = _heard(turn, group)
    fresh = [each for each in _to_seal(turn, turn.state(group)) if each.by.hex() not in heard]
    if fresh:
        now, before = (turn.tx.last_seq(), turn.now.wall_ms), turn.state_before(group)
        noted = {each.by.hex(): _Heard(now, _statements(turn, before, each)) for each in fresh}
        _store(turn, group, heard | noted)


def _statements(turn: Turn, before: GroupState, ended: _Ended) -> tuple[str, ...]:
    if ended.device is not None:
        return ()
    names = with_effect(before, ended.user)
    close, form = turn.state(before.group).forms.get(ended.by, (None, None))
    own = close is not None and close.signer == ended.user
    if own and isinstance(form, Close) and form.under != form.target:
        # What they keep came together with what they give up: both are by their own hand.
        names = {*names, named(form.under)}
    return tuple(sorted(each.hex() for each in names))


def write_seals(turn: Turn, group: GroupId, is_level: Callable[[], bool]) -> bool:
    """Seal what this device has heard of, as soon as it can know what to name.

    Returns False where something waits for the group to be level; what waits for statements is to
    be looked at when there are more. `is_level`: whether somebody else's records of the group are
    here too. A device that was just recovered has nothing at first, and would seal another of its
    user with nothing.
    """
    heard = _heard(turn, group)
    if all(each.moment is None for each in heard.values()):
        return True
    nothing_waits = True
    for ended in list(_to_seal(turn, turn.state(group))):
        noted = heard.get(ended.by.hex())
        if noted is None or noted.moment is None:
            continue
        if ended.device is not None and not is_level():
            nothing_waits = False
        elif _add_seal(turn, group, ended, noted):
            heard[ended.by.hex()] = _Heard(None)
            _store(turn, group, heard)
    return nothing_waits


def _to_seal(turn: Turn, state: GroupState) -> Iterator[_Ended]:
    """The ends that this device may have something to say about."""
    me = turn.me.user
    if state.role(me.id) is None or not state.is_active(me.id, me.device):
        return
    for (user, device), end in state.effect.device_ends.items():
        if user == me.id and device != me.device:
            yield _Ended(end.by, user, device, end)
    if state.role(me.id) is Role.ADMIN:
        for user, held in state.effect.standing.items():
            ends = (standing.records_end for standing in held) if user != me.id else ()
            yield from (_Ended(end.by, user, None, end) for end in ends if end is not None)


def _add_seal(turn: Turn, group: GroupId, ended: _Ended, noted: _Heard) -> bool:
    """Name what was here; false while the seal that its author committed to is on its way."""
    state = turn.state(group)
    by, form = state.forms.get(ended.by, (None, None))
    removed = isinstance(form, Close) and by is not None and by.signer != ended.user
    if removed and not ended.end.sealed:
        return False
    hashes = _seen(turn, state, ended, noted) - ended.end.named
    if hashes or not ended.end.sealed:
        role = Role.READER if ended.device else Role.ADMIN
        grant = state.grant_for(turn.me.user.id, role)
        assert grant is not None
        stamp = stamp_for_statement(turn, state, max(grant.since_ms, ended.end.at_ms))
        parts = seal_parts(turn, group, grant.hash, ended.by, hashes, stamp)
        add_own_statements(turn, group, parts)
    if not removed and ended.device is None and secret_since_ms(turn, group) <= ended.end.at_ms:
        write_new_secret(turn, group)
    return True


def _seen(turn: Turn, state: GroupState, ended: _Ended, noted: _Heard) -> set[Hash]:
    """What was here of who lost a right when that was heard of; of a device, what is here now."""
    if ended.device is not None:
        written = turn.tx.written_by(state.group, ended.user, ended.device, None)
        return written | with_effect(state, ended.user, ended.device)
    assert noted.moment is not None
    until = Moment(*noted.moment)
    written = turn.tx.written_by(state.group, ended.user, None, until)
    return written | {Hash(bytes.fromhex(each)) for each in noted.statements}


def _heard(turn: Turn, group: GroupId) -> dict[str, _Heard]:
    return msgspec.convert(turn.tx.profile_get(_key(group)) or {}, dict[str, _Heard])


def _store(turn: Turn, group: GroupId, heard: dict[str, _Heard]) -> None:
    turn.tx.profile_set(_key(group), msgspec.to_builtins(heard))


def _key(group: GroupId) -> str:
    return f"{_HEARD} in {group}"

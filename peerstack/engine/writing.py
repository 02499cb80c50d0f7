"""What this device writes itself: records and groups, signed, stamped and stored in one turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from peerstack import limits
from peerstack.engine import marks
from peerstack.engine.merging import merge
from peerstack.engine.turn import Turn
from peerstack.errors import InvalidValue, NotAllowed, NotFound, StoreDamaged
from peerstack.groups.membership import GroupState
from peerstack.groups.rules import role_needed
from peerstack.groups.statements import GROUP_TYPE, SEAL_TYPE, Founding, group_id_fields
from peerstack.identity import Device
from peerstack.ids import GroupId, RecordId, as_group
from peerstack.keys import KEY_BYTES, Label, derive_id
from peerstack.record import (
    DATA_PREFIX,
    PROFILE_TYPE,
    REACHED_TYPE,
    SECRET_TYPE,
    Body,
    JsonObject,
    Record,
    Signed,
    compose,
    mark_id,
    merge_seen,
    reserved_id,
)

_NONCE_BYTES = 16


class Draft(NamedTuple):
    """A version that is to be written."""

    id: RecordId
    type: str
    value: JsonObject | None
    """None for a deletion."""
    over: Sequence[Signed] = ()
    """The versions of it that its author was looking at."""


def put(
    turn: Turn, group: GroupId, type_name: str, value: JsonObject, over: Sequence[Record]
) -> Record:
    """Write a record: a new one, or over the versions of one that the user was looking at.

    Raises `InvalidValue`, `NotAllowed` or `NotFound`.
    """
    _check_app_type(type_name)
    looked_at = [_version(turn, group, each) for each in over]
    if len({each.id for each in looked_at}) > 1:
        raise InvalidValue("these are versions of several records; write over those of one")
    record_id = looked_at[0].id if looked_at else _new_id(turn)
    return _write(turn, group, [Draft(record_id, type_name, value, looked_at)])[0]


def put_many(
    turn: Turn, group: GroupId, type_name: str, values: Sequence[JsonObject]
) -> list[Record]:
    """Write new records in one transaction. Raises `InvalidValue` or `NotAllowed`."""
    _check_app_type(type_name)
    if len(values) > limits.PUT_MANY_RECORDS:
        raise InvalidValue(
            f"{len(values)} records at once; give at most {limits.PUT_MANY_RECORDS} a call"
        )
    return _write(turn, group, [Draft(_new_id(turn), type_name, each) for each in values])


def update(turn: Turn, group: GroupId, record_id: RecordId, fields: Mapping[str, Any]) -> Record:
    """Write the live version with some top-level fields replaced. Raises `NotFound` as well."""
    live = _live(turn, group, record_id)
    return _write(turn, group, [Draft(live.id, live.type, {**live.value, **fields}, [live])])[0]


def delete(turn: Turn, group: GroupId, record_id: RecordId) -> None:
    """Write a deletion over the live version. Raises `NotFound` as well."""
    live = _live(turn, group, record_id)
    _write(turn, group, [Draft(live.id, live.type, None, [live])])


def create_group(turn: Turn, name: str) -> GroupId:
    """Found a group with this user as its admin. Raises `InvalidValue` for a bad name."""
    if not 1 <= len(name) <= limits.NAME_CHARS:
        raise InvalidValue(f"a group's name has 1 to {limits.NAME_CHARS} characters")
    check_not_revoked(turn)
    nonce = turn.me.entropy.draw(_NONCE_BYTES)
    stamp = turn.now.wall_ms
    stamp = max(stamp, _this_device(turn, turn.state(turn.me.user.id)).since_ms + 1)
    fields = group_id_fields(turn.me.user.id, nonce)
    group = as_group(derive_id(Label.GROUP_ID, fields, stamp))
    turn.add_group(group, turn.now.wall_ms)
    founding = sign_statement(turn, group, GROUP_TYPE, Founding(nonce.hex()), stamp, group)
    add_own_statements(turn, group, [founding])
    _write(turn, group, [_reserved(turn, group, PROFILE_TYPE, {"name": name})])
    write_new_secret(turn, group)
    return group


def write_new_secret(turn: Turn, group: GroupId) -> None:
    """Give a group a (new) discovery secret."""
    secret = turn.me.entropy.draw(KEY_BYTES).hex()
    _write(turn, group, [_reserved(turn, group, SECRET_TYPE, {"secret": secret})])


def write_data(turn: Turn, type_name: str, subject: str, value: JsonObject | None) -> None:
    """Write what this user keeps of one subject (a user, a device or a group); None deletes it.

    `type_name` begins with `$data.`. The record stands in the personal group, so that the user's
    other devices have it too.
    """
    group = turn.me.user.id
    record_id = data_id(type_name, subject)
    live = turn.tx.get(group, record_id)
    if value is not None or (live is not None and not live.deleted):
        _write(turn, group, [Draft(record_id, type_name, value, [live] if live else [])])


def data_id(type_name: str, subject: str) -> RecordId:
    """The id of what a user keeps of one subject: there is one record of a type for each."""
    return RecordId(f"{subject}:{type_name.removeprefix(DATA_PREFIX)}")


def secret_since_ms(turn: Turn, group: GroupId) -> int:
    """When the group's present discovery secret was written (Unix milliseconds); -1 without one."""
    head = turn.tx.live_heads(group, [reserved_id(group, SECRET_TYPE)])
    return max((each.modified for each in head.values()), default=-1)


def name_of(turn: Turn, group: GroupId) -> str:
    """The group's name by its profile; empty while that is not here."""
    live = turn.tx.get(group, reserved_id(group, PROFILE_TYPE))
    name = live.value.get("name") if live else None
    return name[: limits.NAME_CHARS] if isinstance(name, str) else ""


def label_of(turn: Turn, group: GroupId) -> str:
    """What to call a group: by its name, or by its id while that is not here."""
    return name_of(turn, group) or group


def sign_statement(
    turn: Turn,
    group: GroupId,
    type_name: str,
    form: msgspec.Struct,
    modified: int,
    statement_id: str | None = None,
) -> Signed:
    """A statement by this device, signed.

    Raises `NotAllowed` where the device was revoked, or where it would have to follow what somebody
    dated so far ahead that nothing can.
    """
    check_not_revoked(turn)
    if modified > limits.STATEMENT_MS_MAX and type_name != SEAL_TYPE:
        raise NotAllowed(f"this {type_name} would have to follow what is dated to the end of time")
    user = turn.me.user
    body = Body(
        id=statement_id or _new_id(turn),
        group=group,
        type=type_name,
        modified=modified,
        signer=user.id,
        device=user.device,
        value=msgspec.to_builtins(form),
    )
    return compose(user.device_key, body)


def add_own_statements(turn: Turn, group: GroupId, statements: Sequence[Signed]) -> None:
    """Store statements that this device made and knows to stand."""
    turn.tx.add_statements(statements)
    turn.signed.update(each.hash for each in statements)
    turn.statements_changed(group)
    turn.untold_groups.add(group)


def stamp_for_statement(turn: Turn, state: GroupState, after_ms: int) -> int:
    """When a statement by this device is made: now, but after all that gives it the right."""
    user = turn.me.user
    device = state.device(user.id, user.device)
    since = device.since_ms if device else 0
    return max(turn.now.wall_ms, after_ms + 1, since + 1)


def latest_near(turn: Turn, state: GroupState, *times_ms: int) -> int:
    """The latest of some times that may come from a clock that is a little ahead, or -1.

    What somebody dates further ahead can be ended at once, without waiting for it. This device's
    clock may be behind: then what its user has said before tells that it is later.
    """
    me = turn.me.user.id
    mine = (signed.modified for signed, _ in state.forms.values() if signed.signer == me)
    near_ms = max(turn.now.wall_ms, *mine, 0) + limits.FUTURE_MS
    return max((each for each in times_ms if each <= near_ms), default=-1)


def _write(turn: Turn, group: GroupId, drafts: Sequence[Draft]) -> list[Record]:
    """Sign, stamp and store drafts of which no two have one id."""
    check_not_revoked(turn)
    state = turn.own_state(group)
    heads = turn.tx.live_heads(group, [draft.id for draft in drafts if draft.over])
    rights = {kind: _right_since(turn, state, kind) for kind in {draft.type for draft in drafts}}
    before = marks.own_position(turn, group)
    clock = marks.OwnClock(before)
    signed = []
    for draft in drafts:
        right_ms = rights[draft.type]
        head = heads.get(draft.id)
        seen_ms = max((each.modified for each in draft.over), default=-1)
        replaced_ms = max(head.modified if head else -1, seen_ms)
        stamp = max(turn.now.wall_ms, replaced_ms + 1, right_ms + 1)
        if not draft.type.startswith("$"):
            stamp = clock.stamp(stamp, turn.now.wall_ms)
        signed.append(_sign(turn, group, draft, stamp))
    merge(turn, group, signed, None)
    # A secret goes by levels, behind the statements: who has it before the word of a removal passes
    # it on to who was removed.
    turn.news.append((group, [each for each in signed if each.type != SECRET_TYPE]))
    if clock.at != before:
        marks.keep_own_position(turn, group, clock.at)
    if clock.at.epoch != before.epoch:
        # At once, lest what was said of times before be taken for what has just been written.
        write_mark(turn, group, marks.known(turn, group))
    return [Record.of(each) for each in signed]


def write_mark(turn: Turn, group: GroupId, reached: marks.Reached) -> None:
    """Say up to where this device has what others wrote, over what it said before.

    It has no time: stamped by a clock that is ahead, it would be held elsewhere, and nobody level.
    """
    record_id = mark_id(group, turn.me.user.device)
    head = turn.tx.live_heads(group, [record_id]).get(record_id)
    right_ms = _right_since(turn, turn.own_state(group), REACHED_TYPE)
    stamp = max(head.modified if head else -1, right_ms) + 1
    value = marks.value_of(marks.to_say(turn, group, reached))
    signed = _sign(turn, group, Draft(record_id, REACHED_TYPE, value, ()), stamp)
    merge(turn, group, [signed], None)
    turn.news.append((group, [signed]))


def check_not_revoked(turn: Turn) -> None:
    """Raise `NotAllowed` where nobody accepts what this device signs."""
    if turn.is_revoked:
        raise NotAllowed(
            "this device was revoked, by another device of yours or by a recovery: nobody accepts "
            "what it writes. Link it anew from one of your other devices, as a new profile"
        )


def _sign(turn: Turn, group: GroupId, draft: Draft, modified: int) -> Signed:
    user = turn.me.user
    body = Body(
        id=draft.id,
        group=group,
        type=draft.type,
        modified=modified,
        signer=user.id,
        device=user.device,
        value=UNSET if draft.value is None else draft.value,
        deleted=True if draft.value is None else UNSET,
        seen=merge_seen(*draft.over),
    )
    return compose(user.device_key, body)


def _right_since(turn: Turn, state: GroupState, type_name: str) -> int:
    """`modified` of what gives this device the right to write; records count after it."""
    user = turn.me.user
    grant = state.grant_for(user.id, role_needed(type_name))
    if grant is None:
        role = state.role(user.id)
        raise NotAllowed(
            f"{role_needed(type_name).label}s may write {type_name!r} in group "
            f"{label_of(turn, state.group)}; you are a "
            f"{role.label if role else 'stranger'} there. An admin can change that."
        )
    return max(grant.since_ms, _this_device(turn, state).since_ms)


def _this_device(turn: Turn, state: GroupState) -> Device:
    user = turn.me.user
    device = state.device(user.id, user.device)
    if device is None:
        # It was there when the profile was made, and nothing but a broken disk removes it.
        raise StoreDamaged(
            "the database does not say any more that this is a device of its user; that is put "
            "back from the key file: try again, and let `peerstack check` look at all the rest"
        )
    return device


def _version(turn: Turn, group: GroupId, looked_at: Record) -> Signed:
    """The stored version that an app was looking at, live or not."""
    if looked_at.group != group:
        raise InvalidValue(f"record {looked_at.id} belongs to another group, {looked_at.group}")
    live = turn.tx.get(group, looked_at.id)
    if live is not None and live.hash == looked_at.hash:
        return live
    for version in turn.tx.history(group, looked_at.id):
        if version.hash == looked_at.hash:
            return version
    raise NotFound(f"the version of {looked_at.id} to write over is no longer kept; read it anew")


def _live(turn: Turn, group: GroupId, record_id: RecordId) -> Signed:
    turn.own_state(group)
    live = turn.tx.get(group, record_id)
    if live is None or live.deleted:
        raise NotFound(f"no record {record_id} in group {label_of(turn, group)}")
    _check_app_type(live.type)
    return live


def _reserved(turn: Turn, group: GroupId, type_name: str, value: JsonObject) -> Draft:
    record_id = reserved_id(group, type_name)
    live = turn.tx.get(group, record_id)
    return Draft(record_id, type_name, value, [live] if live else [])


def _check_app_type(type_name: str) -> None:
    if type_name.startswith("$"):
        raise InvalidValue(f"type {type_name!r} is reserved; an app's types begin with a-z or 0-9")


def _new_id(turn: Turn) -> RecordId:
    return RecordId(turn.me.ids.new(turn.now.wall_ms))

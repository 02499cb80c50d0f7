"""This user's groups, told to the user's other devices by records in the personal group.

A device writes what *it* sees change, once, and never writes back what another says. So where two
see different things for a while, they do not write in turns for ever: the later one stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.engine import profile
from peerstack.engine.kept_secrets import remember, secret_of
from peerstack.engine.turn import Turn
from peerstack.engine.writing import name_of, write_data
from peerstack.groups.membership import Membership
from peerstack.ids import GroupId, RecordId, as_group, is_ulid
from peerstack.keys import KEY_BYTES, Secret
from peerstack.record import OWN_GROUP_TYPE

_TOLD: Final = "told groups"
_SUFFIX: Final = ":group"
_SERVERS: Final = 8
_FIRST_MS: Final = 1_000
_NEXT_MS: Final = 2_000
_PLACES: Final = 10

_Hex = Annotated[str, Meta(pattern=f"^[0-9a-f]{{{2 * KEY_BYTES}}}\\Z")]
_Url = Annotated[str, Meta(min_length=1, max_length=512)]


class OwnGroup(msgspec.Struct, frozen=True):
    """What one device tells the user's others of a group."""

    secret: _Hex
    name: Annotated[str, Meta(max_length=limits.NAME_CHARS)]
    servers: Annotated[tuple[_Url, ...], Meta(max_length=_SERVERS)]


def own_group_id(group: GroupId) -> RecordId:
    """The id of the record in the personal group that tells of a group."""
    return RecordId(f"{group}{_SUFFIX}")


def delay_ms(turn: Turn) -> int:
    """How long to wait before telling of what came from elsewhere: other devices hear it too.

    They take turns, so that each finds told already what an earlier one has told.
    """
    me, personal = turn.me.user, turn.state(turn.me.user.id)
    identity = personal.identities.get(me.id)
    devices = (
        sorted(d for d in identity.devices if personal.is_active(me.id, d)) if identity else []
    )
    place = devices.index(me.device) if me.device in devices else 0
    return _FIRST_MS + min(place, _PLACES) * _NEXT_MS


def follow(turn: Turn) -> None:
    """Take up what other devices told, and tell them what has changed here."""
    if turn.own_groups_changed:
        turn.own_groups_changed = False
        _learn(turn)
    untold, turn.untold_groups = turn.untold_groups, set()
    for group in sorted(untold):
        _tell(turn, group)


def awaited(turn: Turn) -> dict[GroupId, str]:
    """The names of groups that this user is in by another device's word, and by no more yet."""
    me = turn.me.user.id
    return {
        group: own.name
        for group, own in _told(turn)
        if turn.state(group).membership(me) is Membership.NONE
    }


def _told(turn: Turn) -> Iterator[tuple[GroupId, OwnGroup]]:
    """What the records in the personal group say, where they are well formed."""
    me = turn.me.user.id
    for signed in turn.tx.find(me, OWN_GROUP_TYPE):
        text = signed.id.removesuffix(_SUFFIX)
        if is_ulid(text) and signed.id == own_group_id(as_group(text)) and text != me:
            with suppress(msgspec.ValidationError):
                yield as_group(text), msgspec.convert(signed.value, OwnGroup)


def _learn(turn: Turn) -> None:
    servers: list[str] = []
    for group, own in _told(turn):
        servers += own.servers
        if secret_of(turn, group) is not None:
            # The group's own word counts for more.
            continue
        if turn.row(group) is None:
            turn.tx.add_group(group, 0)
            turn.statements_changed(group)
        # Others find this device by it, and show it why its user is a member.
        remember(turn, group, [Secret(bytes.fromhex(own.secret))])
    room = limits.SERVERS_LEARNED - len(profile.servers(turn))
    profile.add_servers(turn, servers[: max(0, room)])


def _tell(turn: Turn, group: GroupId) -> None:
    me = turn.me.user
    if group == me.id or not _may_tell(turn):
        return
    membership = turn.state(group).membership(me.id)
    if membership in (Membership.LEFT, Membership.REMOVED):
        _take_back(turn, group)
    secret = secret_of(turn, group)
    if membership is not Membership.MEMBER or secret is None:
        return
    servers = profile.servers(turn)[-_SERVERS:]
    seen = {"secret": secret.hex(), "name": name_of(turn, group), "servers": servers}
    told = turn.tx.profile_get(_TOLD) or {}
    before = told.get(group, {})
    if seen == before:
        return
    turn.tx.profile_set(_TOLD, {**told, group: seen})
    live = turn.tx.get(me.id, own_group_id(group))
    known = live.value if live is not None else {}
    changed = {field: value for field, value in seen.items() if value != before.get(field)}
    value = {**seen, **known, **changed}
    if value != known:
        write_data(turn, OWN_GROUP_TYPE, group, value)


def _take_back(turn: Turn, group: GroupId) -> None:
    """The user is in a group no more: no device that comes later is to look for it."""
    told = turn.tx.profile_get(_TOLD) or {}
    if told.pop(group, None) is not None:
        turn.tx.profile_set(_TOLD, told)
    live = turn.tx.get(turn.me.user.id, own_group_id(group))
    if live is not None and not live.deleted:
        write_data(turn, OWN_GROUP_TYPE, group, None)


def _may_tell(turn: Turn) -> bool:
    me, personal = turn.me.user, turn.state(turn.me.user.id)
    return personal.role(me.id) is not None and personal.is_active(me.id, me.device)

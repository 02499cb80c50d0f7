"""This user's groups, told to the user's other devices by records in the personal group.

A device writes what *it* sees change, once, and never writes back what another says. So where two
see different things for a while, they do not write in turns for ever: the later one stands.
"""

from __future__ import annotations

from typing import Final

from peerstack import limits
from peerstack.engine import profile
from peerstack.engine.effects import GroupsChanged
from peerstack.engine.kept_secrets import live_secrets, remember, secret_in, secret_of
from peerstack.engine.turn import Turn
from peerstack.engine.whereabouts import group_data, told_groups
from peerstack.engine.writing import data_id, name_of, write_data
from peerstack.groups.membership import Membership
from peerstack.identity import KnownGroup
from peerstack.ids import GroupId
from peerstack.keys import Secret
from peerstack.record import OWN_GROUP_TYPE

_TOLD: Final = "told groups"
_FIRST_MS: Final = 1_000
_NEXT_MS: Final = 2_000
_PLACES: Final = 10


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
        known.group: known.name
        for known, _ in told_groups(turn)
        if turn.state(known.group).membership(me) is Membership.NONE
    }


def _learn(turn: Turn) -> None:
    servers: list[str] = []
    told_here = list(told_groups(turn))
    live = live_secrets(turn, [told.group for told, _ in told_here])
    for told, urls in told_here:
        servers += urls
        if told.group in live and secret_in(live[told.group].value) is not None:
            # The group's own word counts for more.
            continue
        if turn.row(told.group) is None:
            turn.add_group(told.group, 0)
            turn.statements_changed(told.group)
        # Others find this device by it, and show it why its user is a member.
        remember(turn, told.group, [Secret(told.secret)])
    known = profile.servers(turn)
    fresh = [url for url in dict.fromkeys(servers) if url not in known]
    room = max(0, limits.SERVERS_LEARNED - len(known))
    if fresh[:room]:
        profile.add_servers(turn, fresh[:room], instead=True)
        # So whoever connects to servers hears of them.
        turn.effects.append(GroupsChanged())


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
    known = KnownGroup(group, name_of(turn, group), secret)
    seen = group_data(known, profile.servers(turn))
    told = turn.tx.profile_get(_TOLD) or {}
    before = told.get(group, {})
    if seen == before:
        return
    turn.tx.profile_set(_TOLD, {**told, group: seen})
    live = turn.tx.get(me.id, data_id(OWN_GROUP_TYPE, group))
    there = live.value if live is not None else {}
    changed = {field: value for field, value in seen.items() if value != before.get(field)}
    value = {**seen, **there, **changed}
    if value != there:
        write_data(turn, OWN_GROUP_TYPE, group, value)


def _take_back(turn: Turn, group: GroupId) -> None:
    """The user is in a group no more: no device that comes later is to look for it."""
    told = turn.tx.profile_get(_TOLD) or {}
    if told.pop(group, None) is not None:
        turn.tx.profile_set(_TOLD, told)
    write_data(turn, OWN_GROUP_TYPE, group, None)


def _may_tell(turn: Turn) -> bool:
    me, personal = turn.me.user, turn.state(turn.me.user.id)
    return personal.role(me.id) is not None and personal.is_active(me.id, me.device)

"""Where the user's groups are found, as this device knows it and as a recovery brought it."""

from __future__ import annotations

from typing import Final

from peerstack import limits
from peerstack.engine.kept_secrets import remember, secret_of
from peerstack.engine.turn import Turn
from peerstack.engine.writing import name_of, write_data
from peerstack.groups.membership import Membership
from peerstack.identity import KnownGroup, Whereabouts
from peerstack.ids import GroupId
from peerstack.keys import KEY_BYTES, Secret
from peerstack.record import OWN_GROUP_TYPE, JsonObject, Signed

_RESTORED: Final = "restored secret"
_SERVERS: Final = 8
"""What a record that tells of a group names at the most."""


def known_groups(turn: Turn) -> dict[GroupId, KnownGroup]:
    """The groups to be in again: those that this device is in, and those that it looks for."""
    told = turn.tx.find(turn.me.user.id, OWN_GROUP_TYPE)
    groups = {each.group: each for signed in told if (each := _known_group(signed)) is not None}
    for row in turn.tx.groups():
        membership = turn.state(row.id).membership(turn.me.user.id)
        secret = secret_of(turn, row.id)
        if membership in (Membership.REMOVED, Membership.LEFT):
            groups.pop(row.id, None)
        elif membership is Membership.MEMBER and secret is not None:
            groups[row.id] = KnownGroup(row.id, name_of(turn, row.id), secret)
    return groups


def _known_group(signed: Signed) -> KnownGroup | None:
    """What a `$data.group` says, if it makes sense: one's own devices may be of another version."""
    value, group = signed.value, signed.id.partition(":")[0]
    secret, name = value.get("secret"), value.get("name")
    if not isinstance(secret, str) or not isinstance(name, str):
        return None
    try:
        decoded = bytes.fromhex(secret)
    except ValueError:
        return None
    fits = len(decoded) == KEY_BYTES
    return KnownGroup(group, name[: limits.NAME_CHARS], decoded) if fits else None


def restore(turn: Turn, whereabouts: Whereabouts) -> None:
    """Have this new device look for the user's groups, and for the user's other devices.

    Groups are noted where those devices look for them too. The personal group gets a new secret,
    since whoever took a device has the old one; by the old one, others are met until they have it.
    """
    for known in whereabouts.groups:
        if known.group == turn.me.user.id:
            remember(turn, known.group, [Secret(known.secret)])
            since = {"secret": known.secret.hex(), "since": turn.now.wall_ms}
            turn.tx.profile_set(_RESTORED, since)
        else:
            write_data(turn, OWN_GROUP_TYPE, known.id, _group_data(known, whereabouts))


def _group_data(known: KnownGroup, whereabouts: Whereabouts) -> JsonObject:
    return {
        "secret": known.secret.hex(),
        "name": known.name,
        "servers": list(whereabouts.servers[-_SERVERS:]),
    }


def restored_secret(turn: Turn) -> Secret | None:
    """The personal group's secret that a kit brought, while other devices are called by it.

    For longer than until all those that are known have the present one: some that the kit does not
    know may have no other.
    """
    stored = turn.tx.profile_get(_RESTORED)
    if stored is None or turn.now.wall_ms - stored["since"] > limits.RESTORED_MS:
        return None
    return Secret(bytes.fromhex(stored["secret"]))

"""Where the user's groups are found, as this device knows it and as a recovery brought it."""

from __future__ import annotations

from typing import Final

from peerstack import limits
from peerstack.engine.turn import Turn
from peerstack.engine.writing import name_of, secret_of, write_data
from peerstack.groups.membership import Membership
from peerstack.identity import KnownGroup, Whereabouts
from peerstack.ids import GroupId
from peerstack.keys import KEY_BYTES, Secret
from peerstack.record import JsonObject, Signed

GROUP_DATA_TYPE: Final = "$data.group"
"""What a user's devices tell each other of a group: how it is found."""

_RESTORED: Final = "restored secret"


def known_groups(turn: Turn) -> dict[GroupId, KnownGroup]:
    """The groups to be in again: those that this device is in, and those that it looks for."""
    told = turn.tx.find(turn.me.user.id, GROUP_DATA_TYPE)
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
            turn.tx.profile_set(
                _RESTORED, {"secret": known.secret.hex(), "since": turn.now.wall_ms}
            )
        else:
            write_data(turn, GROUP_DATA_TYPE, known.id, _group_data(known, whereabouts))


def _group_data(known: KnownGroup, whereabouts: Whereabouts) -> JsonObject:
    return {
        "secret": known.secret.hex(),
        "name": known.name,
        "servers": list(whereabouts.servers),
    }


def restored_secret(turn: Turn) -> Secret | None:
    """The secret of the personal group that a kit brought, while others are to be met by it."""
    stored = turn.tx.profile_get(_RESTORED)
    if stored is None or turn.now.wall_ms - stored["since"] > limits.NEWCOMER_MS:
        return None
    return Secret(bytes.fromhex(stored["secret"]))

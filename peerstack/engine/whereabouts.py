"""Where the user's groups are found, as this device knows it and as a recovery brought it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from peerstack import limits
from peerstack.engine.kept_secrets import secret_in, secret_of
from peerstack.engine.turn import Turn
from peerstack.engine.writing import data_id, name_of, write_data
from peerstack.groups.membership import Membership
from peerstack.identity import KnownGroup, Whereabouts
from peerstack.ids import GroupId, is_ulid
from peerstack.keys import Secret
from peerstack.record import OWN_GROUP_TYPE, JsonObject, Signed

_RESTORED: Final = "restored secret"
_SERVERS: Final = 8
_URL_CHARS: Final = 512


class ToldGroup(NamedTuple):
    """What one of the user's devices told the others of a group."""

    known: KnownGroup
    servers: Sequence[str]


def told_groups(turn: Turn) -> Iterator[ToldGroup]:
    """The groups that the user's devices told each other of, where that makes sense.

    They may be of another version, so more is passed over than refused.
    """
    for signed in turn.tx.find(turn.me.user.id, OWN_GROUP_TYPE):
        told = _told(signed)
        if told is not None and told.known.group != turn.me.user.id:
            yield told


def _told(signed: Signed) -> ToldGroup | None:
    value, group = signed.value, signed.id.partition(":")[0]
    secret, name, servers = secret_in(value), value.get("name"), value.get("servers")
    if secret is None or not isinstance(name, str) or not is_ulid(group):
        return None
    if signed.id != data_id(OWN_GROUP_TYPE, group) or not isinstance(servers, list):
        return None
    urls = [url for url in servers if isinstance(url, str) and 1 <= len(url) <= _URL_CHARS]
    return ToldGroup(KnownGroup(group, name[: limits.NAME_CHARS], secret), urls[:_SERVERS])


def group_data(known: KnownGroup, servers: Sequence[str]) -> JsonObject:
    """What a device tells the others of a group; of the servers, the latest."""
    return {
        "secret": known.secret.hex(),
        "name": known.name,
        "servers": list(servers[-_SERVERS:]),
    }


def known_groups(turn: Turn) -> dict[GroupId, KnownGroup]:
    """The groups to be in again: those that this device is in, and those that it looks for."""
    groups = {told.known.group: told.known for told in told_groups(turn)}
    for group in turn.groups():
        membership = turn.state(group).membership(turn.me.user.id)
        secret = secret_of(turn, group)
        if membership in (Membership.REMOVED, Membership.LEFT):
            groups.pop(group, None)
        elif membership is Membership.MEMBER and secret is not None:
            groups[group] = KnownGroup(group, name_of(turn, group), secret)
    return groups


def restore(turn: Turn, whereabouts: Whereabouts) -> None:
    """Have this new device look for the user's groups, and for the user's other devices.

    Groups are noted where those devices look for them too. The personal group gets a new secret,
    since whoever took a device has the old one; by the old one, others are met until they have it.
    """
    for known in whereabouts.groups:
        if known.group == turn.me.user.id:
            since = {"secret": known.secret.hex(), "since": turn.now.wall_ms}
            turn.tx.profile_set(_RESTORED, since)
        else:
            write_data(turn, OWN_GROUP_TYPE, known.id, group_data(known, whereabouts.servers))


def restored_secret(turn: Turn) -> Secret | None:
    """The personal group's secret that a kit brought, while other devices are called by it.

    For longer than until all those that are known have the present one: some that the kit does not
    know may have no other.
    """
    stored = turn.tx.profile_get(_RESTORED)
    if stored is None or turn.now.wall_ms - stored["since"] > limits.RESTORED_MS:
        return None
    return Secret(bytes.fromhex(stored["secret"]))

"""People and devices as apps see them. Decides nothing: it shows what the engine knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from peerstack.engine import Turn, people
from peerstack.engine.people import Verified
from peerstack.engine.reached import Held
from peerstack.errors import InvalidValue
from peerstack.groups.statements import RoleName
from peerstack.identity import Device, Fingerprint, Identity
from peerstack.ids import DeviceId, GroupId, RecordId, UserId
from peerstack.keys import Hash

AddressBook = Callable[[UserId], str | None]
"""What the app calls a user; None for one whom it does not know."""

NOTED = "raised by the address_book that was given to peerstack.open, asked about user"


class DeviceInfo(msgspec.Struct, frozen=True):
    """One device of somebody. Times are Unix milliseconds."""

    id: DeviceId
    name: str
    since_ms: int
    """When it was certified: what it signs counts after that."""
    revoked_ms: int | None
    """When it was revoked; None where it was not."""
    active: bool
    """Whether what it signs now counts: certified under the user's present keys, not revoked."""
    this: bool
    """Whether it is this very device."""
    online: bool | None
    """Whether this device is connected to it now (or is it); None without a network."""


class Member(msgspec.Struct, frozen=True):
    """Somebody in a group."""

    user: UserId
    name: str
    """By the app's address book where that knows the user, else as the user calls themselves."""
    role: RoleName
    devices: tuple[DeviceInfo, ...]
    """Those that count, revoked ones too, the oldest first."""
    fingerprint: Fingerprint
    verified: Verified
    """Whether the keys are those that were compared (`Node.verify`); oneself is verified."""


class MemberDevice(msgspec.Struct, frozen=True):
    """One device of somebody in a group."""

    user: UserId
    name: str
    """What the user is called, as in `Member`."""
    device: DeviceInfo


class Reached(msgspec.Struct, frozen=True):
    """Which devices have the live version of a record: the active ones of the group's members."""

    id: RecordId
    hash: Hash
    """Of the version that is meant, as in `Record`."""
    has: tuple[MemberDevice, ...]
    """Those that have it by their own word; its author's, and this one."""
    lacks: tuple[MemberDevice, ...]
    """Those that are not known to have it. They may have it, and not have said so yet."""


def reached(held: Held, members: Iterable[Member]) -> Reached:
    """Which of the members' devices have a version."""
    devices = [
        MemberDevice(member.user, member.name, device)
        for member in members
        for device in member.devices
        if device.active
    ]
    has = tuple(each for each in devices if each.device.id in held.devices)
    lacks = tuple(each for each in devices if each.device.id not in held.devices)
    return Reached(held.version.id, held.version.hash, has, lacks)


def members(turn: Turn, group: GroupId) -> list[Member]:
    """Everyone in a group that this device is in, by the names that they gave themselves."""
    state = turn.own_state(group)
    compared = people.compared_keys(turn)
    return [
        _member(turn, state.identities[user], role.label, compared)
        for user, role in state.members().items()
    ]


def _member(
    turn: Turn, identity: Identity, role: RoleName, compared: people.ComparedKeys
) -> Member:
    user = identity.user
    is_me = user == turn.me.user.id
    names = people.device_names(turn) if is_me else {}
    verified = "yes" if is_me else people.verified(compared, identity)
    devices = _infos(turn, identity, identity.devices.values(), names)
    return Member(user, identity.name, role, devices, Fingerprint(user, identity.root), verified)


def own_devices(turn: Turn) -> list[DeviceInfo]:
    """Every device that this user ever had, the oldest first."""
    user = turn.me.user.id
    identity = turn.state(user).identities[user]
    devices = {**identity.certified, **identity.devices}
    return list(_infos(turn, identity, devices.values(), people.device_names(turn)))


def _infos(
    turn: Turn, identity: Identity, devices: Collection[Device], names: Mapping[DeviceId, str]
) -> tuple[DeviceInfo, ...]:
    found = (
        DeviceInfo(
            device.id,
            names.get(device.id, device.name),
            device.since_ms,
            device.end_ms,
            active=device.id in identity.devices and device.end_ms is None,
            this=device.id == turn.me.user.device,
            online=None,
        )
        for device in devices
    )
    return tuple(sorted(found, key=lambda info: (info.since_ms, info.id)))


def with_online(device: DeviceInfo, online: Collection[DeviceId] | None) -> DeviceInfo:
    """The device as the connections of this moment show it; None for no network."""
    if online is None:
        return device
    return msgspec.structs.replace(device, online=device.this or device.id in online)


def name_by(address_book: AddressBook | None, user: UserId, own_name: str) -> str:
    """What to call a user: what the app does, or else what they call themselves.

    What the address book raises goes to the app as it is, with a note of where it comes from.
    """
    if address_book is None:
        return own_name
    try:
        name = address_book(user)
    except Exception as error:
        error.add_note(f"{NOTED} {user}")
        raise
    if name is not None and not isinstance(name, str):
        raise InvalidValue(
            f"the address book gave {type(name).__name__} for user {user}; it gives text, or None"
        )
    return name or own_name

"""What one knows of people: whose keys were compared, and what one's own devices are called.

Both are records of the personal group, so that one's other devices know it too. They say nothing to
anybody else, and decide nothing: who may write what goes by signed statements alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeVar

import msgspec

from peerstack import limits
from peerstack.engine.turn import Turn
from peerstack.engine.writing import data_id, write_data
from peerstack.errors import InvalidValue, NotFound
from peerstack.groups.membership import GroupState
from peerstack.identity import Fingerprint, Identity, KeyHex, Name
from peerstack.ids import DeviceId, UserId, as_user
from peerstack.keys import PublicKey
from peerstack.record import Signed

VERIFIED_TYPE: Final = "$data.verified"
DEVICE_NAME_TYPE: Final = "$data.device"

Verified = Literal["yes", "no", "changed"]
ComparedKeys = Mapping[UserId, PublicKey]
Form = TypeVar("Form")


class _Verified(msgspec.Struct, frozen=True):
    """The root key that a user had when they were compared."""

    root: KeyHex


class _DeviceName(msgspec.Struct, frozen=True):
    name: Name


# --- Whose keys were compared. --------------------------------------------------------------------


def verify(turn: Turn, user: UserId, compared: Fingerprint | None) -> None:
    """Mark that this user's keys were compared: those of `compared`, or else the present ones.

    Raises `NotFound` for somebody unknown, and `InvalidValue` for oneself, or where the user's keys
    are not those of `compared`.
    """
    if user == turn.me.user.id:
        raise InvalidValue("that is yourself; compare the other person's fingerprint")
    present = fingerprint(turn, user)
    if compared not in (None, present):
        raise InvalidValue(
            f"the fingerprint that was compared is not the present one of user {user}; their keys "
            "may have changed meanwhile: compare again"
        )
    write_data(turn, VERIFIED_TYPE, user, {"root": present.root.hex()})


def unverify(turn: Turn, user: UserId) -> None:
    """Take that mark back; without effect where there is none."""
    write_data(turn, VERIFIED_TYPE, user, None)


def fingerprint(turn: Turn, user: UserId) -> Fingerprint:
    """The present fingerprint of somebody whose keys are known here. Raises `NotFound`."""
    identity = next(_identities_of(turn, user), None)
    if identity is None:
        raise NotFound(f"no user {user} is known on this device; you meet users in groups")
    return Fingerprint(user, identity.root)


def compared_keys(turn: Turn) -> ComparedKeys:
    """The root keys that users had when they were compared."""
    found = {}
    for signed in turn.tx.find(turn.me.user.id, VERIFIED_TYPE):
        user, value = as_user(_subject(signed)), _read(signed, _Verified)
        if value is not None:
            found[user] = PublicKey(bytes.fromhex(value.root))
    return found


def verified(compared: ComparedKeys, identity: Identity) -> Verified:
    """Whether a user's present keys are those that were compared."""
    if identity.user not in compared:
        return "no"
    return "yes" if compared[identity.user] == identity.root else "changed"


def changed_keys(turn: Turn) -> list[tuple[UserId, str]]:
    """The members of one's groups whose keys are not those that were compared: ids and names."""
    compared = compared_keys(turn)
    if not compared:
        return []
    found = {}
    for state in _own_states(turn):
        for user in compared.keys() & state.members().keys():
            identity = state.identities[user]
            if verified(compared, identity) == "changed":
                found[user] = identity.name
    return sorted(found.items())


def _own_states(turn: Turn) -> Iterator[GroupState]:
    for group in turn.groups():
        state = turn.state(group)
        if state.role(turn.me.user.id) is not None:
            yield state


def _identities_of(turn: Turn, user: UserId) -> Iterator[Identity]:
    return (
        state.identities[user]
        for state in map(turn.state, turn.groups())
        if user in state.identities
    )


# --- What one's devices are called. ---------------------------------------------------------------


def rename_device(turn: Turn, device: DeviceId, name: str) -> None:
    """Call one of one's own devices something else than its certificate does.

    Raises `InvalidValue` for a bad name, and `NotFound` for a device that is not one's own.
    """
    if not 1 <= len(name) <= limits.NAME_CHARS:
        raise InvalidValue(f"a device's name has 1 to {limits.NAME_CHARS} characters")
    user = turn.me.user.id
    if device not in turn.state(user).identities[user].certified:
        raise NotFound(f"you have no device {device}; `devices` lists yours")
    write_data(turn, DEVICE_NAME_TYPE, device, {"name": name})


def device_names(turn: Turn) -> dict[DeviceId, str]:
    """What one's own devices are called, those that were renamed."""
    found = {}
    for signed in turn.tx.find(turn.me.user.id, DEVICE_NAME_TYPE):
        value = _read(signed, _DeviceName)
        if value is not None:
            found[DeviceId(_subject(signed))] = value.name
    return found


# --- Reading. -------------------------------------------------------------------------------------


def _subject(signed: Signed) -> str:
    return signed.id.partition(":")[0]


def _read(signed: Signed, form: type[Form]) -> Form | None:
    """What a record says; None where it has no such form, or stands under another id."""
    if signed.id != data_id(signed.type, _subject(signed)):
        return None
    try:
        return msgspec.convert(signed.value, form)
    except msgspec.ValidationError:
        return None

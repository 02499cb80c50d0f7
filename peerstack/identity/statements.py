"""The forms of the statements that say who a user is, and the checks that each must pass.

All of them carry the user's own id as their group, and a root key signs them
(`docs/protocol.md`, "Statement forms"). What they add up to is read elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ids import DeviceId, UserId
from peerstack.keys import Check, DerivedIdCheck, Hash, Label, derive_id, framed, sha256
from peerstack.record import Signed, UlidText

USER_TYPE: Final = "$user"
ROTATE_TYPE: Final = "$rotate"
DEVICE_TYPE: Final = "$device"
REVOKE_TYPE: Final = "$revoke"

HashHex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
KeyHex = HashHex
Name = Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARS)]


class Inception(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$user`: the first root key, and the hash of the next one. The user id derives from it."""

    key: KeyHex
    next: HashHex
    name: Name


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$rotate`, signed by the key whose hash `under` gave: the next root key of the user."""

    under: HashHex
    key: KeyHex
    next: HashHex
    keeps: Annotated[list[HashHex], Meta(max_length=limits.ROTATION_KEEPS)]


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$device`, signed by the root key of `under`: a device of the user, and its key.

    The device id derives from user, key and time, so it means the same to everybody for ever.
    """

    under: HashHex
    device: UlidText
    key: KeyHex
    name: Name


class Revocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$revoke`, signed by the root key of `under`: the end of a device."""

    under: HashHex
    device: UlidText


IdentityForm = Inception | Rotation | Certificate | Revocation

_FORMS: Final[Mapping[str, type[IdentityForm]]] = {
    USER_TYPE: Inception,
    ROTATE_TYPE: Rotation,
    DEVICE_TYPE: Certificate,
    REVOKE_TYPE: Revocation,
}

Form = TypeVar("Form")


def is_identity_type(type_name: str) -> bool:
    """Whether statements of this type say who a user is (and travel in every group of theirs)."""
    return type_name in _FORMS


def decode_form_untrusted(signed: Signed, form: type[Form]) -> Form:
    """The value of a statement, in the form of its type. Raises `RemoteError(MALFORMED)`."""
    try:
        return msgspec.convert(signed.value, form)
    except msgspec.ValidationError as error:
        raise RemoteError(Reason.MALFORMED, f"{signed.type}: {error}") from error


def check_time_untrusted(signed: Signed) -> None:
    """Raise `RemoteError(MALFORMED)` for a statement after which none of its kind has room."""
    if signed.modified > limits.STATEMENT_MS_MAX:
        raise RemoteError(Reason.MALFORMED, f"{signed.type} of a time that nothing could end")


def identity_form_untrusted(signed: Signed) -> IdentityForm:
    """The value of an identity statement. Raises `RemoteError(MALFORMED)`."""
    form = decode_form_untrusted(signed, _FORMS[signed.type])
    check_time_untrusted(signed)
    if signed.group != signed.signer or signed.device:
        raise RemoteError(
            Reason.MALFORMED, f"{signed.type} has its user's id as group, and no device"
        )
    if isinstance(form, Inception) and signed.id != signed.signer:
        raise RemoteError(Reason.MALFORMED, "the id of an inception is the user's")
    return form


def identity_checks_untrusted(
    signed: Signed, find: Callable[[Hash], Signed | None]
) -> Sequence[Check] | None:
    """What must hold before an identity statement is believed.

    `find` looks a verified statement up by its hash: one made under a forgery proves nothing.
    Returns None while the statement that it is made under is missing. Raises `RemoteError`.
    """
    form = identity_form_untrusted(signed)
    if isinstance(form, Inception):
        id_fields = user_id_fields(bytes.fromhex(form.key), bytes.fromhex(form.next), form.name)
        return (
            signed.signature_check(bytes.fromhex(form.key)),
            DerivedIdCheck(Label.USER_ID, id_fields, signed.modified, signed.signer),
        )
    parent = find(Hash(bytes.fromhex(form.under)))
    if parent is None:
        return None
    key, next_hash = _root_key_untrusted(parent, signed.signer)
    if isinstance(form, Rotation):
        if next_key_hash(bytes.fromhex(form.key)).hex() != next_hash:
            raise RemoteError(Reason.BAD_SIGNATURE, "a rotation reveals a key not committed to")
        key = form.key
    signature = signed.signature_check(bytes.fromhex(key))
    if isinstance(form, Certificate):
        id_fields = device_id_fields(signed.signer, bytes.fromhex(form.key))
        return signature, DerivedIdCheck(Label.DEVICE_ID, id_fields, signed.modified, form.device)
    return (signature,)


def identity_parent_untrusted(signed: Signed) -> Hash | None:
    """The hash of the statement that an identity statement is made under; None for an inception.

    Raises `RemoteError(MALFORMED)`.
    """
    form = identity_form_untrusted(signed)
    return None if isinstance(form, Inception) else Hash(bytes.fromhex(form.under))


def _root_key_untrusted(parent: Signed, user: UserId) -> tuple[str, str]:
    form = identity_form_untrusted(parent) if is_identity_type(parent.type) else None
    if parent.signer != user or not isinstance(form, Inception | Rotation):
        raise RemoteError(Reason.DOES_NOT_STAND, "made under what gives no root key")
    return form.key, form.next


def user_id_fields(root_key: bytes, next_hash: bytes, name: str) -> bytes:
    """What a user id is derived from, beside its time."""
    return framed(root_key, next_hash, name.encode())


def device_id_fields(user: UserId, public: bytes) -> bytes:
    """What a device id is derived from, beside its time."""
    return framed(user.encode(), public)


def device_id(user: UserId, public: bytes, certified_ms: int) -> DeviceId:
    """The id of a device of a user, from its key and the `modified` of its certificate."""
    return DeviceId(derive_id(Label.DEVICE_ID, device_id_fields(user, public), certified_ms))


def next_key_hash(public: bytes) -> Hash:
    """The commitment to a next root key."""
    return sha256(Label.NEXT_KEY.value, public)

"""Who a user is: keys and devices, read from signed statements alone. Knows no groups.

An identity is a set of statements (`docs/protocol.md`, "Statement forms"), never a document
that the last writer wins. All of them carry the user's own id as their group, and a root key signs
them. `$rotate` and `$revoke` have their final form here and are kept and passed on; they have no
effect in this version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.errors import InvalidValue, Reason, RemoteError
from peerstack.ids import DeviceId, IdFactory, RecordId, UserId, as_user
from peerstack.keys import (
    KEY_BYTES,
    Check,
    DerivedIdCheck,
    Hash,
    Label,
    PublicKey,
    Secret,
    Signer,
    derive_id,
    framed,
    sha256,
)
from peerstack.ports import Entropy
from peerstack.record import Body, Signed, UlidText, compose

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


def identity_form_untrusted(signed: Signed) -> IdentityForm:
    """The value of an identity statement. Raises `RemoteError(MALFORMED)`."""
    form = decode_form_untrusted(signed, _FORMS[signed.type])
    if signed.group != signed.signer or signed.device:
        raise RemoteError(
            Reason.MALFORMED, f"{signed.type} has its user's id as group, and no device"
        )
    if isinstance(form, Inception) and signed.id != signed.signer:
        raise RemoteError(Reason.MALFORMED, "the id of an inception is the user's")
    return form


@dataclass(frozen=True, slots=True)
class Device:
    """One certified device of a user."""

    id: DeviceId
    user: UserId
    key: PublicKey
    name: str
    since_ms: int
    """`modified` of the certificate: what the device signs counts after it."""
    certificate: Hash


@dataclass(frozen=True, slots=True)
class Identity:
    """What a set of verified statements says of one user."""

    user: UserId
    name: str
    inception: Hash
    since_ms: int
    root: PublicKey
    devices: Mapping[DeviceId, Device] = field(default_factory=dict)


def read_identity(statements: Iterable[Signed]) -> Identity | None:
    """The identity that verified statements of one user describe, in whatever order they come.

    Returns None while the inception is missing. An inception may be spelled in several ways; since
    the user id derives from what it says, each is as good as the others. Certificates for one
    device id differ in nothing but the name; the one with the lowest hash gives it.
    """
    in_order = sorted(statements, key=lambda signed: signed.order)
    inceptions = {signed.hash.hex(): signed for signed in in_order if signed.type == USER_TYPE}
    if not inceptions:
        return None
    inception = next(iter(inceptions.values()))
    form = decode_form_untrusted(inception, Inception)
    devices: dict[DeviceId, Device] = {}
    for signed in in_order:
        if signed.type == DEVICE_TYPE:
            device = _read_device(signed, inceptions)
            if device is not None:
                devices.setdefault(device.id, device)
    root = PublicKey(bytes.fromhex(form.key))
    return Identity(inception.signer, form.name, inception.hash, inception.modified, root, devices)


def _read_device(signed: Signed, inceptions: Mapping[str, Signed]) -> Device | None:
    form = decode_form_untrusted(signed, Certificate)
    inception = inceptions.get(form.under)
    if inception is None or signed.modified <= inception.modified:
        return None
    key = PublicKey(bytes.fromhex(form.key))
    return Device(
        DeviceId(form.device), signed.signer, key, form.name, signed.modified, signed.hash
    )


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


@dataclass(frozen=True, slots=True)
class User:
    """One's own user on one's own device: secrets, and the statements that introduce them.

    Made by `create`; its secrets belong into the profile's key file and nowhere else.
    """

    id: UserId
    device: DeviceId
    name: str
    root: Signer = field(repr=False)
    device_key: Signer = field(repr=False)
    recovery: Secret = field(repr=False)
    """The seed of the next root key, until its owner has written it down."""
    statements: tuple[Signed, ...] = field(repr=False)

    @classmethod
    def create(cls, name: str, device_name: str, now_ms: int, entropy: Entropy) -> User:
        """A new user with one device, stamped `now_ms` (Unix milliseconds).

        Raises `InvalidValue` for a name that is empty, longer than 128 characters or no text.
        """
        for text in (name, device_name):
            _check_name(text)
        root, device_key = Signer(entropy.draw(KEY_BYTES)), Signer(entropy.draw(KEY_BYTES))
        recovery = Secret(entropy.draw(KEY_BYTES))
        next_hash = next_key_hash(Signer(recovery).public)
        fields = user_id_fields(root.public, next_hash, name)
        user = as_user(derive_id(Label.USER_ID, fields, now_ms))
        device = device_id(user, device_key.public, now_ms + 1)
        inception = _sign_as_root(
            root, user, user, USER_TYPE, now_ms, Inception(root.public.hex(), next_hash.hex(), name)
        )
        certificate = _sign_as_root(
            root,
            user,
            IdFactory(entropy).new(now_ms + 1),
            DEVICE_TYPE,
            now_ms + 1,
            Certificate(inception.hash.hex(), device, device_key.public.hex(), device_name),
        )
        statements = (inception, certificate)
        return cls(user, device, name, root, device_key, recovery, statements)


def _check_name(text: str) -> None:
    if not 1 <= len(text) <= limits.NAME_CHARS:
        raise InvalidValue(f"a name has 1 to {limits.NAME_CHARS} characters: {text!r}")
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise InvalidValue(f"a name has no U+0000 and no half of a character: {text!r}")


def _sign_as_root(
    root: Signer, user: UserId, statement_id: str, type_name: str, modified: int, form: Any
) -> Signed:
    body = Body(
        id=RecordId(statement_id),
        group=user,
        type=type_name,
        modified=modified,
        signer=user,
        value=msgspec.to_builtins(form),
    )
    return compose(root, body)

"""The recovery kit: what a phrase cannot hold, sealed under a key that derives from the phrase.

With both, an empty machine knows who its user is and where the others are (`docs/protocol.md`,
"Recovery kits"). It holds no key that signs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.errors import InvalidKit, InvalidValue, Reason, RemoteError
from peerstack.identity.reading import Device, Identity, read_identity
from peerstack.identity.statements import identity_checks_untrusted, is_identity_type
from peerstack.ids import GroupId, UserId, as_group
from peerstack.keys import KEY_BYTES, Hash, Secret, open_untrusted, seal
from peerstack.ports import Entropy
from peerstack.record import Signed, UlidText, decode_untrusted

_VERSION: Final = 1
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)

_Url = Annotated[str, Meta(min_length=1, max_length=512)]
_Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
_Body = Annotated[bytes, Meta(max_length=limits.BODY_BYTES)]
_Statement = tuple[_Body, Annotated[bytes, Meta(max_length=128)]]


class KnownGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of the user's: what its members find each other by. The personal one too."""

    id: UlidText
    name: Annotated[str, Meta(max_length=limits.NAME_CHARS)]
    """Empty where it is not known, and for the personal group."""
    secret: _Key
    """The discovery secret, as it was then."""

    @property
    def group(self) -> GroupId:
        """Its id."""
        return as_group(self.id)

    def __repr__(self) -> str:
        return f"KnownGroup(id={self.id}, name={self.name!r})"


class Whereabouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the other devices of a user's groups are found."""

    servers: Annotated[tuple[_Url, ...], Meta(max_length=limits.KIT_SERVERS)]
    groups: Annotated[tuple[KnownGroup, ...], Meta(max_length=limits.GROUP_TAGS)]


@dataclass(frozen=True, slots=True)
class Kit:
    """What a recovery kit says."""

    identity: Identity = field(repr=False)
    """Who the user is, as it was known when the kit was written."""
    statements: tuple[Signed, ...] = field(repr=False)
    """The verified statements that say so."""
    whereabouts: Whereabouts

    @property
    def user(self) -> UserId:
        """The user's id."""
        return self.identity.user

    @property
    def name(self) -> str:
        """What others see of the user."""
        return self.identity.name

    @property
    def devices(self) -> list[Device]:
        """The user's devices, the oldest first; one that was revoked has its `end_ms`."""
        return sorted(self.identity.devices.values(), key=lambda each: (each.since_ms, each.id))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    peerstack: Literal["recovery kit"]
    version: int
    box: bytes


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    statements: Annotated[tuple[_Statement, ...], Meta(max_length=limits.KIT_STATEMENTS)]
    whereabouts: Whereabouts


def seal_kit(
    kit_key: Secret, statements: Sequence[Signed], whereabouts: Whereabouts, entropy: Entropy
) -> bytes:
    """The bytes of a kit file. Raises `InvalidValue` for more than a kit can hold."""
    content = _Content(tuple((each.body, each.signature) for each in statements), whereabouts)
    box = seal(kit_key, msgspec.json.encode(content), entropy)
    encoded = msgspec.json.encode(_File("recovery kit", _VERSION, box)) + b"\n"
    fits = len(statements) <= limits.KIT_STATEMENTS and len(encoded) <= limits.KIT_BYTES
    if not fits or len(whereabouts.groups) > limits.GROUP_TAGS:
        raise InvalidValue(
            f"{len(statements)} statements about you and {len(whereabouts.groups)} groups are more "
            "than a recovery kit holds; keep the kit that you have"
        )
    return encoded


def is_kit(data: bytes) -> bool:
    """Whether this is a kit file, by its outside."""
    try:
        msgspec.json.decode(data, type=_File)
    except _UNREADABLE:
        return False
    return True


def decode_untrusted_kit(data: bytes, kit_key: Secret) -> Kit:
    """What a kit file says; every statement in it is verified.

    Takes about 10 ms for each device. Raises `InvalidKit` and nothing else.
    """
    content = _content_untrusted(data, kit_key)
    try:
        signed = [decode_untrusted(body, signature) for body, signature in content.statements]
        statements = _verified_untrusted(signed)
    except RemoteError as error:
        raise InvalidKit(f"this kit holds a statement that does not hold: {error}") from error
    identity = read_identity(statements)
    if identity is None or {each.signer for each in statements} != {identity.user}:
        raise InvalidKit("this kit does not say who its user is, or says it of several")
    return Kit(identity, statements, content.whereabouts)


def _content_untrusted(data: bytes, kit_key: Secret) -> _Content:
    if len(data) > limits.KIT_BYTES:
        raise InvalidKit(f"a recovery kit has at most {limits.KIT_BYTES:,} bytes")
    try:
        file = msgspec.json.decode(data, type=_File)
    except _UNREADABLE as error:
        raise InvalidKit("this file is no recovery kit, or is damaged") from error
    if file.version != _VERSION:
        raise InvalidKit(f"this kit is of version {file.version}; it needs a newer peerstack")
    try:
        return msgspec.json.decode(open_untrusted(kit_key, file.box), type=_Content)
    except RemoteError as error:
        raise InvalidKit(
            "this kit belongs to another phrase: use the one that was current when it was written"
        ) from error
    except _UNREADABLE as error:
        raise InvalidKit("the content of this kit is not what a kit holds") from error


def _verified_untrusted(statements: Sequence[Signed]) -> tuple[Signed, ...]:
    """The same statements, each with its checks made. Raises `RemoteError` where one fails."""
    verified: dict[Hash, Signed] = {}
    waiting = list(statements)
    while waiting:
        ready = [each for each in waiting if _holds_untrusted(each, verified)]
        if not ready:
            raise RemoteError(Reason.DOES_NOT_STAND, "what it stands under is missing")
        verified.update((each.hash, each) for each in ready)
        waiting = [each for each in waiting if each.hash not in verified]
    return tuple(sorted(verified.values(), key=lambda each: each.order))


def _holds_untrusted(signed: Signed, verified: dict[Hash, Signed]) -> bool:
    """Whether its checks hold; False while what it stands under is not verified."""
    if not is_identity_type(signed.type):
        raise RemoteError(Reason.UNEXPECTED, f"{signed.type} says nothing of who a user is")
    checks = identity_checks_untrusted(signed, verified.get)
    if checks is None:
        return False
    if not all(check.holds() for check in checks):
        raise RemoteError(Reason.BAD_SIGNATURE, f"{signed.type} {signed.id}")
    return True

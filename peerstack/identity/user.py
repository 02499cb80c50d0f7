"""One's own user on one's own device: the secrets, and what is signed with the root key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from peerstack import limits
from peerstack.errors import InvalidValue
from peerstack.identity.statements import (
    DEVICE_TYPE,
    USER_TYPE,
    Certificate,
    Inception,
    device_id,
    next_key_hash,
    user_id_fields,
)
from peerstack.ids import DeviceId, IdFactory, RecordId, UserId, as_user
from peerstack.keys import KEY_BYTES, Label, Secret, Signer, derive_id
from peerstack.ports import Entropy
from peerstack.record import Body, Signed, compose


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

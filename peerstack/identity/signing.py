"""The statements that a root key signs about its user: pure, with the time as an argument.

Each stands under the statement that gives the root key which signs it (`Identity.head`). Whether it
should be made, and by which key, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from peerstack import limits
from peerstack.errors import InvalidValue
from peerstack.identity.statements import (
    DEVICE_TYPE,
    REVOKE_TYPE,
    ROTATE_TYPE,
    USER_TYPE,
    Certificate,
    IdentityForm,
    Inception,
    Revocation,
    Rotation,
    device_id,
    next_key_hash,
    user_id_fields,
)
from peerstack.ids import DeviceId, IdFactory, RecordId, UserId, as_user
from peerstack.keys import Hash, Label, PublicKey, Signer, derive_id
from peerstack.ports import Entropy
from peerstack.record import Body, Signed, compose


def sign_inception(root: Signer, next_key: PublicKey, name: str, modified: int) -> Signed:
    """A `$user`: the beginning of a user whose root key is `root` and whose next is `next_key`.

    Raises `InvalidValue` for a name that is empty, longer than 128 characters or no text.
    """
    check_name(name)
    next_hash = next_key_hash(next_key)
    fields = user_id_fields(root.public, next_hash, name)
    user = as_user(derive_id(Label.USER_ID, fields, modified))
    form = Inception(root.public.hex(), next_hash.hex(), name)
    return _sign(root, user, RecordId(user), USER_TYPE, modified, form)


def sign_certificate(
    root: Signer,
    user: UserId,
    under: Hash,
    key: PublicKey,
    name: str,
    modified: int,
    entropy: Entropy,
) -> Signed:
    """A `$device`: the device that holds `key`, from `modified` on.

    With the key and the time of a certificate under an earlier root it is the same device, whose id
    derives from both. Raises `InvalidValue` for a name that nobody could read.
    """
    check_name(name)
    form = Certificate(under.hex(), device_id(user, key, modified), key.hex(), name)
    return _sign(root, user, _new_id(modified, entropy), DEVICE_TYPE, modified, form)


def sign_revocation(
    root: Signer, user: UserId, under: Hash, device: DeviceId, modified: int, entropy: Entropy
) -> Signed:
    """A `$revoke`: what the device signs counts before `modified`, which may be in the past."""
    form = Revocation(under.hex(), device)
    return _sign(root, user, _new_id(modified, entropy), REVOKE_TYPE, modified, form)


def sign_rotation(
    root: Signer,
    user: UserId,
    under: Hash,
    next_key: PublicKey,
    keeps: Iterable[Hash],
    modified: int,
    entropy: Entropy,
) -> Signed:
    """A `$rotate` to `root`, the key that `under` committed to, which names the next in turn.

    Of the certificates so far, those in `keeps` (at most 64) go on to count, and no others. Two
    rotations under one statement are a fork, which nobody can mend: make no second one.
    """
    kept = [certificate.hex() for certificate in keeps]
    form = Rotation(under.hex(), root.public.hex(), next_key_hash(next_key).hex(), kept)
    return _sign(root, user, _new_id(modified, entropy), ROTATE_TYPE, modified, form)


def check_name(text: str) -> None:
    """Raise `InvalidValue` for a name that is empty, longer than 128 characters or no text."""
    if not 1 <= len(text) <= limits.NAME_CHARS:
        raise InvalidValue(f"a name has 1 to {limits.NAME_CHARS} characters: {text!r}")
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
        raise InvalidValue(f"a name has no U+0000 and no half of a character: {text!r}")


def _new_id(modified: int, entropy: Entropy) -> RecordId:
    return RecordId(IdFactory(entropy).new(modified))


def _sign(
    root: Signer,
    user: UserId,
    statement_id: RecordId,
    type_name: str,
    modified: int,
    form: IdentityForm,
) -> Signed:
    body = Body(
        id=statement_id,
        group=user,
        type=type_name,
        modified=modified,
        signer=user,
        value=msgspec.to_builtins(form),
    )
    return compose(root, body)

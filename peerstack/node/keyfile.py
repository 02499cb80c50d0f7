"""A profile's secrets on disk, beside the database: `NAME.keys`, for its owner alone.

Sealed under a passphrase, or as they are where none was given. Written whole or not at all.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from peerstack.errors import ProfileLocked, StoreDamaged, StoreFull
from peerstack.identity import User
from peerstack.ids import DeviceId, as_user
from peerstack.keys import Secret, Signer, open_with_passphrase, seal_with_passphrase
from peerstack.ports import Entropy
from peerstack.record import decode_untrusted

_VERSION: Final = 1
_TEMPORARY: Final = re.compile(r"\.[a-z0-9_]{8}")
"""What `tempfile` puts behind the name of the key file while that is being written."""


class _Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str
    device: str
    name: str
    root: bytes
    device_key: bytes
    recovery: bytes
    statements: list[tuple[bytes, bytes]]


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    sealed: bool
    content: bytes


def path_of(database: Path) -> Path:
    """Where the secrets of a profile lie."""
    return database.with_name(database.name + ".keys")


def all_files(database: Path) -> list[Path]:
    """The file with a profile's secrets, and those that a crash left while it was being written."""
    keys = path_of(database)
    beside = keys.parent.iterdir() if keys.parent.is_dir() else ()
    return [
        keys,
        *(
            each
            for each in beside
            if each.name.startswith(keys.name) and _TEMPORARY.fullmatch(each.name[len(keys.name) :])
        ),
    ]


def write_new(path: Path, user: User, passphrase: str | None, entropy: Entropy) -> bool:
    """Write a user's secrets, readable by their owner only; false where there are some already.

    Raises `StoreFull`.
    """
    secrets = _Secrets(
        user.id,
        user.device,
        user.name,
        user.root.seed,
        user.device_key.seed,
        user.recovery,
        [(signed.body, signed.signature) for signed in user.statements],
    )
    content = msgspec.json.encode(secrets)
    if passphrase is not None:
        content = seal_with_passphrase(passphrase, content, entropy)
    encoded = msgspec.json.encode(_KeyFile(_VERSION, passphrase is not None, content))
    try:
        return _write_whole(path, encoded)
    except OSError as error:
        raise StoreFull(
            f"cannot write the key file {path}: {error.strerror}; make room, or choose a folder "
            "that you may write to"
        ) from error


def _write_whole(path: Path, content: bytes) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readable by its owner only from the start, and under a name that nobody else has.
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link takes nothing's place.
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def read(path: Path, passphrase: str | None) -> User:
    """The user whose secrets lie at `path`. Raises `ProfileLocked` or `StoreDamaged`."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_KeyFile)
        content = file.content
        if file.sealed:
            content = _unsealed(path, content, passphrase)
        return _user(msgspec.json.decode(content, type=_Secrets))
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreDamaged(
            f"the key file {path} is damaged; restore it from a backup of this device"
        ) from error
    except OSError as error:
        raise StoreDamaged(f"the key file {path} cannot be read: {error.strerror}") from error


def _unsealed(path: Path, content: bytes, passphrase: str | None) -> bytes:
    if passphrase is None:
        raise ProfileLocked(f"the keys in {path} are sealed; give their passphrase")
    return open_with_passphrase(passphrase, content)


def _user(secrets: _Secrets) -> User:
    return User(
        as_user(secrets.user),
        DeviceId(secrets.device),
        secrets.name,
        Signer(secrets.root),
        Signer(secrets.device_key),
        Secret(secrets.recovery),
        tuple(decode_untrusted(body, signature) for body, signature in secrets.statements),
    )

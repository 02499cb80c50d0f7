"""A profile's secrets on disk, beside the database: `NAME.keys`, for its owner alone.

Sealed under a passphrase, or as they are where none was given. Written whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import structs

from peerstack.errors import ProfileLocked, RemoteError, StoreDamaged, StoreFull, StoreTooNew
from peerstack.identity import User, Whereabouts, kit_key_of
from peerstack.ids import DeviceId, as_user
from peerstack.keys import Secret, Signer, open_with_passphrase, seal_with_passphrase
from peerstack.node import whole
from peerstack.ports import Entropy
from peerstack.record import Signed, decode_untrusted

_VERSION: Final = 2
"""1 had no root-less devices, and erased no seed: what it lacks can be worked out."""

RESTORE_KEYS: Final = (
    "Put it back from a backup. Without one, move what is left of this profile away, and get the "
    "data from another device of yours (`peerstack link`), or with recovery phrase and kit "
    "(`peerstack recover`)"
)

_OWNER: Final = 0o600
_OTHERS: Final = 0o077

Mark = tuple[int, int, int]


class Keys(NamedTuple):
    """What a key file holds."""

    user: User
    restores: Whereabouts | None = None
    """What a recovery brought, for the database that is about to be made."""


class _Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str
    device: str
    name: str
    root: bytes | None
    device_key: bytes
    recovery: bytes | None
    statements: list[tuple[bytes, bytes]]
    kit_key: bytes | None = None
    restores: Whereabouts | None = None

    def __repr__(self) -> str:
        return f"_Secrets(user={self.user})"


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    version: int
    sealed: bool
    content: bytes
    fresh: bool = False
    """The database that belongs to these keys has not been made yet."""


def path_of(database: Path) -> Path:
    """Where the secrets of a profile lie."""
    return database.with_name(database.name + ".keys")


def all_files(database: Path) -> list[Path]:
    """The file with a profile's secrets, and those that a crash left while it was being written."""
    keys = path_of(database)
    # Where a link stands, it is written beside what that leads to.
    places = dict.fromkeys((keys, keys.resolve()))
    return [keys, *(left for place in places for left in whole.left_beside(place))]


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The key file of one profile, and the passphrase that it is sealed under (None: it is not)."""

    path: Path
    passphrase: str | None
    entropy: Entropy

    def __repr__(self) -> str:
        return f"KeyFile({str(self.path)!r})"

    def write_new(self, keys: Keys, *, fresh: bool = True) -> bool:
        """Write secrets, before their database; false where there are some. Raises `StoreFull`.

        With `fresh`, whoever opens the profile next makes the database.
        """
        content = self._encoded(keys, sealed=self.passphrase is not None, fresh=fresh)
        with self._told():
            return whole.write_new(self.path, content)

    def read(self) -> Keys:
        """The secrets. Raises `ProfileLocked`, `StoreDamaged` or `StoreTooNew`."""
        return self._read()[0]

    def is_fresh(self) -> bool:
        """Whether the database has not been made yet. Raises `StoreDamaged` or `StoreTooNew`."""
        with self._readable():
            return self._content().fresh

    def note_database(self) -> None:
        """The database is there, and missed from now on. Raises as `is_fresh`, or `StoreFull`."""
        with self._readable():
            file = self._content()
        if not file.fresh:
            return
        with self._told():
            try:
                whole.replace(self.path, msgspec.json.encode(structs.replace(file, fresh=False)))
            except FileNotFoundError:
                # Another process that opens it for the first time has noted it, and tidied up.
                if self.is_fresh():
                    raise

    def forget_recovery(self) -> User:
        """Erase the recovery seed, and what a recovery brought; the user as the file has it then.

        Read and written anew, since another process may have changed it. A crash leaves the old
        file or the new one. Raises as `read`, and `StoreFull`.
        """
        return self._rewrite(lambda keys: Keys(replace(keys.user, recovery=None)))

    def enrol(
        self,
        name: str,
        root: Signer | None,
        kit_key: Secret | None,
        statements: tuple[Signed, ...],
    ) -> User:
        """Keep what a device was given when it was linked; the user as the file has it then.

        As `forget_recovery`: a crash leaves the old file or the new one, and it raises the same.
        """
        return self._rewrite(
            lambda keys: keys._replace(
                user=replace(
                    keys.user,
                    name=name,
                    root=root or keys.user.root,
                    kit_key=kit_key or keys.user.kit_key,
                    statements=statements,
                )
            )
        )

    def _rewrite(self, change: Callable[[Keys], Keys]) -> User:
        keys, sealed = self._read()
        changed = change(keys)
        content = self._encoded(changed, sealed=sealed)
        with self._told():
            whole.replace(self.path, content)
        return changed.user

    def mark(self) -> Mark | None:
        """Changes whenever the file does; None while there is none."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> tuple[Keys, bool]:
        """The secrets, and whether they are sealed."""
        with self._readable():
            file = self._content()
            keys = decode_keys(self._opened(file))
            self._take_from_others()
            return keys, file.sealed

    def _take_from_others(self) -> None:
        """Let nobody but the owner read it, though a copy or a restored backup may have been so."""
        if self.path.stat().st_mode & _OTHERS:
            with suppress(OSError):
                self.path.chmod(_OWNER)

    def _content(self) -> _Content:
        file = msgspec.json.decode(self.path.read_bytes(), type=_Content)
        if file.version > _VERSION:
            raise StoreTooNew(f"a newer peerstack wrote the key file {self.path}; update this one")
        return file

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (msgspec.MsgspecError, ValueError, RemoteError) as error:
            raise StoreDamaged(f"the key file {self.path} is damaged. {RESTORE_KEYS}") from error
        except OSError as error:
            raise StoreDamaged(
                f"the key file {self.path} cannot be read: {error.strerror}. Give your user read "
                f"access to it. {RESTORE_KEYS}"
            ) from error

    def _opened(self, file: _Content) -> bytes:
        if not file.sealed:
            return file.content
        if self.passphrase is None:
            raise ProfileLocked(f"the keys in {self.path} are sealed; give their passphrase")
        return open_with_passphrase(self.passphrase, file.content)

    def _encoded(self, keys: Keys, *, sealed: bool, fresh: bool = False) -> bytes:
        content = encode_keys(keys)
        if sealed:
            assert self.passphrase is not None
            content = seal_with_passphrase(self.passphrase, content, self.entropy)
        return msgspec.json.encode(_Content(_VERSION, sealed, content, fresh))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreFull(
                f"cannot write the key file {self.path}: {error.strerror}; make room, or choose a "
                "folder that you may write to"
            ) from error


def encode_keys(keys: Keys) -> bytes:
    """What a key file holds, as bytes that nothing seals."""
    user = keys.user
    secrets = _Secrets(
        user.id,
        user.device,
        user.name,
        user.root.seed if user.root is not None else None,
        user.device_key.seed,
        user.recovery,
        [(signed.body, signed.signature) for signed in user.statements],
        user.kit_key,
        keys.restores,
    )
    return msgspec.json.encode(secrets)


def decode_keys(content: bytes) -> Keys:
    """What `encode_keys` made. Raises `msgspec.MsgspecError`, `ValueError` or `RemoteError`."""
    secrets = msgspec.json.decode(content, type=_Secrets)
    recovery = Secret(secrets.recovery) if secrets.recovery is not None else None
    kit_key = Secret(secrets.kit_key) if secrets.kit_key is not None else None
    user = User(
        as_user(secrets.user),
        DeviceId(secrets.device),
        secrets.name,
        Signer(secrets.root) if secrets.root is not None else None,
        Signer(secrets.device_key),
        recovery,
        kit_key or (recovery and kit_key_of(recovery)),
        tuple(decode_untrusted(body, signature) for body, signature in secrets.statements),
    )
    return Keys(user, secrets.restores)

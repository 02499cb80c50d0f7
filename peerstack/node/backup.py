"""A whole profile in one file that a password opens, and a profile made from such a file.

A restored profile is a new device of its user: the one that was backed up may go on living.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from peerstack.engine import Engine
from peerstack.engine.restoring import become_new_device
from peerstack.errors import InvalidBackup, InvalidValue, RemoteError, StoreDamaged, StoreFull
from peerstack.identity import User
from peerstack.identity.signing import check_name
from peerstack.node import keyfile, sealed_file, whole
from peerstack.node.files import device_name as usual_device_name
from peerstack.node.files import key_file_of
from peerstack.node.keyfile import KeyFile, Keys
from peerstack.node.lock import NetworkLock
from peerstack.node.ports import SystemClock, SystemEntropy
from peerstack.store import Store
from peerstack.store.files import database_files

OnProgress = Callable[[int, int], None]
"""Told of bytes that are done, and of how many there are."""

_LENGTH_BYTES: Final = 4
_FIRST_BYTES_MAX: Final = 4 * 1024 * 1024


class _First(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands before the database in a backup."""

    keys: bytes
    """What the key file held; not sealed by its passphrase."""
    database_bytes: int

    def __repr__(self) -> str:
        return f"_First(database_bytes={self.database_bytes})"


# --- Backing up. ----------------------------------------------------------------------------------


def write_backup(
    store: Store, key_file: KeyFile, database: Path, path: Path, password: str, tell: OnProgress
) -> None:
    """Write the profile whose open files these are to `path`; see `Node.backup`."""
    _check_password(password)
    if path.exists() and not _is_backup(path):
        raise InvalidValue(f"{path} is there, and is no backup of peerstack; choose another name")
    if not path.parent.is_dir():
        raise InvalidValue(f"there is no folder {path.parent} to write a backup into")
    keys = key_file.read()
    try:
        # Not beside the backup: that may be a medium on which nothing is to lie unencrypted.
        with _copy_of(store, database) as copy, whole.replacing(path) as file:
            sealed_file.seal(file, password, _content(keys, copy, tell), key_file.entropy)
    except OSError as error:
        raise StoreFull(
            f"cannot write the backup {path}: {error.strerror}; a copy of the database needs room "
            f"in {database.parent} meanwhile too. What was there before is as it was"
        ) from error


@contextmanager
def _copy_of(store: Store, database: Path) -> Iterator[BinaryIO]:
    """A copy of the database at this moment; its name is gone as soon as it is made."""
    for left in whole.left_beside(database):
        left.unlink(missing_ok=True)
    with whole.beside(database) as (path, file):
        store.copy_to(path)
        path.unlink()
        yield file


def _content(keys: Keys, copy: BinaryIO, tell: OnProgress) -> Iterator[bytes]:
    total = os.fstat(copy.fileno()).st_size
    first = msgspec.json.encode(_First(keyfile.encode_keys(keys), total))
    yield len(first).to_bytes(_LENGTH_BYTES, "big") + first
    done = 0
    while chunk := copy.read(sealed_file.CHUNK_BYTES):
        yield chunk
        done += len(chunk)
        tell(done, total)


def _is_backup(path: Path) -> bool:
    with path.open("rb") as file:
        return sealed_file.is_sealed(file.read(64))


def _check_password(password: str) -> None:
    if not password:
        raise InvalidValue("a backup takes a password: whoever has both has all that you have")


# --- Restoring. -----------------------------------------------------------------------------------


def restore(
    backup: str | Path,
    password: str,
    into: str | Path,
    *,
    device_name: str | None = None,
    passphrase: str | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Make a profile at `into` from a backup: the same user, as a new device, with all records.

    The device that was backed up may go on; where it is lost, revoke it once this one has synced.
    `device_name` is what the user's devices call this one (by default, what the machine is called),
    and `passphrase` seals its keys. Works without a network, and blocks: call it in a thread where
    there is an event loop. Cut short, it leaves no profile, and may be repeated.

    Raises `InvalidBackup`, which says whether the password or the file is wrong, `InvalidValue`
    where there is a profile already, `ProfileInUse`, `NotAllowed` where the backup lacks the root
    key, and `StoreError`: `StoreTooNew` for that of a newer peerstack, `StoreFull` without room.
    """
    path = Path(into)
    name = device_name or usual_device_name()
    check_name(name)
    key_file = key_file_of(path, passphrase)
    try:
        opened = os.open(backup, os.O_RDONLY)
    except OSError as error:
        raise InvalidBackup(f"cannot read the backup {backup}: {error.strerror}") from error
    try:
        with os.fdopen(opened, "rb") as file, _place_for(path, key_file) as coming:
            content = Content(sealed_file.open_untrusted(file, password), on_progress)
            old = content.write_database_untrusted(coming)
            user = _as_new_device(coming, old, name)
            # From here on a crash leaves keys without a database, which nobody can take for whole.
            key_file.write_new(Keys(user), fresh=False)
            coming.rename(path)
            whole.sync_folder(path.parent)
    except OSError as error:
        raise StoreFull(
            f"cannot restore into {path}: {error.strerror}; nothing was made. Make room, or choose "
            "a folder that you may write to, and restore again"
        ) from error


@contextmanager
def _place_for(path: Path, key_file: KeyFile) -> Iterator[Path]:
    """Where the database is made, which is its own once renamed; gone, and the keys, if it fails.

    What an earlier call left when it was cut short is removed. Raises `InvalidValue`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    coming = coming_database(path)
    lock = NetworkLock(path)
    try:
        if path.exists() or (key_file.path.exists() and not coming.exists()):
            raise InvalidValue(f"there is another profile at {path}; restore into another one")
        _remove(coming, key_file)
        try:
            yield coming
        except BaseException:
            _remove(coming, key_file)
            raise
    except BaseException:
        if path.exists() or key_file.path.exists():
            lock.release()
        else:
            lock.remove()
        raise
    lock.release()


def coming_database(path: Path) -> Path:
    """Where the database of a profile lies while it is restored."""
    return path.with_name(f"{path.name}.restoring")


def _remove(coming: Path, key_file: KeyFile) -> None:
    # The keys first: while the other file is there, they are known to be nobody's.
    key_file.path.unlink(missing_ok=True)
    for file in reversed(database_files(coming)):
        file.unlink(missing_ok=True)


class Content:
    """What a backup holds, read once from its beginning to its end. `tell` as `restore` has it."""

    def __init__(self, chunks: Iterator[bytes], tell: OnProgress | None) -> None:
        self._chunks = chunks
        self._tell = tell
        self._waiting = bytearray()

    def write_database_untrusted(self, path: Path) -> User:
        """Write the database to a new file; whose it is. Raises `InvalidBackup` or `OSError`."""
        first = self._first_untrusted()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            done = file.write(self._waiting)
            for chunk in self._chunks:
                done += file.write(chunk)
                if self._tell is not None:
                    self._tell(done, first.database_bytes)
            if done != first.database_bytes:
                raise InvalidBackup("this backup is not as long as it says; it is damaged")
        try:
            return keyfile.decode_keys(first.keys).user
        except (msgspec.MsgspecError, ValueError, RemoteError) as error:
            raise InvalidBackup("the keys in this backup are not what a backup holds") from error

    def _first_untrusted(self) -> _First:
        length = int.from_bytes(self._take(_LENGTH_BYTES), "big")
        if length > _FIRST_BYTES_MAX:
            raise InvalidBackup("the content of this backup is not what a backup holds")
        try:
            return msgspec.json.decode(self._take(length), type=_First)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidBackup("the content of this backup is not what a backup holds") from error

    def _take(self, size: int) -> bytes:
        while len(self._waiting) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise InvalidBackup("the content of this backup is not what a backup holds")
            self._waiting += chunk
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken


def _as_new_device(database: Path, user: User, name: str) -> User:
    """Make a restored database that of a new device of its user.

    Raises `InvalidBackup` for one of another user's, or that is broken, and `StoreError`.
    """
    try:
        store = Store.open(database)
        try:
            engine = Engine(store, user, SystemEntropy())
            now = SystemClock().now()
            made, _ = engine.perform(lambda turn: become_new_device(turn, name), now)
        finally:
            store.close()
    except StoreDamaged as error:
        raise InvalidBackup(f"the database in this backup is damaged: {error}") from error
    with database.open("rb") as file:
        os.fsync(file.fileno())
    return made

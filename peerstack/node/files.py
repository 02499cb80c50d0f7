"""The files of a profile: database, keys and lock. Makes them where there are none."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from peerstack.errors import InvalidValue, StoreDamaged, StoreFull
from peerstack.identity import User
from peerstack.node import keyfile
from peerstack.node.keyfile import RESTORE_KEYS, KeyFile, Keys
from peerstack.node.lock import NetworkLock
from peerstack.node.ports import SystemClock, SystemEntropy
from peerstack.store import Store
from peerstack.store.faults import RESTORE


class Files(NamedTuple):
    """A profile's open files."""

    path: Path
    """The database."""
    store: Store
    keys: Keys
    key_file: KeyFile
    lock: NetworkLock | None

    def close(self) -> None:
        """Close them, where no node was made of them."""
        self.store.close()
        if self.lock is not None:
            self.lock.release()


def open_files(
    path: Path,
    new_keys: Callable[[], Keys],
    passphrase: str | None,
    network: bool,
    indexes: Mapping[str, Sequence[str]] | None,
    search: Mapping[str, Sequence[str]] | None,
) -> Files:
    """Open a profile's files, with the network's lock where it is wanted.

    `new_keys` is called where there is no profile yet. Raises `ProfileInUse`, `ProfileLocked`,
    `InvalidValue` or `StoreError`, and leaves nothing open.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = NetworkLock(path) if network else None
    except OSError as error:
        raise StoreFull(
            f"the profile {path} cannot be opened: {error.strerror}; make room, or see that your "
            "user may write to its folder, and that the disk is not mounted read-only"
        ) from error
    try:
        key_file = key_file_of(path, passphrase)
        keys = _open_keys(path, key_file, new_keys)
        store = Store.open(path, indexes, search)
        try:
            key_file.note_database()
        except BaseException:
            store.close()
            raise
        return Files(path, store, keys, key_file, lock)
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def key_file_of(path: Path, passphrase: str | None) -> KeyFile:
    """The key file that belongs to a database, whether it is there or not."""
    return KeyFile(keyfile.path_of(path), passphrase, SystemEntropy())


def _open_keys(path: Path, key_file: KeyFile, new_keys: Callable[[], Keys]) -> Keys:
    # The keys are written first, so that a database without them is not one being made.
    has_database = path.exists() and path.stat().st_size > 0
    if key_file.path.exists():
        if not has_database and not key_file.is_fresh():
            raise StoreDamaged(
                f"the database {path} is empty or not there, but its keys are, {key_file.path}. "
                f"{RESTORE}"
            )
        return key_file.read()
    if has_database:
        raise StoreDamaged(
            f"the database {path} is there, but not its keys, {key_file.path}. {RESTORE_KEYS}"
        )
    keys = new_keys()
    # Where another process was making the profile at the same time, and was first: its keys.
    return keys if key_file.write_new(keys) else key_file.read()


def first_keys(name: str | User | None) -> Keys:
    """The keys of a new user of that name, or of one that was made before.

    Raises `InvalidValue`.
    """
    if isinstance(name, User):
        return Keys(name)
    if name is None:
        raise InvalidValue("a new profile needs a name, which others will see: give `name`")
    return Keys(User.create(name, device_name(), SystemClock().now().wall_ms, SystemEntropy()))


def device_name() -> str:
    """What this device is called where nobody says otherwise."""
    return platform.node() or "device"

"""The files of a profile: database, keys and lock. Makes them where there are none."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from peerstack.errors import InvalidValue, StoreDamaged
from peerstack.identity import User
from peerstack.node import keyfile
from peerstack.node.lock import NetworkLock
from peerstack.node.ports import SystemClock, SystemEntropy
from peerstack.store import Store


def open_files(
    path: Path,
    name: str | User | None,
    passphrase: str | None,
    network: bool,
    indexes: Mapping[str, Sequence[str]] | None,
) -> tuple[Store, User, NetworkLock | None]:
    """Open a profile's files, with the network's lock where it is wanted.

    Raises `ProfileInUse`, `ProfileLocked`, `InvalidValue` or `StoreError`, and leaves nothing open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = NetworkLock(path) if network else None
    try:
        user = _open_user(path, name, passphrase)
        return Store.open(path, indexes), user, lock
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def _open_user(path: Path, name: str | User | None, passphrase: str | None) -> User:
    keys = keyfile.path_of(path)
    # The keys are written first, so that a database without them is not one being made.
    has_database = path.exists() and path.stat().st_size > 0
    if keys.exists():
        return keyfile.read(keys, passphrase)
    if has_database:
        raise StoreDamaged(
            f"the database {path} is there, but not its keys, {keys}; put the key file back, "
            "choose another path for a new profile, or wipe what is left of this one"
        )
    user = name if isinstance(name, User) else _new_user(name)
    if keyfile.write_new(keys, user, passphrase, SystemEntropy()):
        return user
    # Another process was making the profile at the same time, and was first.
    return keyfile.read(keys, passphrase)


def _new_user(name: str | None) -> User:
    if name is None:
        raise InvalidValue("a new profile needs a name, which others will see: give `name`")
    now = SystemClock().now()
    return User.create(name, platform.node() or "device", now.wall_ms, SystemEntropy())

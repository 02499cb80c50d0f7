"""Removes a profile from the machine: keys first, so that what a crash leaves is of no use.

Removing a file does not overwrite it: an SSD, a file system with snapshots, and every backup may
keep what was in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from peerstack.errors import InvalidValue, NotFound, StoreFull
from peerstack.node import keyfile, whole
from peerstack.node.backup import coming_database
from peerstack.node.lock import NetworkLock, says_wiping
from peerstack.store.files import database_files, is_peerstack_database


def wipe(path: str | Path) -> None:
    """Remove the profile at `path`, database, keys and all, whether it can be opened or not.

    A wipe that was interrupted is completed by the next. Blocks while it removes. Raises
    `NotFound` and `InvalidValue` where there is no profile (nothing is removed then),
    `ProfileInUse` while a process has its network open, and `StoreFull` where a file cannot be
    removed. Processes that have it open without the network are not noticed: stop them before.
    """
    path = Path(path)
    _check_profile(path)
    remove(path, take_lock(path))


def take_lock(path: Path) -> NetworkLock:
    """The lock without which nothing is removed. Raises `ProfileInUse` or `StoreFull`."""
    try:
        return NetworkLock(path)
    except OSError as error:
        raise _cannot_remove(path, error) from error


def remove(path: Path, lock: NetworkLock) -> None:
    """Remove the profile whose lock this is, and the lock with it. Raises `StoreFull`."""
    try:
        # With the keys gone, this alone says that what is left is the rest of a profile.
        lock.say_wiping()
        coming = database_files(coming_database(path))
        copies = whole.left_beside(path)
        for files in (keyfile.all_files(path), [*database_files(path), *coming, *copies]):
            _remove(files)
            _flush(path.parent)
    except OSError as error:
        lock.release()
        raise _cannot_remove(path, error) from error
    lock.remove()


def _cannot_remove(path: Path, error: OSError) -> StoreFull:
    return StoreFull(
        f"cannot remove {error.filename or path}: {error.strerror}; make the folder writable, and "
        "wipe again to remove what is left"
    )


def _check_profile(path: Path) -> None:
    """Let pass only what can be told to be a profile: a wrong path is to destroy nothing."""
    databases = (path, coming_database(path))
    has_database = any(map(is_peerstack_database, databases))
    if keyfile.path_of(path).exists() or has_database or says_wiping(path):
        return
    if path.exists():
        raise InvalidValue(f"{path} is no profile of peerstack; nothing was removed")
    raise NotFound(f"there is no profile at {path}; nothing was removed")


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        # Where a link stands, what it leads to is the file.
        file.resolve().unlink(missing_ok=True)
        file.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """Make sure that what was removed stays removed, should the power fail now."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

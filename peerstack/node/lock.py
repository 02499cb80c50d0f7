"""Exactly one process of a profile holds the network: an OS lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from peerstack.errors import ProfileInUse

_SAID_BYTES: Final = 64
_WIPING: Final = "wiping"


def path_of(database: Path) -> Path:
    """Where the lock of a profile lies."""
    return database.with_name(database.name + ".lock")


def says_wiping(database: Path) -> bool:
    """Whether somebody began to wipe this profile, now or before a crash."""
    try:
        return path_of(database).read_bytes()[:_SAID_BYTES].endswith(_WIPING.encode())
    except OSError:
        return False


class NetworkLock:
    """The lock beside a profile's database. Raises `ProfileInUse`, naming who has it; `OSError`."""

    def __init__(self, database: Path) -> None:
        self._path = path_of(database)
        self._file = _locked(self._path, database)
        try:
            self._say(str(os.getpid()))
        except OSError:
            os.close(self._file)
            raise

    def say_wiping(self) -> None:
        """Leave word that this profile is being wiped, for who comes after a crash."""
        self._say(f"{os.getpid()} {_WIPING}")
        os.fsync(self._file)

    def _say(self, text: str) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text.encode(), 0)

    def release(self) -> None:
        """Let others have it. The file stays, for who opens the profile next."""
        os.close(self._file)

    def remove(self) -> None:
        """Remove the file too, which goes with a profile that is wiped, and release the lock."""
        try:
            self._path.unlink(missing_ok=True)
        finally:
            self.release()


def _locked(path: Path, database: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(file, _SAID_BYTES, 0).decode("ascii", "replace").strip()
            os.close(file)
            raise ProfileInUse(
                f"process {holder or '(unknown)'} holds the network of {database}; stop it first, "
                "or write without the network (network=False): that process then sends it"
            ) from error
        if _is_at(path, file):
            return file
        # Whoever had it removed the file meanwhile: others will lock the one that stands there now.
        os.close(file)


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False

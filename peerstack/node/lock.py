"""Exactly one process of a profile holds the network: an OS lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from peerstack.errors import ProfileInUse


class NetworkLock:
    """The lock beside a profile's database. Raises `ProfileInUse`, naming who has it."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise ProfileInUse(
                f"process {holder or '(unknown)'} holds the network of {database}; stop it first, "
                "or write without the network (network=False): that process then sends it"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others have it. The file stays: without it, two processes could lock two files."""
        os.close(self._file)

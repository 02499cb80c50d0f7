"""A small disk for one test: Linux's tmpfs, which only root may mount."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

_BLOCK: Final = bytes(4096)


class Disk:
    """A mounted file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take all room that is left."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(_BLOCK)
        assert shutil.disk_usage(self.folder).free < len(_BLOCK)

    def make_room(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink()

    def remount(self, options: str) -> None:
        """Such as "ro", or another "size=8m"."""
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True)


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Disk]:
    """A disk of `size` (such as "4m") at a folder that is there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield Disk(folder)
    finally:
        # What a process that was killed still has open goes with that process.
        subprocess.run(["umount", "--lazy", folder], check=True)


@lru_cache(maxsize=1)
def own_disk() -> bool:
    """Whether this system lets tests mount one."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with disk(Path(folder), "1m"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False

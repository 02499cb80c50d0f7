"""Files that are for their owner alone, and are there whole or not at all, whatever happens."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

_SUFFIX: Final = ".tmp"
_TEMPORARY: Final = re.compile(r"\.[a-z0-9_]{8}" + re.escape(_SUFFIX))
"""What `tempfile` puts behind the name of the file that is being written."""


def write_new(path: Path, content: bytes) -> bool:
    """Make a file; false, and nothing is changed, where there is one. Raises `OSError`."""
    with beside(path) as (other, file):
        file.write(content)
        _flush(file)
        try:
            # Unlike a rename, a link takes nothing's place.
            os.link(other, path)
        except FileExistsError:
            return False
        except FileNotFoundError:
            # Whoever was first has written it a second time since, and tidied up.
            if path.exists():
                return False
            raise
    sync_folder(path.parent)
    return True


def replace(path: Path, content: bytes) -> None:
    """Put a file in the place of the one that may be there; no moment sees neither.

    As `replacing`. Raises `OSError`.
    """
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """The same for what is written piece by piece: it is there once the block has ended well.

    Where a link stands, what it leads to is the file. What an earlier write left beside it when it
    was cut short is removed. Raises `OSError`.
    """
    path = path.resolve()
    with beside(path) as (other, file):
        yield file
        _flush(file)
        other.replace(path)
    for left in left_beside(path):
        with suppress(OSError):
            left.unlink()
    sync_folder(path.parent)


def left_beside(path: Path) -> list[Path]:
    """What writes of this file that were cut short have left, and those under way have there."""
    others = path.parent.iterdir() if path.parent.is_dir() else ()
    return [
        each
        for each in others
        if each.name.startswith(path.name) and _TEMPORARY.fullmatch(each.name[len(path.name) :])
    ]


@contextmanager
def beside(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file beside `path`, for its owner alone; removed unless it was moved away meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readable by its owner only from the start, and under a name that nobody else has.
    descriptor, name = tempfile.mkstemp(_SUFFIX, f"{path.name}.", path.parent)
    other = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield other, file
    finally:
        other.unlink(missing_ok=True)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make sure that what was renamed or removed there stays so, should the power fail."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files that are for their owner alone, and are there whole or not at all, whatever happens."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".tmp"
_TEMPORARY: Final = re.compile(r"\.[a-z0-9_]{8}" + re.escape(_SUFFIX))
"""What `tempfile` puts behind the name of the file that is being written."""


def write_new(path: Path, content: bytes) -> bool:
    """Make a file; false, and nothing is changed, where there is one. Raises `OSError`."""
    beside = _write_beside(path, content)
    try:
        # Unlike a rename, a link takes nothing's place.
        os.link(beside, path)
    except FileExistsError:
        return False
    except FileNotFoundError:
        # Whoever was first has written it a second time since, and tidied up.
        if path.exists():
            return False
        raise
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def replace(path: Path, content: bytes) -> None:
    """Put a file in the place of the one that may be there; no moment sees neither.

    Where a link stands, what it leads to is the file. What an earlier write left beside it when it
    was cut short is removed. Raises `OSError`.
    """
    path = path.resolve()
    beside = _write_beside(path, content)
    try:
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    for left in left_beside(path):
        with suppress(OSError):
            left.unlink()
    _sync_folder(path.parent)


def left_beside(path: Path) -> list[Path]:
    """What writes of this file that were cut short have left, and those under way have there."""
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    return [
        each
        for each in beside
        if each.name.startswith(path.name) and _TEMPORARY.fullmatch(each.name[len(path.name) :])
    ]


def _write_beside(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readable by its owner only from the start, and under a name that nobody else has.
    descriptor, name = tempfile.mkstemp(_SUFFIX, f"{path.name}.", path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

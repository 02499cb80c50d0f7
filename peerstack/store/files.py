"""Looks at a database file before SQLite may write to it, and refuses what is not peerstack's.

Knows the file format's header and the schema's revision; leaves the file, and what lies beside it,
as they are.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from peerstack.errors import StoreTooNew
from peerstack.store.faults import damaged
from peerstack.store.schema import APPLICATION_ID, REVISION

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_BESIDE: Final = ("-wal", "-shm", "-journal")
_PAYLOAD_FRACTIONS: Final = bytes((64, 32, 32))


def make_room(path: Path) -> None:
    """Make the folders above a new database, and its empty file, which only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def database_files(path: Path) -> list[Path]:
    """The file of a database, and all that SQLite may have put beside it, there or not."""
    # SQLite puts them beside the file that a link leads to.
    real = path.resolve()
    beside = [real.with_name(real.name + suffix) for suffix in _BESIDE]
    return [path, *beside]


def is_peerstack_database(path: Path) -> bool:
    """Whether the file's header says that it is one; a damaged file may not say so any more."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError:
        return False
    return header.startswith(_MAGIC) and _application_id(header) == APPLICATION_ID


def check_untouched(path: Path) -> None:
    """Raise `StoreDamaged` or `StoreTooNew` where peerstack cannot use what stands at `path`.

    An empty file passes; so does one whose interrupted first transaction SQLite will roll back.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if not header or _holds(path, "-journal"):
        return
    _check_header(path, header)
    # What the write-ahead log has is not in the file yet, so what is missing may be there.
    may_lack = _holds(path, "-wal")
    if not may_lack:
        _check_length(path, header)
    try:
        revision = _read_revision(path)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if not may_lack:
            raise damaged(str(path), str(error)) from error
    else:
        check_revision(revision, str(path))


def check_revision(revision: str, name: str) -> None:
    """Raise `StoreTooNew` where this peerstack does not know a schema of that revision."""
    if revision == REVISION:
        return
    from peerstack.store import migrations  # Alembic is slow to import, and rarely needed.

    if not migrations.is_known(revision):
        raise StoreTooNew(
            f"{name} was written by a newer peerstack (its schema is {revision!r}, this one knows "
            f"up to {REVISION!r}). Nothing in it was changed. Upgrade peerstack to open it"
        )


def _holds(path: Path, suffix: str) -> bool:
    beside = path.with_name(path.name + suffix)
    return beside.exists() and beside.stat().st_size > 0


def _check_header(path: Path, header: bytes) -> None:
    """See https://www.sqlite.org/fileformat2.html#the_database_header."""
    if not header.startswith(_MAGIC):
        raise damaged(str(path), "it is no SQLite database, or its header is broken")
    if len(header) < _HEADER_BYTES:
        raise damaged(str(path), "it is cut short")
    page_bytes = _page_bytes(header)
    versions_fit = set(header[18:20]) <= {1, 2}
    if page_bytes not in {2**power for power in range(9, 17)} or not versions_fit:
        raise damaged(str(path), "its header is broken")
    if header[20] or header[21:24] != _PAYLOAD_FRACTIONS or header[72:92].strip(b"\0"):
        raise damaged(str(path), "its header is broken")
    if _application_id(header) != APPLICATION_ID:
        raise damaged(str(path), "it is a database of another program")


def _application_id(header: bytes) -> int:
    return int.from_bytes(header[68:72], "big")


def _check_length(path: Path, header: bytes) -> None:
    (pages,) = struct.unpack(">I", header[28:32])
    if path.stat().st_size != pages * _page_bytes(header):
        raise damaged(str(path), "it is cut short")


def _page_bytes(header: bytes) -> int:
    (stored,) = struct.unpack(">H", header[16:18])
    return 65_536 if stored == 1 else int(stored)


def _read_revision(path: Path) -> str:
    # Immutable: SQLite then takes no locks, and makes and changes no files.
    uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(rows) != 1:
        raise sqlite3.DatabaseError("it does not say which schema it has")
    return str(rows[0][0])

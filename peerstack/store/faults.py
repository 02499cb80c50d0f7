"""Turns what SQLite and SQLAlchemy raise into the store's own errors, in one place.

Knows error codes, and which cure to name; no tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from peerstack.errors import StoreDamaged, StoreError, StoreFull

DATABASE_NAME: Final = "peerstack_database_name"
"""The option of an engine that says what messages call its database."""

_NO_ROOM: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"})
_NO_PERMISSION: Final = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")
_DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_UNREADABLE: Final = ("Could not decode to UTF-8", "malformed JSON")
"""What the driver and SQLite's JSON functions say, without a code, of a text that is broken."""

RESTORE: Final = (
    "Put a backup in its place. Or move it and its key file (.keys) away, and get the data from "
    "another device of yours (`peerstack link`), or with recovery phrase and kit (`peerstack "
    "recover`)"
)
"""How to come back from what cannot be mended."""

_NOT_OURS: Final = ("has no column named", "no such column", "no such table", "no such index")
"""What SQLite says, without a code of its own, where a schema is not the one that we made."""

_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")


class BrokenRow(Exception):
    """What is stored of a version is not what its hash was taken of. Says which version."""


class BrokenFile(sqlite3.DatabaseError):
    """What SQLite's own check says of a file; as if SQLite had raised it."""

    sqlite_errorname = "SQLITE_CORRUPT"


def translate(engine: Engine) -> None:
    """Let nothing but `StoreError` leave `engine`, whose options have the database's name."""
    name = engine.get_execution_options()[DATABASE_NAME]

    def replace(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, sqlite3.Error):
            raise fault(context.original_exception, name) from context.original_exception

    event.listen(engine, "handle_error", replace)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """The same for a block that speaks to the driver itself."""
    try:
        yield
    except sqlite3.Error as error:
        raise fault(error, name) from error
    except UnicodeDecodeError as error:
        # The driver could not even read what SQLite says of it.
        raise damaged(name, "database disk image is malformed") from error
    except OSError as error:
        raise StoreFull(
            f"{name} cannot be opened: {error.strerror}; check that the folder exists, that you "
            "may write to it, and that the disk has room"
        ) from error


def fault(error: sqlite3.Error, name: str) -> StoreError:
    """The store's error for one of SQLite's (https://www.sqlite.org/rescode.html)."""
    code: str = getattr(error, "sqlite_errorname", "")
    if code in _NO_ROOM:
        return StoreFull(f"no room to write to {name}; free some space and try again ({error})")
    if code.startswith(_NO_PERMISSION):
        return StoreFull(
            f"{name} may not be written ({error}); give your user write access to the file and "
            "its folder, and check that the disk is not mounted read-only"
        )
    if code.startswith(_DAMAGE) or any(words in str(error) for words in _NOT_OURS):
        return StoreDamaged(f"{name} is damaged: {error}. {RESTORE}")
    if str(error).startswith(_UNREADABLE):
        return broken(name, "a text in it")
    if code.startswith(_BUSY):
        return StoreError(
            f"another process has been writing to {name} for long ({error}); try again"
        )
    return StoreError(f"the database {name} failed: {error}")


def damaged(name: str, what: str) -> StoreDamaged:
    """The error for a file that is refused, since it is broken or somebody else's."""
    return StoreDamaged(f"{name} cannot be used: {what}. Nothing in it was changed. {RESTORE}")


def broken(name: str, what: str) -> StoreDamaged:
    """The error for a file of which a part is broken, and the rest may well be sound."""
    return StoreDamaged(
        f"{what} is not what was stored in {name} (the disk may be failing). What is broken is "
        "taken out of use, and comes back from other devices that have it once this one syncs; "
        "`peerstack status` says what is missing still. Where no other device has it, put a backup "
        "of the database in its place"
    )

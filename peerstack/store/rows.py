"""Rows to `Signed` and back, and the few ways in which the store's parts run statements.

Knows which columns make up a signed version; not which table is meant, or why.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import ColumnElement, Connection, Executable, FromClause, false
from sqlalchemy.engine.interfaces import DBAPICursor

from peerstack.errors import RemoteError, StoreError
from peerstack.keys import sha256
from peerstack.record import Signed, decode_untrusted
from peerstack.store.faults import DATABASE_NAME, BrokenRow, fault

T = TypeVar("T")

PARAMETERS: Final = 500
"""Values that one statement is given in a list; SQLite before 3.32 takes 999 in all."""

SIGNED: Final = "body, hash, signature, id, group_id, type, modified, signer, device, deleted"
"""The columns of a signed version, in the order of `Signed`; without `seen`, which the body has."""

SignedRow = tuple[str, bytes, bytes, str, str, str, int, str, str, int]


def signed_columns(table: FromClause) -> list[ColumnElement[Any]]:
    """The columns `SIGNED` of a table. Statements are never deletions, and have no such column."""
    return [
        table.c[name] if name in table.c else false().label(name) for name in SIGNED.split(", ")
    ]


def signed_of(row: Sequence[Any]) -> Signed:
    """The version in a row that starts with the columns `SIGNED`.

    Raises `BrokenRow` where its parts do not belong together: SQLite keeps no checksums.
    """
    body, digest, signature, record_id, group, kind, modified, signer, device, deleted = row[:10]
    encoded = body.encode()
    if sha256(encoded) != digest:
        raise BrokenRow(f"the {kind} {record_id}")
    # Most bodies have no such field, and parsing would be most of the work; keys may be escaped.
    may_have_seen = '"seen"' in body or "\\u" in body
    seen = orjson.loads(body).get("seen", {}) if may_have_seen else {}
    signed = Signed(
        encoded,
        digest,
        signature,
        record_id,
        group,
        kind,
        modified,
        signer,
        device,
        bool(deleted),
        seen,
    )
    if not is_of_one_piece(signed):
        raise BrokenRow(f"the {kind} {record_id}")
    return signed


def is_of_one_piece(signed: Signed) -> bool:
    """Whether the columns of a row say what its body does."""
    device = f',"device":"{signed.device}"' if signed.device else ""
    rest = ',"deleted":true' if signed.deleted else ',"value":'
    as_written_here = (
        f'{{"id":"{signed.id}","group":"{signed.group}","type":"{signed.type}",'
        f'"modified":{signed.modified},"signer":"{signed.signer}"{device}{rest}'
    )
    if signed.body.startswith(as_written_here.encode()):
        return True
    try:
        return decode_untrusted(signed.body, signed.signature) == signed
    except RemoteError:
        return False


def row_of(signed: Signed) -> SignedRow:
    """The columns `SIGNED` of a version."""
    return (
        signed.body.decode(),
        signed.hash,
        signed.signature,
        signed.id,
        signed.group,
        signed.type,
        signed.modified,
        signed.signer,
        signed.device,
        int(signed.deleted),
    )


def marks(count: int) -> str:
    """`count` places for parameters, as in `IN (?, ?)`."""
    return ", ".join("?" * count)


def chunks(values: Sequence[T], size: int = PARAMETERS) -> Iterator[Sequence[T]]:
    """`values` in runs that one statement takes."""
    return (values[start : start + size] for start in range(0, len(values), size))


def fetch(connection: Connection, sql: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
    """All rows of SQL that goes to the driver as it stands: SQLAlchemy's part would cost more."""
    cursor = _cursor(connection)
    try:
        cursor.execute(sql, tuple(parameters))
        return cursor.fetchall()
    except sqlite3.Error as error:
        raise _fault(error, connection) from error
    finally:
        cursor.close()


def fetch_each(
    connection: Connection, sql: str, parameters: Sequence[Any] = ()
) -> Iterator[Sequence[Any]]:
    """The same row by row, for who may stop before the last."""
    cursor = _cursor(connection)
    try:
        cursor.execute(sql, tuple(parameters))
        while row := cursor.fetchone():
            yield row
    except sqlite3.Error as error:
        raise _fault(error, connection) from error
    finally:
        cursor.close()


def run_many(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run such SQL once for each row of parameters. Returns how many rows of a table it touched."""
    if not rows:
        return 0
    cursor = _cursor(connection)
    try:
        cursor.executemany(sql, rows)
        return cursor.rowcount
    except sqlite3.Error as error:
        raise _fault(error, connection) from error
    finally:
        cursor.close()


# No context manager: every question goes through here, and would take half as long again.
def _cursor(connection: Connection) -> DBAPICursor:
    """A cursor of the driver, in the transaction of `connection`. To be closed."""
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.cursor()


def _fault(error: sqlite3.Error, connection: Connection) -> StoreError:
    return fault(error, connection.get_execution_options()[DATABASE_NAME])


class Rows:
    """A connection in a transaction, on which a part of the store runs its statements."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def end(self) -> None:
        """Let go of the connection, so that nothing runs behind the end of the transaction."""
        del self._connection

    def _all(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        return self._connection.execute(statement, parameters).fetchall()

    def _signed(self, statement: Executable) -> list[Signed]:
        return [signed_of(row) for row in self._all(statement)]

"""What the libraries do alone on this machine: no figure of peerstack can be better than these."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import nacl.bindings
import orjson
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmarks.notes import make_notes
from peerstack.ids import compose
from peerstack.store import schema

_TRANSACTION: Final = 1_000
_COLUMNS: Final = [column.name for column in schema.records.columns]
_CHANGED: Final = [name for name in _COLUMNS if name not in ("group_id", "id")]
_UPSERT: Final = (
    f"INSERT INTO records ({', '.join(_COLUMNS)}) "  # noqa: S608 -- names of columns
    f"VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT (group_id, id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _CHANGED)
    + " WHERE (excluded.modified, excluded.hash) > (modified, hash)"
)


def verifications_per_s(count: int) -> float:
    """Ed25519 signatures over 52 bytes, a label and a hash, on one core."""
    public, secret = nacl.bindings.crypto_sign_keypair()
    signed = [nacl.bindings.crypto_sign(os.urandom(52), secret) for _ in range(min(count, 1_000))]
    start_s = time.perf_counter()
    for place in range(count):
        nacl.bindings.crypto_sign_open(signed[place % len(signed)], public)
    return count / (time.perf_counter() - start_s)


def upserts_per_s(count: int) -> float:
    """Rows in the shape of the store's records, in the order of their ids."""
    rows = [_row(number, value) for number, value in enumerate(make_notes(count))]
    with TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder, "limit.db"), isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        for sql in _create():
            connection.execute(sql)
        start_s = time.perf_counter()
        for first in range(0, count, _TRANSACTION):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_UPSERT, rows[first : first + _TRANSACTION])
            connection.execute("COMMIT")
        seconds = time.perf_counter() - start_s
        connection.close()
    return count / seconds


def _create() -> list[str]:
    # The group's own table is left out: references are not enforced here.
    dialect = sqlite.dialect()
    indexes = [str(CreateIndex(each).compile(dialect=dialect)) for each in schema.records.indexes]
    return [str(CreateTable(schema.records).compile(dialect=dialect)), *indexes]


def _row(number: int, value: dict[str, Any]) -> tuple[Any, ...]:
    user, time_ms = compose(1, bytes(10)), 1_700_000_000_000 + number
    record = compose(time_ms, os.urandom(10))
    body = {"id": record, "group": user, "type": "note", "modified": time_ms, "signer": user}
    encoded = orjson.dumps(body | {"device": user, "value": value})
    fields = {
        "group_id": user,
        "id": record,
        "type": "note",
        "modified": time_ms,
        "hash": hashlib.sha256(encoded).digest(),
        "signer": user,
        "device": user,
        "deleted": 0,
        "seq": number,
        "signature": os.urandom(65),
        "body": encoded.decode(),
    }
    return tuple(fields.get(name) for name in _COLUMNS)

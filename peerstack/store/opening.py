"""Opens a database: finds or makes the file, brings its schema up to date, gives connections.

Knows URLs, files, schema revisions and SQLite's settings; not what the tables hold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import (
    Connection,
    Engine,
    Index,
    QueuePool,
    StaticPool,
    create_engine,
    event,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from peerstack.errors import UnsupportedStore
from peerstack.store import schema
from peerstack.store.faults import DATABASE_NAME, damaged, fault, translate, translated
from peerstack.store.files import check_revision, check_untouched, make_room

BUSY_MS: Final = 10_000
_TRIES: Final = 20
_CACHE_KIB: Final = 16 * 1024
_CHECKPOINT_PAGES: Final = 4_096
"""Pages in the write-ahead log after which they move to the file; rarer than SQLite's 1,000,
since a bulk in no order changes the same pages again and again."""

_READERS: Final = 4
_COPY_PAGES: Final = 1_024
"""Between which other threads may run."""

_SETTINGS: Final = (
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA cache_size = -{_CACHE_KIB}",
    f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}",
)
_HAS_REVISION: Final = (
    "SELECT 1 FROM sqlite_master "  # noqa: S608 -- our name
    f"WHERE type = 'table' AND name = '{schema.alembic_version.name}'"
)
_READER_SETTINGS: Final = (*_SETTINGS, "PRAGMA query_only = ON")


class Opened(NamedTuple):
    """Where a database is, and how to reach it."""

    name: str
    writer: Engine
    """Its transactions hold the write lock from their first statement on."""
    reader: Engine | None
    """Connections that only read; `None` in memory, where there is but one connection."""


def open_database(url: str | Path) -> Opened:
    """Open a SQLite database, making it where there is none: a path, or `sqlite:///` and one.

    Raises `UnsupportedStore` for any other URL, `StoreDamaged` and `StoreTooNew` for files that
    peerstack cannot use (they stay as they are, byte for byte), `StoreFull` where none can be made.
    """
    path = _path_of(url)
    name = "the database in memory" if path is None else str(path)
    with translated(name):
        if path is not None:
            make_room(path)
            check_untouched(path)
    writer = create_engine(
        "sqlite://",
        creator=_creator(path),
        poolclass=StaticPool,
        execution_options={DATABASE_NAME: name},
    )
    _equip(writer, "BEGIN IMMEDIATE", _SETTINGS)
    try:
        with translated(name):
            _bring_up_to_date(writer, name)
    except BaseException:
        writer.dispose()
        raise
    return Opened(name, writer, None if path is None else _reader(path, name))


def copy_database(source: Connection, path: Path) -> None:
    """Copy what a connection sees to an empty file, page by page. Raises `sqlite3.Error`."""
    # One snapshot for all steps: what is written meanwhile would have them begin anew.
    source.exec_driver_sql("SELECT count(*) FROM sqlite_master").fetchall()
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        driver = source.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.backup(target, pages=_COPY_PAGES)


def _path_of(url: str | Path) -> Path | None:
    if isinstance(url, Path) or "://" not in url:
        return None if url == ":memory:" else Path(url)
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UnsupportedStore("this is no database URL; give a path, or sqlite:///path") from error
    if parsed.drivername != "sqlite" or parsed.query or parsed.host:
        raise UnsupportedStore(
            f"{parsed.drivername} databases with these options are not supported yet; give a path, "
            "or sqlite:///path without options"
        )
    return None if parsed.database in (None, "", ":memory:") else Path(parsed.database)


def _reader(path: Path, name: str) -> Engine:
    reader = create_engine(
        "sqlite://",
        creator=_creator(path),
        poolclass=QueuePool,
        pool_size=_READERS,
        execution_options={DATABASE_NAME: name},
    )
    _equip(reader, "BEGIN", _READER_SETTINGS)
    return reader


def _creator(path: Path | None) -> Callable[[], sqlite3.Connection]:
    # Transactions are begun by us: the driver would begin them late, and not for every statement.
    return partial(
        sqlite3.connect,
        ":memory:" if path is None else str(path),
        timeout=BUSY_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _equip(engine: Engine, begin: str, settings: Sequence[str]) -> None:
    """Give each connection its settings, and each transaction its first statement."""
    translate(engine)

    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for setting in settings:
            cursor.execute(setting)
        cursor.close()

    def begin_transaction(connection: Connection) -> None:
        # By the driver: SQLAlchemy's part would take ten times as long, at each turn of a device.
        with closing(connection.connection.cursor()) as cursor:
            try:
                cursor.execute(begin)
            except sqlite3.Error as error:
                raise fault(error, connection.get_execution_options()[DATABASE_NAME]) from error

    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", begin_transaction)


def _bring_up_to_date(writer: Engine, name: str) -> None:
    with writer.connect() as connection:
        with connection.begin():
            _upgrade(connection, name)
        # Only now: until its first commit, the file of a new database stays empty.
        with closing(connection.connection.cursor()) as driver:
            _switch_to_wal(driver)


def _switch_to_wal(driver: DBAPICursor) -> None:
    """Have the database write ahead. Raises `sqlite3.Error`.

    Where others open the same new file, SQLite waits for them in a BEGIN, but not in this PRAGMA.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            driver.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not tries_left:
                raise
            driver.execute("BEGIN EXCLUSIVE")
            driver.execute("ROLLBACK")


def _upgrade(connection: Connection, name: str) -> None:
    if not connection.exec_driver_sql(_HAS_REVISION).fetchall():
        for statement in _new_database():
            connection.exec_driver_sql(statement)
        return
    revision = connection.execute(select(schema.alembic_version)).scalar()
    if revision is None:
        raise damaged(name, "it does not say which schema it has")
    check_revision(revision, name)
    if revision != schema.REVISION:
        from peerstack.store import migrations  # Alembic is slow to import, and rarely needed.

        migrations.upgrade(connection)


@cache
def _new_database() -> Sequence[str]:
    """The statements that make all there is in an empty database.

    Put together once: SQLAlchemy would do it for each database, after asking for every table.
    """
    dialect = sqlite.dialect()
    tables = schema.metadata.sorted_tables
    indexes = [each for table in tables for each in sorted(table.indexes, key=_name)]
    made: list[DDLElement] = [*map(CreateTable, tables), *map(CreateIndex, indexes)]
    return [
        f"PRAGMA application_id = {schema.APPLICATION_ID}",
        *(str(each.compile(dialect=dialect)) for each in made),
        f"INSERT INTO {schema.alembic_version.name} VALUES ('{schema.REVISION}')",  # noqa: S608 -- ours
    ]


def _name(index: Index) -> str:
    return str(index.name)

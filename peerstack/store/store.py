"""The device's database: transactions that write, snapshots that only read.

Joins the parts of the store into two classes; knows no SQL of its own but that of the connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from peerstack.store.changes import ChangeReads
from peerstack.store.faults import BrokenFile, BrokenRow, broken, fault, translated
from peerstack.store.find import FindReads
from peerstack.store.indexes import IndexWrites
from peerstack.store.judging import JudgingReads, JudgingWrites
from peerstack.store.mending import MendingReads, MendingWrites
from peerstack.store.opening import Opened, copy_database, open_database
from peerstack.store.quarantine import QuarantineReads, QuarantineWrites
from peerstack.store.records import RecordReads, RecordWrites
from peerstack.store.search import SearchReads, SearchWrites
from peerstack.store.signers import SignerReads
from peerstack.store.statements import StatementReads, StatementWrites
from peerstack.store.versions import VersionReads, VersionWrites


class Snapshot(
    MendingReads,
    StatementReads,
    RecordReads,
    FindReads,
    SearchReads,
    VersionReads,
    QuarantineReads,
    JudgingReads,
    ChangeReads,
    SignerReads,
):
    """Everything that can be asked, at one moment: what is committed meanwhile does not show."""


class Transaction(
    MendingWrites,
    StatementWrites,
    RecordWrites,
    VersionWrites,
    QuarantineWrites,
    JudgingWrites,
    IndexWrites,
    SearchWrites,
    Snapshot,
):
    """Everything that can be asked and written. All of it is kept, or none."""


class Store:
    """An open database.

    Transactions belong to one thread at a time. Snapshots of a database in a file may be taken by
    any number of threads meanwhile, and wait for no transaction; in memory there is but the one
    connection, so there they belong to the same thread.
    """

    def __init__(self, opened: Opened) -> None:
        self._name = opened.name
        self._engine = opened.writer
        self._reader = opened.reader
        self._writer = opened.writer.connect()
        self._in_transaction = False

    @classmethod
    def open(
        cls,
        url: str | Path,
        indexes: Mapping[str, Sequence[str]] | None = None,
        search: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """Open the database at a path or a `sqlite:///` URL, making it where there is none.

        `indexes` names, for each type of record, the fields of its value that `find` is to look up
        fast, `search` those that `search` looks in, what counts most first; what was declared
        before and is not any more is dropped, and `None` leaves all as it is. Raises
        `InvalidQuery`, `UnsupportedStore`, `StoreDamaged`, `StoreTooNew` or `StoreFull`; the file
        of a database that is refused stays as it is.
        """
        store = cls(open_database(url))
        try:
            with store.transaction() as transaction:
                if indexes is not None:
                    transaction.declare_indexes(indexes)
                if search is not None:
                    transaction.declare_search(search)
        except BaseException:
            store.close()
            raise
        return store

    @property
    def is_in_memory(self) -> bool:
        """Whether the database is gone once closed, and has but one connection."""
        return self._reader is None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at the end of the block, or roll back on an exception. Not to be nested.

        The write lock is taken at the first statement; one that another process holds is waited
        for, up to 10 seconds.
        """
        if self._in_transaction:
            raise RuntimeError("a transaction is open already; use that one")
        self._in_transaction = True
        transaction = Transaction(self._writer)
        try:
            yield transaction
            self._writer.commit()
        except BrokenRow as error:
            self._writer.rollback()
            raise broken(self._name, str(error)) from error
        except BrokenFile as error:
            self._writer.rollback()
            raise fault(error, self._name) from error
        except BaseException:
            self._writer.rollback()
            raise
        finally:
            self._in_transaction = False
            transaction.end()

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """What was committed when the first question is asked."""
        if self._reader is None:
            with self._snapshot_in_memory() as snapshot:
                yield snapshot
            return
        with self._reader.connect() as connection:
            snapshot = Snapshot(connection)
            try:
                yield snapshot
            except BrokenRow as error:
                raise broken(self._name, str(error)) from error
            finally:
                snapshot.end()

    def copy_to(self, path: Path) -> None:
        """Copy the database to an empty file, as it is at one moment, while others go on writing.

        Nothing lies beside the copy. Not for a database in memory. Raises `StoreError`.
        """
        assert self._reader is not None
        with self._reader.connect() as connection, translated(str(path)):
            copy_database(connection, path)

    def rows_written(self) -> int:
        """A number that changes when a transaction of this store has changed a row.

        What other connections write does not count; asking costs no transaction.
        """
        driver = self._writer.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver.total_changes

    def data_version(self) -> int:
        """A number that changes when another process (or connection) has committed something."""
        with translated(self._name):
            cursor = self._writer.connection.cursor()
            cursor.execute("PRAGMA data_version")
            (version,) = cursor.fetchall()[0]
        return int(version)

    def close(self) -> None:
        """Close all connections. Without effect when closed already."""
        self._writer.close()
        self._engine.dispose()
        if self._reader is not None:
            self._reader.dispose()

    @contextmanager
    def _snapshot_in_memory(self) -> Iterator[Snapshot]:
        if self._in_transaction:
            yield Snapshot(self._writer)
            return
        with self.transaction() as transaction:
            yield transaction

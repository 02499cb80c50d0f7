"""Looks into the database of a device that does not run, knowing nothing but the formats.

Everything that the product keeps is worked out again: sums, blocks, hashes, the columns beside a
body.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from peerstack.reconcile import Item, Span, Sum
from peerstack.record import decode_untrusted
from peerstack.store import key_of

_COLUMNS = "id, group_id, type, modified, signer, device, hash, body, signature"


class Database:
    """A closed device's database. Raises `AssertionError` with what is not as it has to be."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> None:
        """The file is sound, each row is what its body says, and all sums equal a recount."""
        assert self._rows("PRAGMA integrity_check") == [("ok",)], self._path
        assert self._rows("PRAGMA foreign_key_check") == [], self._path
        for table in ("records", "versions", "statements"):
            for row in self._rows(f"SELECT {_COLUMNS} FROM {table}"):  # noqa: S608 -- our tables
                _check_row(row)
        for group, count, total in self._rows("SELECT id, count, sum FROM groups"):
            self._check_sums(group, Sum.load(count, total))

    def kept(self) -> set[tuple[str, str]]:
        """Id and hash (hex) of each version that is live, or lost and in history."""
        return set(
            self._rows(
                "SELECT id, lower(hex(hash)) FROM records UNION "
                "SELECT id, lower(hex(hash)) FROM versions WHERE state IN ('history', 'unseen')"
            )
        )

    def live(self, group: str) -> set[tuple[str, str]]:
        """Id and hash (hex) of each live record of a group, deletions too."""
        question = "SELECT id, lower(hex(hash)) FROM records WHERE group_id = ?"
        return set(self._rows(question, (group,)))

    def _check_sums(self, group: str, told: Sum) -> None:
        rows = self._rows("SELECT modified, id, hash FROM records WHERE group_id = ?", (group,))
        items = [Item(key_of(modified, name), digest) for modified, name, digest in rows]
        assert told == _sum(items), f"{self._path}: the sum of {group}"
        blocks = self._rows(
            "SELECT first_key, count, sum FROM blocks WHERE group_id = ? ORDER BY first_key",
            (group,),
        )
        behind = [first for first, *_ in blocks[1:]] + [None]
        for (first, count, total), upper in zip(blocks, behind, strict=True):
            within = [item for item in items if item.key in Span(first, upper)]
            assert Sum.load(count, total) == _sum(within), f"{self._path}: a block of {group}"

    def _rows(self, question: str, values: Iterable[Any] = ()) -> list[Any]:
        with closing(sqlite3.connect(self._path)) as connection:
            return connection.execute(question, tuple(values)).fetchall()


def _check_row(row: tuple[Any, ...]) -> None:
    *columns, body, signature = row
    read = decode_untrusted(body.encode(), signature)
    fields = (read.id, read.group, read.type, read.modified, read.signer, read.device, read.hash)
    assert fields == tuple(columns), f"a row is not what its body says: {columns}"


def _sum(items: Iterable[Item]) -> Sum:
    total = Sum()
    for item in items:
        total = total.plus(Sum.of(item))
    return total

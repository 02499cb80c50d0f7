"""Indexes that apps declare on fields of their records' values. Knows which are there, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from peerstack.query import Path, build_query, parse_field
from peerstack.store.fields import kind_sql, value_sql
from peerstack.store.rows import Rows, fetch

_PREFIX = "ps_value_"


class IndexWrites(Rows):
    """What makes and drops indexes."""

    def declare_indexes(self, indexes: Mapping[str, Sequence[str]]) -> None:
        """Make the indexes on these fields, by type, that are missing; drop those not declared.

        Raises `InvalidQuery` for names that are no types or fields.
        """
        declared = {
            f"{_PREFIX}{type_name}:{field}": (build_query(type_name).type, parse_field(field))
            for type_name, fields in indexes.items()
            for field in fields
        }
        rows = fetch(self._connection, "SELECT name FROM sqlite_master WHERE type = 'index'")
        present = {name for (name,) in rows if name.startswith(_PREFIX)}
        for name in sorted(present - declared.keys()):
            self._connection.exec_driver_sql(f'DROP INDEX "{name}"')
        for name in sorted(declared.keys() - present):
            self._connection.exec_driver_sql(_create_sql(name, *declared[name]))


@contextmanager
def without_indexes(connection: Connection) -> Iterator[None]:
    """Do without declared indexes for a while: they read values, which may be broken."""
    rows = fetch(connection, "SELECT name, sql FROM sqlite_master WHERE type = 'index'")
    declared = {name: sql for name, sql in rows if name.startswith(_PREFIX)}
    for name in declared:
        connection.exec_driver_sql(f'DROP INDEX "{name}"')
    yield
    for sql in declared.values():
        connection.exec_driver_sql(sql)


def _create_sql(name: str, type_name: str, path: Path) -> str:
    return (
        f'CREATE INDEX "{name}" ON records '
        f"(group_id, ({kind_sql(path)}), ({value_sql(path)}), modified, id) "
        f"WHERE type = '{type_name}' AND deleted = 0"
    )

"""Full-text search over live records: what apps declare for it, its index, and questions to that.

The index (SQLite's FTS5) follows in the transaction of each write. It keeps no text of its own: a
view says what of a record is to be found, and FTS5 is told of that when a version becomes live, and
again when it leaves. What is declared stands in the database, so whoever writes keeps to it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson
from sqlalchemy import Connection

from peerstack import limits
from peerstack.errors import InvalidQuery, UnsupportedStore
from peerstack.ids import GroupId
from peerstack.query import build_query, build_search, parse_field
from peerstack.record import Signed
from peerstack.store.fields import path_sql
from peerstack.store.rows import SIGNED, Rows, fetch, run_many, signed_of

_INDEX: Final = "ps_search"
_TEXTS: Final = "ps_search_texts"
_FIELDS: Final = [f"f{place}" for place in range(limits.SEARCH_FIELDS)]
_COLUMNS: Final = ", ".join(_FIELDS)
_WEIGHTS: Final = ", ".join(str(2**place) for place in reversed(range(limits.SEARCH_FIELDS)))
"""What a word counts in each of the fields: half as much as in the one before."""

_MAKE_INDEX: Final = (
    f"CREATE VIRTUAL TABLE {_INDEX} USING fts5({_COLUMNS}, content='', "
    "tokenize = 'unicode61 remove_diacritics 2')"
)
_TEXT: Final = (
    "(SELECT group_concat(part.value, ' ') FROM json_tree(coalesce(records.plain, records.body), "
    "{path}) AS part WHERE part.type = 'text')"
)
"""All text in a field, that in lists and objects too."""

_ENTER: Final = f"INSERT INTO {_INDEX} (rowid, {_COLUMNS}) SELECT number, {_COLUMNS} FROM {_TEXTS}"  # noqa: S608 -- our names
_LEAVE: Final = (
    f"INSERT INTO {_INDEX} ({_INDEX}, rowid, {_COLUMNS}) "  # noqa: S608 -- our names
    f"SELECT 'delete', number, {_COLUMNS} FROM {_TEXTS}"
)
_THESE: Final = " WHERE group_id = ? AND id IN (SELECT value FROM json_each(?))"
_SLICE: Final = " WHERE number >= ? AND number < ?"
_FIND: Final = (
    f"SELECT {SIGNED} FROM (SELECT found.rowid AS number, "  # noqa: S608 -- our names, places
    f"bm25({_INDEX}, {_WEIGHTS}) AS place FROM {_INDEX} "
    f"JOIN records AS found ON found.rowid = {_INDEX}.rowid "
    f"WHERE {_INDEX} MATCH ? AND found.group_id = ? AND found.type = coalesce(?, found.type) "
    "ORDER BY place, found.modified DESC, found.id LIMIT ? OFFSET ?) AS hit "
    "JOIN records ON records.rowid = hit.number ORDER BY place, modified DESC, id"
)
_MERGE: Final = f"INSERT INTO {_INDEX} ({_INDEX}, rank) VALUES ('merge', ?)"  # noqa: S608 -- our names
_MERGE_PAGES: Final = 64
"""Of the index, that one slice merges: some milliseconds."""

_TIDY_MS: Final = 24 * 60 * 60 * 1000
_REINDEX_ROWS: Final = 10_000

_KEY: Final = "search"
_READ: Final = "SELECT value FROM profile WHERE key = ?"
_WRITE: Final = (
    "INSERT INTO profile (key, value) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)

_log = logging.getLogger("peerstack")


class _State(msgspec.Struct, frozen=True):
    """What the database says of its index, in the table `profile`."""

    fields: dict[str, list[str]]
    """What is searched, by type, what counts most first."""
    texts: str
    """The view that this is, in SQL: where peerstack would make another one, so is the index."""
    left: bool = False
    """Whether anything has left the index since it was tidied."""
    tidied_ms: int = 0


@dataclass(slots=True)
class SearchIndex:
    """The index of a database in which something is declared."""

    connection: Connection
    state: _State

    @classmethod
    def of(cls, connection: Connection) -> SearchIndex | None:
        """That of this database; None where nothing is searched."""
        state = _read(connection)
        return cls(connection, state) if state is not None else None

    def enter(self, lines: Iterable[tuple[GroupId, str]]) -> None:
        """Have these records found, of each group and id the live version."""
        self._run(_ENTER, lines)

    def leave(self, lines: Iterable[tuple[GroupId, str]]) -> None:
        """Have these found no more. To be called while they are live still."""
        if self._run(_LEAVE, lines):
            self._note_left()

    def leave_group(self, group: GroupId) -> None:
        """The same for all that is live in a group."""
        run_many(self.connection, f"{_LEAVE} WHERE group_id = ?", [(group,)])
        self._note_left()

    def _run(self, sql: str, lines: Iterable[tuple[GroupId, str]]) -> int:
        by_group = defaultdict[GroupId, list[str]](list)
        for group, record_id in lines:
            by_group[group].append(record_id)
        # One statement for all: FTS5 writes what it was told of at the end of each.
        rows = [(group, orjson.dumps(ids).decode()) for group, ids in by_group.items()]
        return run_many(self.connection, sql + _THESE, rows)

    def _note_left(self) -> None:
        if not self.state.left:
            self.state = msgspec.structs.replace(self.state, left=True)
            _write(self.connection, self.state)


class SearchReads(Rows):
    """Questions to the index."""

    def search(
        self,
        group: GroupId,
        text: str,
        type_name: str | None = None,
        *,
        limit: int,
        offset: int = 0,
    ) -> list[Signed]:
        """The live records of a group in which all words of a text stand, the best first.

        Of one type, or of all that are declared. The last word may be the beginning of one; where
        there is no word, nothing is found. Raises `InvalidQuery`.
        """
        asked = build_search(text, type_name, limit, offset)
        state = _read(self._connection)
        if state is None or (asked.type is not None and asked.type not in state.fields):
            what = "nothing" if state is None else f"type {asked.type!r}"
            raise InvalidQuery(
                f"{what} is declared for search in this profile; open it with "
                "search={type: [fields]}"
            )
        if not asked.words:
            return []
        # Within quotation marks, nothing but those is syntax to FTS5.
        words = " ".join('"' + word.replace('"', '""') + '"' for word in asked.words)
        parameters = (f"{words} *", group, asked.type, asked.limit, asked.offset)
        return [signed_of(row) for row in fetch(self._connection, _FIND, parameters)]


class SearchWrites(Rows):
    """What makes the index, and keeps it tidy."""

    def declare_search(self, fields: Mapping[str, Sequence[str]]) -> None:
        """Have these fields searched, by type, and nothing else; what counts most stands first.

        Where something else was declared, the index is made anew, from all records. Raises
        `InvalidQuery` for what is no type or field, and for too many, and `UnsupportedStore` where
        this SQLite cannot search.
        """
        declared = {_app_type(name): _checked(fields[name]) for name in sorted(fields)}
        state = _read(self._connection)
        if not declared:
            if state is not None:
                _drop(self._connection)
                run_many(self._connection, "DELETE FROM profile WHERE key = ?", [(_KEY,)])
            return
        wanted = _State(declared, _texts_sql(declared))
        if state is None or (state.fields, state.texts) != (wanted.fields, wanted.texts):
            _check_able(self._connection)
            _write(self._connection, wanted)
            make_anew(self._connection)

    def tidy_search(self, now_ms: int) -> bool:
        """Do a slice of taking the words of what has left out of the index; whether more is due.

        FTS5 only notes that something has left, until it writes what it has anew. So that is begun
        once a day, where anything has.
        """
        state = _read(self._connection)
        if state is None or not state.left or 0 <= now_ms - state.tidied_ms < _TIDY_MS:
            return False
        # A row is changed for each page, and one in any case.
        before = _changes(self._connection)
        run_many(self._connection, _MERGE, [(-_MERGE_PAGES,)])
        if _changes(self._connection) - before >= 2:
            return True
        tidied = msgspec.structs.replace(state, left=False, tidied_ms=now_ms)
        _write(self._connection, tidied)
        return False


def make_anew(connection: Connection) -> None:
    """Make the index from what is live now, if anything is declared."""
    state = _read(connection)
    if state is None:
        return
    _drop(connection)
    connection.exec_driver_sql(state.texts)
    connection.exec_driver_sql(_MAKE_INDEX)
    ((last,),) = fetch(connection, "SELECT coalesce(max(rowid), 0) FROM records")
    # In slices, so that FTS5 keeps no more than one in memory.
    for first in range(0, last + 1, _REINDEX_ROWS):
        if first:
            _log.info("making the index for search: at %s of %s", first, last)
        until = first + _REINDEX_ROWS
        run_many(connection, _ENTER + _SLICE, [(first, until)])


def _app_type(name: str) -> str:
    if build_query(name).type.startswith("$"):
        raise InvalidQuery(f"type {name!r} is reserved; an app's types begin with a-z or 0-9")
    return name


def _checked(fields: Sequence[str]) -> list[str]:
    if not fields or isinstance(fields, str) or len(set(fields)) != len(fields):
        raise InvalidQuery(f"search takes a list of fields, each once, not {fields!r}")
    if len(fields) > limits.SEARCH_FIELDS:
        raise InvalidQuery(f"of one type, at most {limits.SEARCH_FIELDS} fields are searched")
    return [".".join(parse_field(field)) for field in fields]


def _check_able(connection: Connection) -> None:
    if not fetch(connection, "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"):
        raise UnsupportedStore(
            "the SQLite of this Python lacks FTS5, so nothing can be searched; take another build "
            "of Python, or open the profile without search"
        )


def _texts_sql(declared: Mapping[str, Sequence[str]]) -> str:
    """The view of what is to be found: a row for each live record of a declared type."""
    columns = []
    for place in range(limits.SEARCH_FIELDS):
        texts = [
            f"WHEN '{kind}' THEN {_TEXT.format(path=path_sql(parse_field(fields[place])))}"
            for kind, fields in declared.items()
            if place < len(fields)
        ]
        columns.append(f"CASE records.type {' '.join(texts)} END" if texts else "NULL")
    named = ", ".join(f"{sql} AS {name}" for sql, name in zip(columns, _FIELDS, strict=True))
    kinds = ", ".join(f"'{kind}'" for kind in declared)
    # The plus keeps SQLite from going by the type where rows are named.
    return (
        f"CREATE VIEW {_TEXTS} AS SELECT records.rowid AS number, records.group_id, records.id, "  # noqa: S608 -- checked names
        f"{named} FROM records WHERE +records.type IN ({kinds}) AND records.deleted = 0"
    )


def _drop(connection: Connection) -> None:
    connection.exec_driver_sql(f"DROP VIEW IF EXISTS {_TEXTS}")
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_INDEX}")


def _changes(connection: Connection) -> int:
    ((changes,),) = fetch(connection, "SELECT total_changes()")
    return int(changes)


def _read(connection: Connection) -> _State | None:
    rows = fetch(connection, _READ, [_KEY])
    return msgspec.json.decode(rows[0][0], type=_State) if rows else None


def _write(connection: Connection, state: _State) -> None:
    run_many(connection, _WRITE, [(_KEY, msgspec.json.encode(state).decode())])

"""Questions about values, as SQL. Knows how an operator is asked; `query` says what it means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from peerstack.ids import GroupId
from peerstack.query import (
    ID,
    MODIFIED,
    Condition,
    Kind,
    Operator,
    Path,
    Query,
    Scalar,
    SortKey,
    build_query,
    sort_key_at,
)
from peerstack.record import Record, Signed
from peerstack.store import schema
from peerstack.store.fields import JSON, kind_sql, path_sql, value_sql
from peerstack.store.rows import Rows, signed_columns

_records = schema.records
_SIGNED = signed_columns(_records)
_ELEMENT_TYPES = {
    Kind.NULL: ("null",),
    Kind.FALSE: ("false",),
    Kind.TRUE: ("true",),
    Kind.NUMBER: ("integer", "real"),
    Kind.TEXT: ("text",),
}
"""What SQLite's `json_each` calls the kinds of scalars."""


class FindReads(Rows):
    """Questions about the values of live records."""

    def find(
        self,
        group: GroupId,
        type_name: str,
        where: Mapping[str, Scalar | Condition] | None = None,
        *,
        order_by: str = "modified",
        limit: int | None = None,
        after: Record | Signed | None = None,
    ) -> list[Signed]:
        """The records of a type whose values match, in order; deleted ones do not show.

        See `peerstack.query` for what `where`, `order_by` and `after` mean. Raises `InvalidQuery`.
        """
        query = build_query(type_name, where, order_by, limit, after)
        chosen = select(*_SIGNED).where(_records.c.group_id == group, *_conditions(query))
        order = _order_columns(query.order.by)
        ascending = not query.order.descending
        chosen = chosen.order_by(*(one.asc() if ascending else one.desc() for one in order))
        return self._signed(chosen.limit(limit))

    def types(self, group: GroupId) -> dict[str, int]:
        """The types of a group's live records, in order, and how many there are of each."""
        chosen = select(_records.c.type, func.count()).where(
            _records.c.group_id == group, ~_records.c.deleted
        )
        counted = chosen.group_by(_records.c.type).order_by(_records.c.type)
        return dict(map(tuple, self._all(counted)))

    def count_reserved(self, group: GroupId) -> int:
        """How many of a group's live records are the framework's own, deletions included."""
        # Their types begin with "$", and "%" is the character behind it: so an index will do.
        chosen = (_records.c.group_id == group) & _records.c.type.between("$", "%")
        return int(self._all(select(func.count()).select_from(_records).where(chosen))[0][0])


def _conditions(query: Query) -> list[ColumnElement[bool]]:
    # The type stands in the text, so that SQLite can see which partial index fits.
    of_type = _records.c.type == literal_column(f"'{query.type}'")
    terms = [_term(path, condition) for path, condition in query.terms]
    return [of_type, ~_records.c.deleted, *terms, *_behind(query)]


def _term(path: Path, condition: Condition) -> ColumnElement[bool]:
    kind, value = _kind(path), _value(path)
    match condition.operator:
        case Operator.ONE_OF:
            return _one_of(kind, value, condition.operands)
        case Operator.PREFIX:
            return _prefix(kind, value, str(condition.operands[0].value))
        case Operator.CONTAINS:
            return _contains(path, condition.operands[0])
    (operand,) = condition.operands
    compare = {
        Operator.LT: value.__lt__,
        Operator.LE: value.__le__,
        Operator.GT: value.__gt__,
        Operator.GE: value.__ge__,
    }[condition.operator]
    return and_(kind == _number(operand.kind), compare(_bound(operand)))


def _one_of(
    kind: ColumnElement[int], value: ColumnElement[Any], operands: tuple[SortKey, ...]
) -> ColumnElement[bool]:
    by_kind = defaultdict[Kind, list[SortKey]](list)
    for operand in operands:
        by_kind[operand.kind].append(operand)
    matches: list[ColumnElement[bool]] = [false()]
    for asked, keys in by_kind.items():
        wanted = [_bound(key) for key in keys]
        equal = value == wanted[0] if len(wanted) == 1 else value.in_(wanted)
        matches.append(and_(kind == _number(asked), equal))
    return or_(*matches)


def _prefix(kind: ColumnElement[int], value: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    end = _behind_all_with(text)
    bounds = [value >= literal(text)] + ([value < literal(end)] if end else [])
    return and_(kind == _number(Kind.TEXT), *bounds)


def _behind_all_with(prefix: str) -> str:
    """The first text behind all that begin with `prefix`, by code points; "" if there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return ""
    following = ord(stem[-1]) + 1
    # Surrogates are code points that no text has.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)


def _contains(path: Path, operand: SortKey) -> ColumnElement[bool]:
    element = func.json_each(literal_column(JSON), literal_column(path_sql(path))).table_valued(
        "value", "type", name="element"
    )
    same: list[ColumnElement[bool]] = [element.c.type.in_(_ELEMENT_TYPES[operand.kind])]
    if operand.kind in (Kind.NUMBER, Kind.TEXT):
        same.append(element.c.value == _bound(operand))
    listed = and_(
        _kind(path) == _number(Kind.LIST), select(literal_column("1")).where(*same).exists()
    )
    if operand.kind is not Kind.TEXT:
        return listed
    inside = func.instr(_value(path), literal(operand.value)) > 0
    return or_(and_(_kind(path) == _number(Kind.TEXT), inside), listed)


def _order_columns(by: Path) -> list[ColumnElement[Any]]:
    if by == ID:
        return [_records.c.id]
    if by == MODIFIED:
        return [_records.c.modified, _records.c.id]
    return [_kind(by), _value(by), _records.c.id]


def _behind(query: Query) -> list[ColumnElement[bool]]:
    """The condition that a record stands behind the cursor (keyset pagination)."""
    after, by = query.after, query.order.by
    if after is None:
        return []
    place: list[Any] = [literal(after.id)]
    if by == MODIFIED:
        place.insert(0, literal(after.modified))
    elif by != ID:
        key = sort_key_at(after.value, by)
        place[:0] = [_number(key.kind), _bound(key)]
    here = tuple_(*_order_columns(by))
    return [here < tuple_(*place) if query.order.descending else here > tuple_(*place)]


def _kind(path: Path) -> ColumnElement[int]:
    return literal_column(kind_sql(path), Integer)


def _value(path: Path) -> ColumnElement[Any]:
    return literal_column(value_sql(path))


def _number(kind: Kind) -> ColumnElement[int]:
    return literal_column(str(kind.value), Integer)


def _bound(key: SortKey) -> ColumnElement[Any]:
    """What a number or text is compared with.

    Fractions are read by SQLite itself, as those in bodies are, so that both are rounded alike:
    where a machine has no 80-bit floats, SQLite does not round the last digit as Python does.
    """
    if isinstance(key.value, float):
        return func.json_extract(orjson.dumps(key.value).decode(), "$")
    return literal(key.value)

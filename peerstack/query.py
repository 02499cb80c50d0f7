"""What apps may ask of their records' values, checked and put into one form. Pure; knows no SQL.

::

    find("task", where={"done": False, "due.year": ge(2024)}, order_by="-modified")

A plain value asks for equality; the operators are `lt`, `le`, `gt`, `ge`, `one_of`, `prefix` and
`contains`. Values of another JSON type never match: true is not 1, while 1 and 1.0 are one number.
None matches null only, and a field that is missing matches nothing. Fractions are told apart by
their first 15 digits.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from peerstack import limits
from peerstack.errors import InvalidQuery
from peerstack.record import JsonObject, Record, Signed, TypeText

Scalar = str | int | float | bool | None
Path = tuple[str, ...]

_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(\.[A-Za-z_][A-Za-z0-9_]{0,63}){0,7}")
_IN_NO_RECORD: Final = re.compile("[\0\ud800-\udfff]")
_MISSING: Final = object()


class Kind(enum.IntEnum):
    """The kinds of values, in the order in which a field that mixes them is sorted."""

    MISSING = 0
    NULL = 1
    FALSE = 2
    TRUE = 3
    NUMBER = 4
    TEXT = 5
    LIST = 6
    OBJECT = 7


class SortKey(msgspec.Struct, frozen=True):
    """Where a value stands among others: by kind, then numbers by size and text by code point.

    All lists are equal to each other here, and all objects.
    """

    kind: Kind
    value: str | int | float = 0


class Operator(enum.Enum):
    """What is asked of a field."""

    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    ONE_OF = "one_of"
    PREFIX = "prefix"
    CONTAINS = "contains"


class Condition(msgspec.Struct, frozen=True):
    """An operator and what it compares with; made by the functions of this module."""

    operator: Operator
    operands: tuple[SortKey, ...]


class Order(msgspec.Struct, frozen=True):
    """By what records are sorted; ties break by id, in the same direction."""

    by: Path
    """A field's path in the value, or `MODIFIED` or `ID`."""
    descending: bool


MODIFIED: Final[Path] = ("$modified",)
ID: Final[Path] = ("$id",)


class Query(msgspec.Struct, frozen=True):
    """A question about the live records of one type, ready to be asked."""

    type: str
    terms: tuple[tuple[Path, Condition], ...]
    order: Order
    limit: int | None
    after: Record | Signed | None
    """The last record of the page before."""


class Search(msgspec.Struct, frozen=True):
    """Words to be found in the live records of one type or of all, ready to be asked."""

    words: tuple[str, ...]
    """As they were typed; the last one may be the beginning of a word."""
    type: str | None
    limit: int
    offset: int


def lt(value: str | float) -> Condition:
    """Less than a number, or a text that stands before this one."""
    return Condition(Operator.LT, (_ordered(value),))


def le(value: str | float) -> Condition:
    """At most a number, or this text or one that stands before it."""
    return Condition(Operator.LE, (_ordered(value),))


def gt(value: str | float) -> Condition:
    """More than a number, or a text that stands behind this one."""
    return Condition(Operator.GT, (_ordered(value),))


def ge(value: str | float) -> Condition:
    """At least a number, or this text or one that stands behind it."""
    return Condition(Operator.GE, (_ordered(value),))


def one_of(*values: Scalar) -> Condition:
    """Equal to one of these values; with none given, nothing matches."""
    if len(values) > limits.QUERY_VALUES:
        raise InvalidQuery(f"one_of takes at most {limits.QUERY_VALUES} values; ask several times")
    return Condition(Operator.ONE_OF, tuple(map(_scalar, values)))


def prefix(text: str) -> Condition:
    """Text that begins like this, upper and lower case told apart."""
    if not isinstance(text, str):
        raise InvalidQuery(f"prefix compares text, not {type(text).__name__}")
    return Condition(Operator.PREFIX, (_scalar(text),))


def contains(value: Scalar) -> Condition:
    """A list that has this value among its items, or a text that has this text in it."""
    return Condition(Operator.CONTAINS, (_scalar(value),))


def build_search(text: object, type_name: str | None, limit: int, offset: int) -> Search:
    """Check a question to the full-text index; whatever a person types is a text to be found.

    Raises `InvalidQuery` where `text` has more than `limits.SEARCH_CHARS`, and for the rest.
    """
    if not isinstance(text, str) or len(text) > limits.SEARCH_CHARS:
        raise InvalidQuery(f"a search takes a text of at most {limits.SEARCH_CHARS} characters")
    if type_name is not None:
        _check_type(type_name)
    _check_limit(limit)
    if type(offset) is not int or not 0 <= offset <= limits.INTEGER_MAX:
        raise InvalidQuery(f"offset is a number of records from 0 on, not {offset!r}")
    return Search(tuple(_IN_NO_RECORD.sub(" ", text).split()), type_name, limit, offset)


def build_query(
    type_name: str,
    where: Mapping[str, Scalar | Condition] | None = None,
    order_by: str = "modified",
    limit: int | None = None,
    after: Record | Signed | None = None,
) -> Query:
    """Check a question and put it into one form.

    `order_by` is "modified", "id" or a field, with "-" before it for descending; `after` goes on
    exactly behind a record of the page before. Raises `InvalidQuery`.
    """
    _check_type(type_name)
    if limit is not None:
        _check_limit(limit)
    if after is not None and not isinstance(after, Record | Signed):
        raise InvalidQuery("after is a record, the last one of the page before")
    where = where or {}
    if len(where) > limits.QUERY_FIELDS:
        raise InvalidQuery(f"where names {len(where)} fields; {limits.QUERY_FIELDS} are too many")
    terms = tuple((parse_field(name), _condition(asked)) for name, asked in where.items())
    return Query(type_name, terms, _parse_order(order_by), limit, after)


def parse_field(name: object) -> Path:
    """The path of a field in a value: names joined by dots. Raises `InvalidQuery`."""
    if not isinstance(name, str) or not _FIELD.fullmatch(name):
        raise InvalidQuery(
            f"{name!r} is no field: use letters, digits and _, and dots for fields of objects"
        )
    return tuple(name.split("."))


def sort_key_at(value: JsonObject, path: Path) -> SortKey:
    """Where the field at `path` of a record's value stands in the order of that field."""
    found: Any = value
    for name in path:
        found = found.get(name, _MISSING) if isinstance(found, dict) else _MISSING
    return sort_key(found)


def sort_key(value: object) -> SortKey:
    """Where a JSON value stands among others."""
    match value:
        case str():
            return SortKey(Kind.TEXT, value)
        case bool():
            return SortKey(Kind.TRUE if value else Kind.FALSE)
        case int() | float():
            return SortKey(Kind.NUMBER, value)
        case None:
            return SortKey(Kind.NULL)
        case list():
            return SortKey(Kind.LIST)
        case dict():
            return SortKey(Kind.OBJECT)
    return SortKey(Kind.MISSING)


def _check_type(name: str) -> None:
    try:
        msgspec.convert(name, TypeText)
    except msgspec.ValidationError as error:
        raise InvalidQuery(f"{name!r} is no type of record: {error}") from error


def _check_limit(limit: int) -> None:
    if type(limit) is not int or not 1 <= limit <= limits.INTEGER_MAX:
        raise InvalidQuery(f"limit is a number of records from 1 on, not {limit!r}")


def _parse_order(order_by: str) -> Order:
    if not isinstance(order_by, str):
        raise InvalidQuery(f"order_by is the name of a field, not {order_by!r}")
    name = order_by.removeprefix("-")
    by = {"modified": MODIFIED, "id": ID}.get(name) or parse_field(name)
    return Order(by, descending=name != order_by)


def _condition(asked: object) -> Condition:
    if isinstance(asked, Condition):
        return asked
    return Condition(Operator.ONE_OF, (_scalar(asked),))


def _ordered(value: object) -> SortKey:
    key = _scalar(value)
    if key.kind not in (Kind.NUMBER, Kind.TEXT):
        raise InvalidQuery(f"numbers and text have an order; {value!r} has none")
    return key


def _scalar(value: object) -> SortKey:
    """A value that fields are compared with; only what a record could hold."""
    key = sort_key(value)
    if key.kind in (Kind.MISSING, Kind.LIST, Kind.OBJECT):
        raise InvalidQuery(
            f"a field is compared with text, numbers, True, False and None, not {value!r}"
        )
    if isinstance(key.value, str):
        _check_text(key.value)
    elif not _is_storable(key.value):
        raise InvalidQuery(f"{value!r} is no number that a record can hold")
    return key


def _is_storable(number: float) -> bool:
    if isinstance(number, int):
        return abs(number) <= limits.INTEGER_MAX
    return math.isfinite(number)


def _check_text(text: str) -> None:
    if _IN_NO_RECORD.search(text):
        raise InvalidQuery("text with U+0000 or half a surrogate pair is in no record")

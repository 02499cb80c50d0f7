"""What `find` should answer, worked out the plain way: the model that SQL is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from peerstack.query import Condition, Kind, Operator, SortKey, sort_key, sort_key_at
from peerstack.record import Signed


def find(
    records: Iterable[Signed], kind: str, where: Mapping[str, Any], order_by: str
) -> list[Signed]:
    """The live records of a type that match, in order."""
    chosen = [
        record
        for record in records
        if record.type == kind and not record.deleted and _matches(record.value, where)
    ]
    name = order_by.removeprefix("-")
    return sorted(chosen, key=lambda record: _place(record, name), reverse=name != order_by)


def _place(record: Signed, name: str) -> tuple[Any, ...]:
    if name in ("id", "modified"):
        return (getattr(record, name), record.id)
    key = sort_key_at(record.value, tuple(name.split(".")))
    return (key.kind, key.value, record.id)


def _matches(value: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    return all(_holds(_at(value, name), asked) for name, asked in where.items())


def _at(value: Any, name: str) -> Any:
    for step in name.split("."):
        if not isinstance(value, dict) or step not in value:
            return ...
        value = value[step]
    return value


def _holds(found: Any, asked: Any) -> bool:
    if not isinstance(asked, Condition):
        return _same(found, sort_key(asked))
    first = asked.operands[0] if asked.operands else SortKey(Kind.MISSING)
    alike = sort_key(found).kind is first.kind
    match asked.operator:
        case Operator.ONE_OF:
            return any(_same(found, operand) for operand in asked.operands)
        case Operator.LT:
            return alike and found < first.value
        case Operator.LE:
            return alike and found <= first.value
        case Operator.GT:
            return alike and found > first.value
        case Operator.GE:
            return alike and found >= first.value
        case Operator.PREFIX:
            return alike and found.startswith(first.value)
        case Operator.CONTAINS:
            if isinstance(found, list):
                return any(_same(one, first) for one in found)
            return alike and first.kind is Kind.TEXT and first.value in found


def _same(found: Any, operand: SortKey) -> bool:
    return found is not ... and sort_key(found) == operand

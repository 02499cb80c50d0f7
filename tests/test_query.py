from __future__ import annotations

from typing import Any

import pytest

from peerstack import limits
from peerstack.errors import InvalidQuery
from peerstack.query import (
    ID,
    MODIFIED,
    Kind,
    Order,
    SortKey,
    build_query,
    contains,
    ge,
    gt,
    le,
    lt,
    one_of,
    prefix,
    sort_key,
    sort_key_at,
)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "a b",
        "a.",
        ".a",
        "a..b",
        "a-b",
        "é",
        "a\n",
        'a"',
        "a'--",
        "x" * 65,
        "$id",
        5,
        None,
    ],
)
def test_what_is_no_field_is_refused(name: Any) -> None:
    with pytest.raises(InvalidQuery, match="is no field"):
        build_query("note", {name: 1})


@pytest.mark.parametrize("order_by", ["", "-", "--id", "+id", "a;b", "id desc", "1", None, 5])
def test_what_is_no_order_is_refused(order_by: Any) -> None:
    with pytest.raises(InvalidQuery, match="field"):
        build_query("note", order_by=order_by)


@pytest.mark.parametrize("kind", ["", "Note", "a b", "x" * 65, "'", "note\n", None])
def test_what_is_no_type_is_refused(kind: Any) -> None:
    with pytest.raises(InvalidQuery, match="no type of record"):
        build_query(kind)


@pytest.mark.parametrize("limit", [0, -1, 1.0, True, "5", 2**63])
def test_what_is_no_limit_is_refused(limit: Any) -> None:
    with pytest.raises(InvalidQuery, match="limit"):
        build_query("note", limit=limit)


def test_what_is_no_cursor_is_refused() -> None:
    with pytest.raises(InvalidQuery, match="after"):
        build_query("note", after="01ARZ3NDEKTSV4RRFFQ69G5FAV")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [[1], {"a": 1}, (1,), b"a", object(), 2**53, float("nan"), float("inf"), "\0", "\ud800", len],
)
def test_values_that_no_record_can_hold_are_refused(value: Any) -> None:
    for ask in (lambda: build_query("note", {"a": value}), lambda: one_of(1, value)):
        with pytest.raises(InvalidQuery):
            ask()
    with pytest.raises(InvalidQuery):
        contains(value)


@pytest.mark.parametrize("operator", [lt, le, gt, ge])
@pytest.mark.parametrize("value", [True, None, [1], float("nan")])
def test_values_without_an_order_are_not_compared(operator: Any, value: Any) -> None:
    with pytest.raises(InvalidQuery):
        operator(value)


@pytest.mark.parametrize("value", [5, None, b"a", "\0"])
def test_only_text_has_a_prefix(value: Any) -> None:
    with pytest.raises(InvalidQuery):
        prefix(value)


def test_questions_have_bounds() -> None:
    with pytest.raises(InvalidQuery, match="at most"):
        one_of(*range(limits.QUERY_VALUES + 1))
    with pytest.raises(InvalidQuery, match="too many"):
        build_query("note", {f"f{number}": 1 for number in range(limits.QUERY_FIELDS + 1)})


def test_an_order_names_a_direction_and_a_field() -> None:
    assert build_query("note").order == Order(MODIFIED, descending=False)
    assert build_query("note", order_by="-id").order == Order(ID, descending=True)
    assert build_query("note", order_by="-a.b").order == Order(("a", "b"), descending=True)


def test_a_value_is_sorted_by_kind_first() -> None:
    values = [None, False, True, -1, 0.5, 2, "", "Z", "a", "é", [2], {"a": 1}]
    keys = [sort_key(value) for value in values]

    order = [(key.kind, key.value) for key in keys]

    assert order == sorted(order)
    assert keys[1] == SortKey(Kind.FALSE)


def test_a_path_leads_through_objects_only() -> None:
    value = {"a": {"b": None}, "c": [{"b": 1}], "d": "text"}

    assert sort_key_at(value, ("a", "b")).kind is Kind.NULL
    assert sort_key_at(value, ("a", "x")).kind is Kind.MISSING
    assert sort_key_at(value, ("c", "b")).kind is Kind.MISSING
    assert sort_key_at(value, ("d", "b")).kind is Kind.MISSING

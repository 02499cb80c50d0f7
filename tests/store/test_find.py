from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peerstack.errors import InvalidQuery
from peerstack.query import contains, ge, gt, le, lt, one_of, prefix
from peerstack.record import Record, Signed, decode_untrusted
from peerstack.store import Snapshot, Store
from tests.store import query_model
from tests.store.samples import (
    GROUP,
    NOW,
    OTHER_GROUP,
    PHONE,
    fresh,
    over,
    put,
    record,
    record_id,
)
from tests.store.watching import watch

WILD = ["", "a", "A", "ab", "b", "a%", "a_", "%", "_", "\\", "1", "null", "é", "z", "[]", '"', "'"]
LAST = ["\ud7ff", "\ue000", "\U0010ffff", "a\U0010ffff", "a\U0010ffffb", "true", "\n", "😀"]
texts = st.sampled_from(WILD + LAST) | st.text("ab%_\"'\\é\u007f", max_size=3)
# Where a machine has no 80-bit floats, SQLite may round the sixteenth digit in its own way.
fractions = st.floats(allow_nan=False, allow_infinity=False).map(lambda some: float(f"{some:.12g}"))
numbers = (
    st.integers(-3, 3)
    | st.sampled_from([0.5, -0.0, 1.0, 0.1, 1e300, 5e-324, 2**53 - 1, 1 - 2**53, 1 / 3])
    | fractions
)
scalars = st.none() | st.booleans() | numbers | texts
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.just("b"), scalars)
names = st.sampled_from(["a", "b", "a.b", "_x"])
bodies = st.dictionaries(st.sampled_from(["a", "b", "_x", "other"]), values, max_size=3)
conditions = (
    scalars
    | st.builds(contains, scalars)
    | st.builds(prefix, texts)
    | st.lists(scalars, max_size=4).map(lambda some: one_of(*some))
    | st.one_of(*(st.builds(operator, numbers | texts) for operator in (lt, le, gt, ge)))
)
orders = st.sampled_from(["modified", "id", "a", "b", "a.b", "_x"]).flatmap(
    lambda name: st.sampled_from([name, f"-{name}"])
)


def make(bodies: Sequence[dict[str, Any] | None]) -> list[Signed]:
    """Records with these values, some of the same time; `None` for a deleted one."""
    return [
        record(number, body, modified=NOW + number % 2, deleted=body is None)
        for number, body in enumerate(bodies)
    ]


def holding(records: Sequence[Signed], indexes: Mapping[str, Sequence[str]] | None) -> Store:
    store = Store.open(":memory:", indexes)
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
        transaction.apply(fresh(*records), NOW)
    return store


MATCHES: list[tuple[Any, list[Any], list[Any]]] = [
    (1, [1, 1.0], [True, "1", [1], 2]),
    (True, [True], [1, "true", False]),
    (None, [None], [False, 0, "", "null", []]),
    ("a", ["a"], ["A", "a ", ["a"], {"a": "a"}]),
    (one_of("a", 1, False), ["a", 1.0, False], [True, 0, "b", None]),
    (one_of(), [], ["", None, 0]),
    (lt(5), [4, -1e300], [5, "4", True, None, []]),
    (le("b"), ["", "B", "b"], ["ba", "é", 1]),
    (gt(5), [5.5, 6], [5, "6"]),
    (ge("é"), ["é", "😀"], ["e", "z"]),
    (prefix("a_"), ["a_", "a_b"], ["ab", "A_", ["a_"]]),
    (prefix("\ud7ff"), ["\ud7ff", "\ud7ffz"], ["\ue000", "\ud7fe"]),
    (prefix("\U0010ffff"), ["\U0010ffffa"], ["a", "\ue000"]),
    (prefix(""), ["", "a"], [1, None]),
    (contains("b%"), ["ab%c", ["b%"]], ["abc", ["ab%"], {"b%": "b%"}]),
    (contains(1), [[1], [0, 1.0]], [1, "1", [True], ["1"], [[1]]]),
    (contains(None), [[None]], [None, [], [0]]),
    (contains(False), [[False]], [False, [0], [None]]),
]


@pytest.mark.parametrize(("asked", "matching", "others"), MATCHES, ids=str)
def test_an_operator_matches_what_it_says(
    asked: Any, matching: list[Any], others: list[Any]
) -> None:
    records = make([*({"a": value} for value in [*matching, *others]), {}])
    store = holding(records, None)
    with store.snapshot() as snapshot:
        found = snapshot.find(GROUP, "note", {"a": asked}, order_by="id")
    store.close()

    assert found == records[: len(matching)]


@pytest.mark.parametrize("number", [0.1, 1 / 3, 1.1e-200, 1.7e300, 9.87654321e250, 5e-324])
def test_a_fraction_is_found_by_itself(store: Store, number: float) -> None:
    put(store, *fresh(record(1, {"a": number}), record(2, {"a": number * 2})))

    with store.snapshot() as snapshot:
        assert snapshot.find(GROUP, "note", {"a": number}) == [record(1, {"a": number})]
        assert snapshot.find(GROUP, "note", {"a": gt(number)}) == [record(2, {"a": number * 2})]


@settings(max_examples=300)
@given(
    bodies=st.lists(st.none() | bodies, max_size=8),
    where=st.dictionaries(names, conditions, max_size=2),
    order_by=orders,
    indexed=st.booleans(),
)
def test_find_answers_what_the_plain_way_answers(
    bodies: Sequence[dict[str, Any] | None],
    where: dict[str, Any],
    order_by: str,
    indexed: bool,
) -> None:
    records = make(bodies)
    store = holding(records, {"note": ["a", "b", "a.b"]} if indexed else None)
    with store.snapshot() as snapshot:
        found = snapshot.find(GROUP, "note", where, order_by=order_by)
    store.close()

    assert found == query_model.find(records, "note", where, order_by)


@settings(max_examples=100)
@given(
    bodies=st.lists(st.none() | bodies, max_size=9),
    order_by=orders,
    size=st.integers(1, 3),
    indexed=st.booleans(),
)
@example(
    bodies=[{"a": 1}, {}, {"a": []}, {"a": {}}, {"a": "1"}], order_by="-a", size=1, indexed=True
)
def test_pages_join_to_the_whole_without_gap_or_overlap(
    bodies: Sequence[dict[str, Any] | None], order_by: str, size: int, indexed: bool
) -> None:
    store = holding(make(bodies), {"note": ["a", "b"]} if indexed else None)
    with store.snapshot() as snapshot:
        whole = snapshot.find(GROUP, "note", order_by=order_by)
        pages, after = [], None
        while page := snapshot.find(GROUP, "note", order_by=order_by, limit=size, after=after):
            pages += page
            after = Record.of(page[-1])
    store.close()

    assert pages == whole


def test_a_cursor_holds_where_its_record_has_gone(store: Store) -> None:
    records = make([{"a": n} for n in range(5)])
    put(store, *fresh(*records))
    put(store, over(record(2, modified=NOW + 9, deleted=True), records[2]))

    with store.snapshot() as snapshot:
        found = snapshot.find(GROUP, "note", order_by="a", after=records[2])

    assert found == records[3:]


def test_find_shows_one_type_of_one_group(store: Store) -> None:
    note, task = record(1, kind="note"), record(2, kind="task")
    put(store, *fresh(note, task, record(1, kind="note", group=OTHER_GROUP)))

    with store.snapshot() as snapshot:
        assert snapshot.find(GROUP, "note") == [note]
        assert snapshot.find(GROUP, "task") == [task]
        assert snapshot.find(GROUP, "not") == []


@pytest.mark.parametrize("spelling", [rb'"\u0061"', rb'"a"'])
def test_a_field_is_found_however_its_author_spelled_it(store: Store, spelling: bytes) -> None:
    body = (
        b'{"val\\u0075e":{' + spelling + b':"\\u0062"},"modified":5,"type":"note",'
        b'"id":"%s","group":"%s","signer":"%s","device":"%s"}'
    ) % (record_id(1).encode(), GROUP.encode(), GROUP.encode(), PHONE.encode())
    signed = decode_untrusted(body, b"\x01" + bytes(64))
    put(store, *fresh(signed))

    with store.snapshot() as snapshot:
        assert snapshot.find(GROUP, "note", {"a": "b"}) == [signed]


@pytest.mark.parametrize(
    "where",
    [{"a' OR 1=1 --": 1}, {'a"': 1}, {"a": lambda: 1}, {"a": [1]}, {"a": b"x"}],
)
def test_what_cannot_be_asked_is_refused(store: Store, where: dict[str, Any]) -> None:
    with store.snapshot() as snapshot, pytest.raises(InvalidQuery):
        snapshot.find(GROUP, "note", where)


def plan(snapshot: Snapshot, **question: Any) -> str:
    """How SQLite would go about a question."""
    ran = watch(snapshot._connection.engine)
    snapshot.find(GROUP, "task", **question)
    sql, parameters = ran[-1]
    rows = snapshot._connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
    return "\n".join(row[3] for row in rows.fetchall())


QUESTIONS: list[dict[str, Any]] = [
    {"where": {"done": False}},
    {"where": {"done": 3}},
    {"where": {"done": 0.5}},
    {"where": {"done": "x"}},
    {"where": {"done": None}},
    {"where": {"done": one_of("x", "y")}, "order_by": "done"},
    {"where": {"done": gt(5)}},
    {"where": {"done": le("x")}},
    {"where": {"done": prefix("x")}},
]


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_a_declared_index_is_used(question: dict[str, Any], tmp_path: Path) -> None:
    store = Store.open(tmp_path / "ana.db", {"task": ["done"]})
    with store.snapshot() as snapshot:
        used = plan(snapshot, **question)
    store.close()

    assert "USING INDEX ps_value_task:done (group_id=? AND <expr>" in used


@pytest.mark.parametrize("order_by", ["done", "-done"])
def test_a_declared_index_spares_sorting_by_it(order_by: str, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "ana.db", {"task": ["done"]})
    after = record(1, {"done": "x"})
    with store.snapshot() as snapshot:
        first = plan(snapshot, order_by=order_by, limit=5)
        later = plan(snapshot, order_by=order_by, limit=5, after=after)
    store.close()

    for used in (first, later):
        assert "USING INDEX ps_value_task:done" in used
        # Only records that are equal in the field are sorted, by id.
        assert "TEMP B-TREE FOR ORDER BY" not in used


@pytest.mark.parametrize("order_by", ["modified", "-modified"])
def test_find_by_type_and_time_uses_its_index_and_sorts_nothing(
    order_by: str, tmp_path: Path
) -> None:
    store = Store.open(tmp_path / "ana.db")
    with store.snapshot() as snapshot:
        first = plan(snapshot, order_by=order_by, limit=5)
        later = plan(snapshot, order_by=order_by, limit=5, after=record(1))
    store.close()

    assert "ix_records_type (group_id=? AND type=?)" in first
    assert "ix_records_type (group_id=? AND type=? AND (modified,id)" in later
    assert "TEMP B-TREE" not in first + later


def test_indexes_come_and_go_with_their_declaration(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    for declared, expected in [
        ({"task": ["done", "due.year"], "a_b": ["c"], "a": ["b_c"]}, 4),
        (None, 4),
        ({"task": ["done"]}, 1),
        ({}, 0),
    ]:
        store = Store.open(path, declared)
        with store.snapshot() as snapshot:
            rows = snapshot._connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE name LIKE 'ps_value_%'"
            ).fetchall()
        store.close()

        assert len(rows) == expected


@pytest.mark.parametrize("indexes", [{"task": ["a b"]}, {"Ta'sk": ["a"]}, {"task": ['a"']}])
def test_indexes_on_what_is_no_field_are_refused(
    indexes: dict[str, list[str]], tmp_path: Path
) -> None:
    with pytest.raises(InvalidQuery):
        Store.open(tmp_path / "ana.db", indexes)


def test_an_index_follows_edits(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.declare_indexes({"note": ["done"]})
    old, new = record(1, {"done": False}), record(1, {"done": True}, modified=NOW + 1)
    put(store, *fresh(old, record(2, {"done": True})))
    put(store, over(new, old))

    with store.snapshot() as snapshot:
        assert snapshot.find(GROUP, "note", {"done": False}) == []
        assert snapshot.find(GROUP, "note", {"done": True}) == [record(2, {"done": True}), new]

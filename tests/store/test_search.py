from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import InvalidQuery, StoreError, UnsupportedStore
from peerstack.record import Signed, decode_untrusted
from peerstack.store import Store, Transaction, Withdrawal
from peerstack.store import search as search_module
from peerstack.store.rows import fetch
from peerstack.store.search import make_anew
from tests.store.samples import (
    ANA,
    GROUP,
    LAPTOP,
    NOW,
    OTHER_GROUP,
    PHONE,
    fresh,
    over,
    put,
    record,
    record_id,
)

DAY_MS = 24 * 60 * 60 * 1000
NOTES = {"note": ["title", "text", "labels"]}
EXPECTED: list[tuple[str, Any, bool]] = [
    ("milk", "Milk", True),
    ("MILK", "milk", True),
    ("mil", "milk", True),
    ("ilk", "milk", False),
    ("milk bread", "bread and milk", True),
    ("milk bre", "bread and milk", True),
    ("mil bread", "bread and milk", False),
    ("milk bread", "milk", False),
    ("eclair", "\u00c9clair", True),
    ("\u00e9clair", "e\u0301clair", True),
    ("uber", "\u00dcber", True),
    ("\u0438\u043d\u0434\u0435\u043a\u0441", "\u0418\u041d\u0414\u0415\u041a\u0421", True),
    ("milk", ["shop", "milk"], True),
    ("milk", {"a": {"b": ["milk"]}}, True),
    ("milk", {"milk": "key"}, False),
    ("7", 7, False),
    ("don't", "don't", True),
    ("c++", "C++ and C", True),
    ('"milk', "milk", True),
    ('mi"lk', "mi lk", True),
    ("NOT", "milk", False),
    ("milk NOT bread", "milk bread", False),
    ("milk OR eggs", "milk", False),
    ("or", "milk or eggs", True),
    ("f0:milk", "milk", False),
    ("title: milk", "milk", False),
    ("^milk", "bread milk", True),
    ("milk*", "milk", True),
    ("(milk", "milk", True),
    ("milk )", "milk", True),
    ("{milk}", "milk", True),
    ("milk\0bread", "bread milk", True),
    ("milk \ud800", "milk", True),
    ("milk -- bread", "bread milk", True),
    ("-- -", "milk", False),
    ("", "milk", False),
    (" \t\n", "milk", False),
    ("*", "milk", False),
    ('""', "milk", False),
    ("' OR 1=1 --", "milk", False),
]


def holding(
    *records: Signed, search: Mapping[str, Sequence[str]] | None = NOTES, path: Path | None = None
) -> Store:
    store = Store.open(path or ":memory:", search=search)
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
        transaction.add_group(OTHER_GROUP, NOW)
        transaction.apply(fresh(*records), NOW)
    return store


def note(number: int, text: object, **rest: Any) -> Signed:
    return record(number, {"text": text}, **rest)


def found(store: Store, text: str, kind: str | None = None, **how: Any) -> list[Any]:
    asked: dict[str, Any] = {"limit": 100, "group": GROUP} | how
    with store.snapshot() as snapshot:
        return snapshot.search(asked.pop("group"), text, kind, **asked)


def ids(*numbers: int) -> list[str]:
    return [record_id(number) for number in numbers]


def found_ids(store: Store, text: str, kind: str | None = None, **how: Any) -> list[str]:
    return [each.id for each in found(store, text, kind, **how)]


def words_of(transaction: Transaction) -> list[Any]:
    """All that the index says: which word stands where in which row."""
    connection = transaction._connection
    connection.exec_driver_sql(
        "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, ps_search, instance)"
    )
    rows = list(fetch(connection, "SELECT term, doc, col, offset FROM words ORDER BY 2, 3, 4"))
    rows += fetch(connection, "SELECT id, sz FROM ps_search_docsize ORDER BY id")
    connection.exec_driver_sql("DROP TABLE temp.words")
    return rows


def everything_in(store: Store) -> list[Any]:
    with store.transaction() as transaction:
        return words_of(transaction)


def is_as_made_anew(store: Store) -> bool:
    with store.transaction() as transaction:
        before = words_of(transaction)
        make_anew(transaction._connection)
        return before == words_of(transaction)


# --- What is found. -------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "stored", "matches"), EXPECTED)
def test_words_are_found_whatever_a_person_types(text: str, stored: Any, matches: bool) -> None:
    store = holding(note(1, stored))

    assert found_ids(store, text) == (ids(1) if matches else [])


@given(st.text(max_size=limits.SEARCH_CHARS) | st.text('"*^:(){}-+ aANDORT', max_size=20))
def test_no_text_is_syntax(text: str) -> None:
    store = holding(note(1, "milk"))

    found(store, text)

    store.close()


def test_words_may_stand_in_different_fields_of_one_record() -> None:
    store = holding(
        record(1, {"title": "Milk", "labels": ["shop"]}),
        record(2, {"title": "Milk"}),
        record(3, {"labels": ["shop"]}),
        record(4, {"title": "Milk", "other": "shop"}),
    )

    assert found_ids(store, "milk shop") == ids(1)


def test_keys_and_text_may_be_spelled_with_escapes() -> None:
    body = (
        f'{{"id":"{record_id(1)}","group":"{GROUP}","signer":"{ANA}","device":"{PHONE}",'
        f'"type":"note","modified":{NOW},"val\\u0075e":{{"t\\u0065xt":"m\\u0069lk"}}}}'
    )
    escaped = decode_untrusted(body.encode(), b"\x01" + bytes(64))
    store = holding(escaped)

    assert found_ids(store, "milk") == ids(1)

    put(store, over(note(1, "bread", modified=NOW + 1), escaped))
    assert found_ids(store, "milk") == []
    assert is_as_made_anew(store)


def test_the_best_comes_first_and_an_earlier_field_counts_more() -> None:
    store = holding(
        record(1, {"title": "Shopping", "text": "milk bread eggs butter"}),
        record(2, {"title": "Milk", "text": "shopping bread eggs butter"}),
        record(3, {"title": "Other", "text": "bread", "labels": ["milk", "eggs", "butter"]}),
        *(record(number, {"title": "nothing"}) for number in range(4, 20)),
    )

    assert found_ids(store, "milk") == ids(2, 1, 3)


def test_what_matches_alike_comes_newest_first() -> None:
    store = holding(*(note(number, "milk", modified=NOW + number) for number in range(5)))

    assert found_ids(store, "milk") == ids(4, 3, 2, 1, 0)
    assert found_ids(store, "milk", limit=2) == ids(4, 3)


def test_pages_follow_each_other_without_gap_or_repetition() -> None:
    store = holding(*(note(number, "milk " * (number % 3 + 1)) for number in range(30)))

    pages = [found_ids(store, "milk", limit=7, offset=start) for start in range(0, 35, 7)]

    assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
    assert [each for page in pages for each in page] == found_ids(store, "milk")


def test_only_one_group_is_searched_and_one_type_where_it_is_named() -> None:
    store = holding(
        note(1, "milk"),
        note(2, "milk", kind="task"),
        note(3, "milk", kind="other"),
        note(4, "milk", group=OTHER_GROUP),
        search={"note": ["text"], "task": ["text"]},
    )

    assert set(found_ids(store, "milk")) == set(ids(1, 2))
    assert found_ids(store, "milk", "task") == ids(2)
    assert found_ids(store, "milk", group=OTHER_GROUP) == ids(4)


@pytest.mark.parametrize(
    ("text", "kind", "how"),
    [
        ("x" * (limits.SEARCH_CHARS + 1), None, {}),
        ("milk", "task", {}),
        ("milk", "$profile", {}),
        ("milk", "no type", {}),
        ("milk", None, {"limit": 0}),
        ("milk", None, {"limit": True}),
        ("milk", None, {"offset": -1}),
        ("milk", None, {"offset": 0.5}),
    ],
)
def test_questions_that_make_no_sense_are_refused(
    text: str, kind: str | None, how: dict[str, Any]
) -> None:
    store = holding(note(1, "milk"))

    with pytest.raises(InvalidQuery):
        found(store, text, kind, **how)


# --- It follows what is live. -------------------------------------------------------------------


def test_an_edited_record_is_found_by_its_new_words_alone() -> None:
    before = note(1, "milk")
    store = holding(before)

    put(store, over(note(1, "bread", modified=NOW + 1), before))

    assert (found_ids(store, "milk"), found_ids(store, "bread")) == ([], ids(1))


def test_a_deleted_record_is_not_found_until_it_is_written_again() -> None:
    before = note(1, "milk")
    store = holding(before)
    gone = note(1, "", modified=NOW + 1, deleted=True)

    put(store, over(gone, before))
    assert found_ids(store, "milk") == []
    assert everything_in(store) == []

    put(store, over(note(1, "milk", modified=NOW + 2), gone))
    assert found_ids(store, "milk") == ids(1)


def test_a_record_that_is_written_twice_in_one_transaction_is_found_once() -> None:
    store = holding()
    first, second = note(1, "milk"), note(1, "milk bread", modified=NOW + 1)

    put(store, *fresh(first), over(second, first))

    assert found(store, "milk") == [second]
    assert is_as_made_anew(store)


def test_what_is_withdrawn_is_not_found_but_what_is_live_again_is() -> None:
    before, edit = note(1, "milk"), note(1, "bread", modified=NOW + 1, device=LAPTOP)
    alone = note(2, "bread")
    store = holding(before, alone)
    put(store, over(edit, before))

    with store.transaction() as transaction:
        transaction.withdraw([Withdrawal(edit, "why", before), Withdrawal(alone, "why", None)], NOW)

    assert (found_ids(store, "bread"), found_ids(store, "milk")) == ([], ids(1))
    assert is_as_made_anew(store)


def test_what_was_live_in_a_group_that_is_dropped_is_found_no_more() -> None:
    store = holding(note(1, "milk"), note(2, "milk", group=OTHER_GROUP))

    with store.transaction() as transaction:
        transaction.drop_group(GROUP)

    assert found_ids(store, "milk") == []
    assert found_ids(store, "milk", group=OTHER_GROUP) == ids(2)
    assert is_as_made_anew(store)


def test_a_transaction_that_fails_leaves_the_index_as_it_was() -> None:
    before = note(1, "milk")
    store = holding(before)

    with pytest.raises(StoreError):
        put(store, over(note(1, "bread", modified=NOW + 1), before), over(before, note(2, "none")))

    assert (found_ids(store, "milk"), found_ids(store, "bread")) == (ids(1), [])


def test_mending_takes_out_what_is_broken_and_makes_the_index_right(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    holding(note(1, "milk"), note(2, "milk"), path=path).close()
    with closing(sqlite3.connect(path)) as broken:
        broken.execute(
            "UPDATE records SET body = replace(body, 'milk', 'mi\"k') WHERE id = ?", ids(1)
        )
        broken.execute("DELETE FROM ps_search_data WHERE id > 10")
        broken.commit()
    store = Store.open(path)

    with store.transaction() as transaction:
        assert [each.id for each in transaction.mend()] == ids(1)

    assert found_ids(store, "milk") == ids(2)
    assert is_as_made_anew(store)


def test_vacuum_leaves_the_index_right(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    notes = [note(number, f"milk{number}") for number in range(20)]
    store = holding(*notes, path=path)
    edits = [over(note(n, f"bread{n}", modified=NOW + 1), notes[n]) for n in range(0, 20, 3)]
    put(store, *edits)
    store.close()

    with closing(sqlite3.connect(path)) as other:
        other.execute("VACUUM")

    store = Store.open(path)
    assert found_ids(store, "milk7") == ids(7)
    assert found_ids(store, "bread9") == ids(9)
    assert is_as_made_anew(store)


@pytest.mark.parametrize("seed", range(20))
def test_the_index_is_always_that_of_what_is_live(seed: int) -> None:
    dice = random.Random(seed)
    words = ["milk", "bread", "eggs", "tea", "\u00e9clair"]
    store = holding(search={"note": ["title", "text"], "task": ["text"]})
    live: dict[int, Signed] = {}
    for step in range(1, 40):
        number = dice.randrange(8)
        before = live.get(number)
        kind = before.type if before else dice.choice(["note", "task", "other"])
        value = {"title": " ".join(dice.choices(words, k=2)), "text": dice.choices(words, k=3)}
        version = record(number, value, modified=NOW + step, kind=kind, deleted=dice.random() < 0.2)
        act = dice.random()
        if before is None:
            put(store, *fresh(version))
        elif act < 0.8:
            put(store, over(version, before))
        else:
            with store.transaction() as transaction:
                transaction.withdraw([Withdrawal(before, "why", None)], NOW)
            del live[number]
            continue
        live[number] = version
        for word in words:
            expected = {
                each.id
                for each in live.values()
                if each.type != "other" and not each.deleted and stands_in(word, each)
            }
            assert set(found_ids(store, word)) == expected
    assert is_as_made_anew(store)


def stands_in(word: str, one: Signed) -> bool:
    titles = one.value["title"].split() if one.type == "note" else []
    return word in titles or word in one.value["text"]


@pytest.mark.parametrize(
    ("sql", "parameters", "way"),
    [
        (search_module._ENTER + search_module._THESE, (GROUP, "[]"), "(group_id=? AND id=?)"),
        (search_module._LEAVE + search_module._THESE, (GROUP, "[]"), "(group_id=? AND id=?)"),
        (search_module._ENTER + search_module._SLICE, (0, 9), "PRIMARY KEY (rowid>? AND rowid<?)"),
    ],
)
def test_a_write_looks_at_no_other_records(sql: str, parameters: Any, way: str) -> None:
    store = holding()

    with store.transaction() as transaction:
        plan = fetch(transaction._connection, f"EXPLAIN QUERY PLAN {sql}", parameters)

    steps = [step for *_, step in plan if " records" in step]
    assert [step[-len(way) :] for step in steps] == [way]


# --- What is declared. --------------------------------------------------------------------------


def test_nothing_is_made_where_nothing_is_declared(tmp_path: Path) -> None:
    store = holding(note(1, "milk"), search=None, path=tmp_path / "ana.db")

    with pytest.raises(InvalidQuery, match="open it with search="):
        found(store, "milk")
    with store.transaction() as transaction:
        rows = fetch(transaction._connection, "SELECT name FROM sqlite_master")
    assert not [name for (name,) in rows if name.startswith("ps_")]


def test_what_is_declared_later_is_found_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "_REINDEX_ROWS", 3)
    path = tmp_path / "ana.db"
    notes = [record(n, {"title": "milk", "text": "bread"}) for n in range(10)]
    holding(*notes, search=None, path=path).close()

    store = Store.open(path, search={"note": ["text"]})
    assert sorted(found_ids(store, "bread")) == ids(*range(10))
    assert found_ids(store, "milk") == []
    assert everything_in(store) == everything_in(holding(*notes, search={"note": ["text"]}))
    store.close()

    store = Store.open(path, search={"note": ["title"], "task": ["text"]})
    assert sorted(found_ids(store, "milk")) == ids(*range(10))
    assert found_ids(store, "bread") == []
    assert is_as_made_anew(store)


def test_who_declares_nothing_keeps_to_what_is_declared(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    holding(note(1, "milk"), path=path).close()

    store = Store.open(path)
    put(store, *fresh(note(2, "milk")))
    assert sorted(found_ids(store, "milk")) == ids(1, 2)
    store.close()

    store = Store.open(path, search={})
    with pytest.raises(InvalidQuery):
        found(store, "milk")
    put(store, *fresh(note(3, "milk")))
    assert is_gone(store)


def is_gone(store: Store) -> bool:
    with store.transaction() as transaction:
        rows = fetch(transaction._connection, "SELECT name FROM sqlite_master")
    return not [name for (name,) in rows if name.startswith("ps_")]


def test_an_index_is_not_made_again_where_the_same_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ana.db"
    holding(note(1, "milk"), path=path).close()

    def never(_: object) -> None:
        raise AssertionError("made anew")

    monkeypatch.setattr(search_module, "make_anew", never)
    Store.open(path, search=NOTES).close()


@pytest.mark.parametrize(
    "fields",
    [
        {"note": []},
        {"note": "title"},
        {"note": ["title", "title"]},
        {"note": ["a b"]},
        {"note": ["a'"]},
        {"no'te": ["a"]},
        {"$profile": ["name"]},
        {"note": [f"f{n}" for n in range(limits.SEARCH_FIELDS + 1)]},
    ],
)
def test_what_can_be_no_field_is_refused_and_changes_nothing(
    fields: dict[str, list[str]], tmp_path: Path
) -> None:
    path = tmp_path / "ana.db"
    holding(note(1, "milk"), path=path).close()

    with pytest.raises(InvalidQuery):
        Store.open(path, search=fields)

    assert found_ids(Store.open(path), "milk") == ids(1)


def test_a_sqlite_that_cannot_search_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fetch

    def without_fts5(connection: Any, sql: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
        return [] if "module_list" in sql else real(connection, sql, parameters)

    monkeypatch.setattr(search_module, "fetch", without_fts5)
    with pytest.raises(UnsupportedStore, match="FTS5"):
        Store.open(":memory:", search=NOTES)


# --- What has left. -----------------------------------------------------------------------------


def is_in_index(store: Store, word: bytes) -> bool:
    with store.transaction() as transaction:
        rows = fetch(transaction._connection, "SELECT block FROM ps_search_data")
    return any(word in block for (block,) in rows)


def tidy(store: Store, now_ms: int) -> int:
    """How many slices it took."""
    for slices in range(1, 1_000):
        with store.transaction() as transaction:
            if not transaction.tidy_search(now_ms):
                return slices
    raise AssertionError("never tidy")


@pytest.mark.parametrize("how", ["edit", "delete", "withdraw", "drop"])
def test_the_words_of_what_is_gone_leave_the_pages_of_the_index(how: str) -> None:
    secret = note(1, "qxsecretword")
    store = holding(secret)
    for part in range(8):
        put(store, *fresh(*(note(100 * part + n, f"word{n}") for n in range(10, 90))))

    with store.transaction() as transaction:
        match how:
            case "edit":
                transaction.apply([over(note(1, "tea", modified=NOW + 1), secret)], NOW)
            case "delete":
                gone = note(1, "", modified=NOW + 1, deleted=True)
                transaction.apply([over(gone, secret)], NOW)
            case "withdraw":
                transaction.withdraw([Withdrawal(secret, "why", None)], NOW)
            case "drop":
                transaction.drop_group(GROUP)
    assert is_in_index(store, b"xsecretword")

    tidy(store, NOW)

    assert not is_in_index(store, b"xsecretword")
    assert is_as_made_anew(store)


def test_the_index_is_tidied_once_a_day_and_only_where_something_left() -> None:
    secret = note(1, "qxsecretword")
    store = holding(secret, note(2, "milk"))
    put(store, over(note(1, "tea", modified=NOW + 1), secret))
    tidy(store, NOW)
    put(store, over(note(2, "", modified=NOW + 1, deleted=True), note(2, "milk")))

    assert tidy(store, NOW + DAY_MS - 1) == 1
    assert is_in_index(store, b"milk")
    tidy(store, NOW + DAY_MS)
    assert not is_in_index(store, b"milk")


def test_tidying_a_large_index_goes_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "_MERGE_PAGES", 1)
    store = holding()
    for part in range(6):
        texts = [f"word{number}x{part}" for number in range(400)]
        put(store, *fresh(*(note(1000 * part + n, text) for n, text in enumerate(texts))))
    put(store, over(note(1, "", modified=NOW + 1, deleted=True), note(1, "word1x0")))

    assert tidy(store, NOW) > 3
    assert not is_in_index(store, b"word1x0")
    assert is_as_made_anew(store)

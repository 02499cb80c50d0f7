"""Names of fields that are syntax to what a query becomes: SQL, paths into JSON, FTS5."""

from __future__ import annotations

import pytest

from peerstack.errors import InvalidQuery
from peerstack.ids import GroupId
from peerstack.query import contains, ge
from peerstack.record import JsonObject, Record
from peerstack.store.rows import fetch
from peerstack.testing.device import Device
from peerstack.testing.world import World

INDEXES = {"note": ["title", "tags", "due.year"]}
SEARCH = {"note": ["title", "text"]}
NAMES = [
    "a') OR 1=1 --",
    "'; DROP TABLE records; --",
    'title" IS NOT NULL; DELETE FROM records; --',
    "'||(SELECT value FROM profile)||'",
    '"title"',
    'title"',
    "title'",
    "title\\",
    "\\u0074itle",
    '$.value."title"',
    'value."title"',
    "value",
    "body",
    "$",
    "$.value",
    "due.year",
    'due"."year',
    "tags[0]",
    "[#-1]",
    "*",
    "%",
    "?1",
    ":title",
    "",
    "f0 : found",
    "{f0 f1} : found",
    "found OR found",
    "NEAR(found found)",
    "found*",
    '"found"',
    "-found",
    "ps_search",
    "__proto__",
]


def tables(device: Device) -> list[str]:
    """All that a device's database is made of: tables, indexes, and what search has."""
    with device.store.transaction() as transaction:
        rows = fetch(transaction._connection, "SELECT type || name || sql FROM sqlite_master")
    return sorted(text for (text,) in rows if text)


def written(place: int, name: str) -> JsonObject:
    """A note with fields of that name: beside those that are asked for, in them, and in lists."""
    below = {name: {name: [f"found found{place}", {name: f"deep{place}"}]}}
    return {
        "title": f"n{place:02}",
        "text": below,
        "tags": [name, {name: name}],
        "due": {"year": 2000 + place} | {name: 9999},
        name: {"title": "lie", "year": 9999, name: "lie"},
    }


def instead(name: str) -> JsonObject:
    """One that has a field of that name and none that is asked for."""
    return {name: "lie", "due": {name: 9999}}


def family_with_such_names() -> tuple[GroupId, Device, Device, list[Record], list[str]]:
    """What ben wrote has come to ana, who declared indexes and search; her tables before that."""
    world = World()
    ana = world.device("ana", indexes=INDEXES, search=SEARCH)
    ben = world.device("ben")
    family = ana.create_group("Family")
    ben.join(ana.invite(family))
    world.settle()
    before = tables(ana)
    ben.put_many(family, "note", [instead(name) for name in NAMES])
    notes = ben.put_many(family, "note", [written(*each) for each in enumerate(NAMES)])
    # Indexes and search follow what replaces and what deletes, too.
    for note in ben.put_many(family, "note", [written(*each) for each in enumerate(NAMES)]):
        ben.delete(family, note.id)
    world.settle()
    return family, ana, ben, notes, before


def test_names_of_fields_that_another_device_chose_reach_no_query_as_sql() -> None:
    family, ana, ben, notes, before = family_with_such_names()

    assert tables(ana) == before
    assert ana.records(family) == ben.records(family)
    assert ana.find(family, "note", {"title": ge("")}, order_by="title") == notes
    assert ana.find(family, "note", {"title": "lie"}) == []
    assert ana.find(family, "note", {"due.year": 9999}) == []
    for place, (note, name) in enumerate(zip(notes, NAMES, strict=True)):
        assert ana.find(family, "note", {"title": f"n{place:02}"}) == [note]
        assert ana.find(family, "note", {"due.year": 2000 + place}) == [note]
        assert ana.find(family, "note", {"tags": contains(name)}) == [note]


def test_names_of_fields_that_another_device_chose_are_nothing_to_search() -> None:
    family, ana, _, notes, _ = family_with_such_names()

    for place, (note, name) in enumerate(zip(notes, NAMES, strict=True)):
        assert ana.search(family, f"n{place:02} found{place} deep{place}") == [note]
        # Neither are they found, nor does what somebody types ask for more than its words.
        assert ana.search(family, f"{name} title") == []
        assert ana.search(family, f"title {name}", "note") == []
    assert ana.search(family, "lie") == []


@pytest.mark.parametrize("name", [each for each in NAMES if each not in INDEXES["note"]])
def test_what_is_no_name_for_a_query_is_refused_though_a_record_has_it(name: str) -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    ana.put(family, "note", {name: 1})
    if name.isidentifier():
        assert len(ana.find(family, "note", {name: 1})) == 1
        return

    with pytest.raises(InvalidQuery, match="no field"):
        ana.find(family, "note", {name: 1})
    with pytest.raises(InvalidQuery, match="no field"):
        ana.find(family, "note", order_by=f"-{name}")
    with pytest.raises(InvalidQuery, match="no field"):
        World().device("ben", indexes={"note": [name]})
    with pytest.raises(InvalidQuery, match="no field"):
        World().device("ben", search={"note": [name]})

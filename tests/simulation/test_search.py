"""What is searched is what is live, however it came and however it left."""

from __future__ import annotations

from peerstack.ids import GroupId
from peerstack.store.rows import fetch
from peerstack.testing.conditions import CALM, STORMY
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.ends import apart, remove, together

SEARCH = {"note": ["title"]}
HOUR_MS = 60 * 60 * 1000


def family_that_searches() -> tuple[World, GroupId, Device, Device, Device]:
    world = World()
    ana, ben, cleo = (world.device(name, search=SEARCH) for name in ("ana", "ben", "cleo"))
    group = ana.create_group("Family")
    for each in (ben, cleo):
        each.join(ana.invite(group))
    world.settle()
    return world, group, ana, ben, cleo


def titles(device: Device, group: GroupId, text: str) -> list[str]:
    return sorted(each.value["title"] for each in device.search(group, text))


def words_in_pages(device: Device, word: bytes) -> int:
    with device.store.transaction() as transaction:
        rows = fetch(transaction._connection, "SELECT block FROM ps_search_data")
    return sum(word in block for (block,) in rows)


def test_what_arrives_is_found_and_what_was_replaced_is_not() -> None:
    world, group, ana, ben, cleo = family_that_searches()
    world.conditions = STORMY
    notes = ana.put_many(group, "note", [{"title": f"milk {number}"} for number in range(40)])
    world.run(20_000)
    for number in range(0, 40, 4):
        ben.put(group, "note", {"title": f"bread {number}"}, over=notes[number])
        cleo.put(group, "note", {"title": f"eggs {number}"}, over=notes[number])
        cleo.delete(group, notes[number + 1].id)
    world.conditions = CALM
    world.settle()

    for each in (ana, ben, cleo):
        live = [note for note in each.records(group).values() if note.type == "note"]
        expected = sorted(note.value["title"] for note in live if not note.deleted)
        assert sorted(
            t for word in ("milk", "bread", "eggs") for t in titles(each, group, word)
        ) == (expected)
    assert len(titles(ana, group, "milk")) == 20


def test_what_falls_with_its_authors_right_is_found_no_more_and_what_it_replaced_is() -> None:
    world, group, ana, ben, cleo = family_that_searches()
    note = ana.put(group, "note", {"title": "milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    ben.put(group, "note", {"title": "bread"}, over=note)
    ben.put(group, "note", {"title": "bread again"})
    world.settle()
    assert titles(cleo, group, "bread") == ["bread", "bread again"]
    remove(ana, group, ben.user.id)

    together(world, ben)

    assert titles(cleo, group, "bread") == []
    assert titles(cleo, group, "milk") == ["milk"]


def test_the_words_of_what_was_deleted_leave_the_index_within_a_day() -> None:
    world, group, ana, ben, _ = family_that_searches()
    note = ana.put(group, "note", {"title": "qxsecretword"})
    world.settle()
    ana.delete(group, note.id)
    world.run(HOUR_MS)
    ana.put(group, "note", {"title": "milk"})
    gone = ana.put(group, "note", {"title": "qxotherword"})
    world.settle()
    ben.delete(group, gone.id)
    world.settle()
    assert words_in_pages(ben, b"xotherword")

    world.run(26 * HOUR_MS)

    for each in (ana, ben):
        assert not words_in_pages(each, b"xsecretword")
        assert not words_in_pages(each, b"xotherword")
        assert titles(each, group, "milk") == ["milk"]

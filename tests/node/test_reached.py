"""Which devices have a record, as apps are told."""

from __future__ import annotations

from pathlib import Path

import pytest

import peerstack
from peerstack.engine import Turn, marks
from peerstack.engine.marks import Position
from peerstack.engine.merging import merge
from peerstack.ids import GroupId, RecordId
from peerstack.record import Record, Signed
from tests.node.company import let_in
from tests.people import Person, person

ANA, BEN = person("ana"), person("ben")


async def says_that_it_has(
    node: peerstack.Node, group: GroupId, device: Person, record: Record
) -> None:
    """Have somebody's device say so, as if its mark had come."""
    value = marks.value_of({record.device: Position(0, record.modified)})

    def add(turn: Turn) -> None:
        mark = device.writes(group, turn.now.wall_ms, value, "$reached")
        merge(turn, group, [mark], device.user.device)

    await node.perform(add)


async def test_a_record_is_where_devices_say_that_they_have_it(tmp_path: Path) -> None:
    names = {BEN.id: "Ben from work"}
    async with peerstack.open(
        tmp_path / "ana.db", ANA.user, network=False, address_book=names.get
    ) as node:
        family = await node.create_group("Family")
        await let_in(node, family.id, ANA, BEN)
        note = await family.put("note", {"title": "Milk"})

        before = await family.reached(note.id)
        assert (before.id, before.hash) == (note.id, note.hash)
        assert [(each.name, each.device.this) for each in before.has] == [("ana", True)]
        assert [(each.user, each.name) for each in before.lacks] == [(BEN.id, "Ben from work")]
        assert before.lacks[0].device.name == "ben's laptop"

        await says_that_it_has(node, family.id, BEN, note)
        after = await family.reached(note.id)
        assert [each.name for each in after.has] == ["Ben from work", "ana"]
        assert after.lacks == ()

        await family.update(note.id, {"title": "Oat milk"})
        assert [each.user for each in (await family.reached(note.id)).lacks] == [BEN.id]


async def test_marks_show_nowhere_else(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", ANA.user, network=False) as node:
        family = await node.create_group("Family")
        await let_in(node, family.id, ANA, BEN)
        note = await family.put("note", {"title": "Milk"})
        (before,) = (each for each in node.status().groups if each.group == family.id)
        for _ in range(3):
            await says_that_it_has(node, family.id, BEN, note)

        assert await family.types() == {"note": 1}
        (after,) = (each for each in node.status().groups if each.group == family.id)
        assert (after.records, after.history) == (before.records, before.history) == (1, 0)
        changes = family.changes(since=0)
        last = await family.put("note", {"title": "Bread"})
        assert [(await anext(changes)).record for _ in range(2)] == [note, last]
        own = f"{family.id}:reached:{BEN.user.device}"
        assert await family.get(own) is None
        assert await family.history(own) == []
        with pytest.raises(peerstack.InvalidQuery):
            await family.find("$reached")


async def test_of_many_records_those_that_are_there_are_told(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", ANA.user, network=False) as node:
        notes = await node.personal.put_many("note", [{"n": n} for n in range(100)])
        await node.personal.delete(notes[0].id)

        found = await node.personal.reached_many([note.id for note in notes])

        assert list(found) == [note.id for note in notes[1:]]
        assert all(not each.lacks for each in found.values())
        with pytest.raises(peerstack.NotFound):
            await node.personal.reached(notes[0].id)
        with pytest.raises(peerstack.InvalidValue):
            await node.personal.reached_many(["nonsense"])


async def test_in_a_group_that_one_has_left_nothing_is_known(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", ANA.user, network=False) as node:
        family = await node.create_group("Family")
        note = await family.put("note", {"title": "Milk"})
        await family.leave()

        with pytest.raises(peerstack.NotFound):
            await family.reached(note.id)


async def test_a_mark_that_comes_behind_a_later_one_is_let_go_of(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", ANA.user, network=False) as node:
        family = await node.create_group("Family")
        await let_in(node, family.id, ANA, BEN)
        own = RecordId(f"{family.id}:reached:{BEN.user.device}")

        def add(turn: Turn) -> list[Signed]:
            later, earlier = (
                BEN.writes(family.id, turn.now.wall_ms - age, {"at": {}}, "$reached")
                for age in range(2)
            )
            for each in (later, earlier):
                merge(turn, family.id, [each], BEN.user.device)
            assert turn.tx.get(family.id, own) == later
            return turn.tx.history(family.id, own)

        assert await node.perform(add) == []
        assert await node.read(lambda snapshot: snapshot.unseen_hashes(family.id)) == []

"""What the pages ask of a notebook, where no page can show it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import peerstack
from family_notes.model import Draft, Place, item_of, note_of
from family_notes.notebook import Notebook
from peerstack.engine.merging import merge
from peerstack.ids import as_group
from peerstack.record import compose
from tests.node.company import let_in
from tests.people import person

ANA, BEN = person("ana"), person("ben")


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[peerstack.Group]:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        yield await node.create_group("Family")


async def test_an_edit_goes_over_what_its_author_saw_though_something_newer_has_come(
    group: peerstack.Group,
) -> None:
    """Otherwise what came between would be gone without a word."""
    book = Notebook(group)
    first = await book.write(Draft("Cake", "one egg"))
    newer = await book.rewrite(first.id, Draft("Cake", "two eggs"), [first.version])

    await book.rewrite(first.id, Draft("Cake", "three eggs"), [first.version])

    assert [each.hash for each in await group.conflicts()] == [newer.record.hash]


async def test_an_edit_keeps_the_place_and_what_it_does_not_know(group: peerstack.Group) -> None:
    book = Notebook(group)
    value = {"title": "Cake", "place": "archive", "photo": "of a later version"}
    record = await group.put("note", value)

    await book.rewrite(record.id, Draft("Pie"), [record.hash.hex()])

    now = await book.note(record.id)
    assert (now.title, now.place) == ("Pie", Place.ARCHIVE)
    assert now.record.value["photo"] == "of a later version"


async def test_what_leaves_the_desk_is_pinned_no_more(group: peerstack.Group) -> None:
    book = Notebook(group)
    note = await book.write(Draft("Cake"))
    await book.pin(note.id, pinned=True)

    await book.move(note.id, Place.BIN)
    await book.move(note.id, Place.DESK)

    assert not (await book.note(note.id)).pinned


async def test_what_was_replaced_is_told_to_its_author_alone(group: peerstack.Group) -> None:
    book = Notebook(group)
    note = await book.write(Draft("Cake"))
    lost = await group.put("note", {"title": "Pie"}, over=note.record)
    await group.put("note", {"title": "Tart"}, over=note.record)

    assert [each.lost for each in await book.replaced(lost.signer)] == [lost]
    assert await book.replaced(BEN.id) == []


@pytest.mark.parametrize("restore", [True, False])
async def test_an_edit_that_lost_to_a_deletion_is_restored_or_stays_deleted(
    tmp_path: Path, restore: bool
) -> None:
    async with peerstack.open(tmp_path / "ana.db", ANA.user, network=False) as node:
        family = await node.create_group("Family")
        await let_in(node, family.id, ANA, BEN)
        book = Notebook(family)
        note = await book.write(Draft("Cake"))
        later_ms = note.record.modified + 1_000
        body = BEN.body(as_group(family.id), "note", later_ms, id=note.id, deleted=True)
        gone = compose(BEN.user.device_key, body)
        await node.perform(lambda turn: merge(turn, as_group(family.id), [gone], gone.device))
        [replaced] = await book.replaced(ANA.id)
        assert (replaced.live.deleted, replaced.note) == (True, None)

        await book.settle(replaced.key, restore=restore)

        assert [each.title for each in await book.notes()] == (["Cake"] if restore else [])
        assert await book.replaced(ANA.id) == []
        with pytest.raises(peerstack.NotFound, match="settled already"):
            await book.settle(replaced.key, restore=restore)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"title": 1, "body": None, "labels": "x", "pinned": "yes", "place": ["desk"]},
        {"title": ["x"], "labels": [1, None, {"a": 1}], "place": "moon", "rank": "1", "done": 1},
        {"labels": {"a": 1}, "rank": None, "note": 7, "text": False},
    ],
)
async def test_what_another_app_wrote_is_shown_as_far_as_it_is_a_note(
    group: peerstack.Group, value: dict[str, object]
) -> None:
    note = note_of(await group.put("note", value))
    item = item_of(await group.put("item", value))

    assert (note.title, note.body, note.labels, note.pinned) == ("", "", (), False)
    assert (note.place, note.heading) == (Place.DESK, "Untitled")
    assert (item.text, item.done, item.rank, item.note) == ("", False, 0.0, "")

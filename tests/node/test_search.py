"""Full-text search as apps have it: real profiles, no network."""

from __future__ import annotations

from pathlib import Path

import pytest

import peerstack

SEARCH = {"note": ["title", "text", "labels"], "task": ["title"]}


async def test_a_group_finds_its_records_by_their_words(tmp_path: Path) -> None:
    async with peerstack.open(
        tmp_path / "ana.db", name="Ana", network=False, search=SEARCH
    ) as node:
        family, other = await node.create_group("Family"), await node.create_group("Other")
        note = await family.put("note", {"title": "Milk", "labels": ["shopping list"]})
        task = await family.put("task", {"title": "Buy milk"})
        await other.put("note", {"title": "Milk"})

        assert {each.id for each in await family.search("milk")} == {note.id, task.id}
        assert await family.search("milk", "note") == [note]
        assert await family.search("SHOP", limit=1) == [note]
        assert await family.search("milk", limit=1, offset=2) == []
        assert await node.personal.search("milk") == []
        edited = await family.update(note.id, {"title": "Bread"})
        assert await family.search("milk") == [task]
        assert await family.search("bread") == [edited]
        await family.delete(task.id)
        assert await family.search("milk") == []


async def test_another_process_that_knows_nothing_of_it_keeps_to_it(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    async with (
        peerstack.open(path, name="Ana", network=False, search=SEARCH) as app,
        peerstack.open(path, network=False) as command,
    ):
        note = await command.personal.put("note", {"title": "Milk"})

        assert await app.personal.search("milk") == [note]


async def test_where_nothing_is_declared_a_search_says_how_to(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", name="Ana", network=False) as node:
        with pytest.raises(peerstack.InvalidQuery, match="search="):
            await node.personal.search("milk")


def test_the_blocking_twin_searches_too(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    with peerstack.open_sync(path, name="Ana", network=False, search=SEARCH) as node:
        first = node.personal.put("note", {"title": "Milk"})
        second = node.personal.put("note", {"title": "Milk"})

        assert node.personal.search("mil", "note", limit=1) == [second]
        assert node.personal.search("mil", limit=1, offset=1) == [first]


async def test_a_group_that_is_erased_is_found_no_more(tmp_path: Path) -> None:
    async with peerstack.open(
        tmp_path / "ana.db", name="Ana", network=False, search=SEARCH
    ) as node:
        family = await node.create_group("Family")
        await family.put("note", {"title": "Milk"})
        await family.leave()
        assert len(await family.search("milk")) == 1

        await family.erase()

        assert await family.search("milk") == []


async def test_check_leaves_search_as_it_was(tmp_path: Path) -> None:
    async with peerstack.open(
        tmp_path / "ana.db", name="Ana", network=False, search=SEARCH
    ) as node:
        note = await node.personal.put("note", {"title": "Milk"})

        assert await node.check() == []

        assert await node.personal.search("milk") == [note]

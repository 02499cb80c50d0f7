"""What apps write and read on one device: real profiles, no network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import peerstack


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[peerstack.Node]:
    async with peerstack.open(tmp_path / "ana.db", name="Ana", network=False) as opened:
        yield opened


@pytest_asyncio.fixture
async def family(node: peerstack.Node) -> peerstack.Group:
    return await node.create_group("Family")


async def test_a_record_says_who_wrote_it_and_when(
    node: peerstack.Node, family: peerstack.Group
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)

    note = await family.put("note", {"title": "Milk"})

    assert (note.group, note.type, note.value) == (family.id, "note", {"title": "Milk"})
    assert (note.signer, note.device) == (node.user.id, node.user.device)
    # The group was founded this very millisecond, and records count after it.
    assert before < note.modified_at < datetime.now(UTC) + timedelta(seconds=1)
    assert not note.deleted


async def test_changing_a_value_changes_nothing_stored(family: peerstack.Group) -> None:
    note = await family.put("note", {"tags": ["a"]})
    note.value["tags"].append("b")

    again = await family.get(note.id)

    assert again is not None
    assert again.value == {"tags": ["a"]}


@pytest.mark.parametrize(
    "value", ["NaN", "2026-11-21T08:00:00Z", "1e3", "null", "true", "", "é\u2028"]
)
async def test_text_stays_text(family: peerstack.Group, value: str) -> None:
    """The original turned "NaN" and dates into something else, which broke their hashes."""
    note = await family.put("note", {"text": value})

    found = await family.get(note.id)

    assert found is not None
    assert found.value == {"text": value}


@pytest.mark.parametrize("value", [["a list"], "text", 5, None])
async def test_only_objects_are_values(family: peerstack.Group, value: Any) -> None:
    with pytest.raises(peerstack.InvalidValue, match="JSON object"):
        await family.put("note", value)


@pytest.mark.parametrize(
    "value", [{"n": float("nan")}, {"at": datetime.now(UTC)}, {"t": (1, 2)}, {1: 2}, {"n": 2**60}]
)
async def test_what_json_does_not_have_is_refused(family: peerstack.Group, value: Any) -> None:
    with pytest.raises(peerstack.InvalidValue):
        await family.put("note", value)


@pytest.mark.parametrize("type_name", ["$secret", "$anything", "Note", "", "a b"])
async def test_reserved_and_malformed_types_are_refused(
    family: peerstack.Group, type_name: str
) -> None:
    with pytest.raises(peerstack.InvalidValue):
        await family.put(type_name, {})


async def test_an_edit_wins_over_what_its_author_looked_at(family: peerstack.Group) -> None:
    first = await family.put("note", {"title": "Milk"})
    second = await family.put("note", {"title": "Oat milk"}, over=first)

    assert second.id == first.id
    assert second.modified > first.modified
    assert await family.get(first.id) == second
    assert await family.history(first.id) == [second, first]


async def test_an_edit_over_an_old_version_is_a_conflict_that_shows(
    family: peerstack.Group,
) -> None:
    first = await family.put("note", {"title": "Milk"})
    second = await family.put("note", {"title": "Oat milk"}, over=first)
    changes = family.changes()

    third = await family.put("note", {"title": "Soy milk"}, over=first)
    change = await anext(changes)

    assert await family.get(first.id) == third
    # One device wrote both, and so had seen the second; it is no conflict, but nothing is lost.
    assert change.record == third
    assert change.previous == second
    assert second in await family.history(first.id)


async def test_an_edit_over_a_version_of_another_group_is_refused(
    node: peerstack.Node, family: peerstack.Group
) -> None:
    elsewhere = await node.personal.put("note", {"title": "mine"})

    with pytest.raises(peerstack.InvalidValue, match="another group"):
        await family.put("note", {"title": "stolen"}, over=elsewhere)


async def test_update_merges_top_level_fields(family: peerstack.Group) -> None:
    note = await family.put("note", {"title": "Milk", "tags": {"a": 1}})

    note = await family.update(note.id, {"done": True, "tags": {"b": 2}})

    assert note.value == {"title": "Milk", "done": True, "tags": {"b": 2}}


async def test_what_is_deleted_is_gone_and_cannot_be_updated(family: peerstack.Group) -> None:
    note = await family.put("note", {"title": "Milk"})

    await family.delete(note.id)

    assert await family.get(note.id) is None
    assert await family.find("note") == []
    with pytest.raises(peerstack.NotFound, match=note.id):
        await family.update(note.id, {"title": "back"})
    with pytest.raises(peerstack.NotFound):
        await family.delete(note.id)


async def test_put_many_stores_all_or_nothing(family: peerstack.Group) -> None:
    with pytest.raises(peerstack.InvalidValue):
        await family.put_many("note", [{"n": 1}, {"n": float("inf")}])
    assert await family.find("note") == []

    stored = await family.put_many("note", [{"n": number} for number in range(1000)])

    assert await family.find("note", order_by="id") == stored


async def test_too_many_at_once_are_refused(family: peerstack.Group) -> None:
    with pytest.raises(peerstack.InvalidValue, match="10000"):
        await family.put_many("note", [{}] * 10_001)


@pytest.mark.parametrize(
    "bad", ["", "x", "01ARYZ6S41TSV4RRFFQ69G5FAv", "../../etc/passwd", "' OR 1=1"]
)
async def test_what_is_no_id_is_refused(family: peerstack.Group, bad: str) -> None:
    with pytest.raises(peerstack.InvalidValue, match="no record's id"):
        await family.get(bad)


async def test_names_of_fields_never_reach_sql(family: peerstack.Group) -> None:
    await family.put("note", {"a') OR 1=1 --": 1, "__proto__": {"x": 1}})

    with pytest.raises(peerstack.InvalidQuery, match="no field"):
        await family.find("note", where={"a') OR 1=1 --": 1})


async def test_changes_miss_nothing_between_two_reads(family: peerstack.Group) -> None:
    changes = family.changes()
    written = [await family.put("note", {"n": number}) for number in range(3)]

    seen = [await anext(changes) for _ in written]

    assert [change.record for change in seen] == written
    assert [change.origin for change in seen] == ["local"] * 3
    resumed = family.changes(since=seen[0].seq)
    assert (await anext(resumed)).record == written[1]


async def test_changes_end_when_the_node_closes(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ben.db", name="Ben", network=False) as node:
        changes = node.personal.changes()
        await node.close()

        assert [change async for change in changes] == []


async def test_a_living_list_shows_only_what_alters_it(family: peerstack.Group) -> None:
    lists = family.live("note", where={"done": False}, order_by="title")
    assert await anext(lists) == []

    note = await family.put("note", {"title": "Milk", "done": False})
    await family.put("note", {"title": "elsewhere", "done": True})
    assert await anext(lists) == [note]

    await family.update(note.id, {"done": True})
    assert await anext(lists) == []


async def test_the_frameworks_own_records_are_no_business_of_apps(
    node: peerstack.Node, family: peerstack.Group
) -> None:
    note = await family.put("note", {"title": "Milk"})

    for own in (f"{family.id}:secret", f"{family.id}:profile"):
        assert await family.get(own) is None
        assert await family.history(own) == []
    with pytest.raises(peerstack.InvalidQuery, match="reserved"):
        await family.find("$secret")
    assert (await anext(family.changes(since=0))).record == note
    [standing] = [group for group in node.status().groups if group.group == family.id]
    assert standing.records == 1

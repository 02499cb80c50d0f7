"""What apps do with the versions of a record: conflicts side by side, what was deleted, ticks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import peerstack


@pytest_asyncio.fixture
async def group(tmp_path: Path) -> AsyncIterator[peerstack.Group]:
    async with peerstack.open(tmp_path / "ana.db", name="Ana", network=False) as node:
        yield await node.create_group("Family")


async def in_conflict(group: peerstack.Group) -> tuple[peerstack.Record, peerstack.Record]:
    """The versions of a note that won and lost: both were written over the one before."""
    note = await group.put("note", {"title": "Milk"})
    lost = await group.put("note", {"title": "Oat milk"}, over=note)
    return await group.put("note", {"title": "Soy milk"}, over=note), lost


async def test_conflicts_are_the_versions_that_lost_unseen(group: peerstack.Group) -> None:
    won, lost = await in_conflict(group)
    _, other = await in_conflict(group)

    assert await group.conflicts(won.id) == [lost]
    assert await group.conflicts() == [other, lost]
    assert await group.get(won.id) == won
    with pytest.raises(peerstack.InvalidValue):
        await group.conflicts("no id")


@pytest.mark.parametrize("kept", ["winner", "loser"])
async def test_writing_over_both_versions_ends_a_conflict(
    group: peerstack.Group, kept: str
) -> None:
    won, lost = await in_conflict(group)
    value = (won if kept == "winner" else lost).value

    settled = await group.put("note", value, over=[won, lost])

    assert await group.conflicts() == []
    assert await group.get(won.id) == settled
    assert [each.value for each in await group.history(won.id)][:3] == [
        value,
        won.value,
        lost.value,
    ]


async def test_versions_of_several_records_are_not_written_over_at_once(
    group: peerstack.Group,
) -> None:
    one, other = await group.put("note", {"n": 1}), await group.put("note", {"n": 2})

    with pytest.raises(peerstack.InvalidValue, match="several records"):
        await group.put("note", {"n": 3}, over=[one, other])

    assert await group.find("note", order_by="n") == [one, other]


async def test_what_was_deleted_is_written_again_from_its_history(group: peerstack.Group) -> None:
    note = await group.put("note", {"title": "Milk"})
    await group.delete(note.id)

    deletion, before = await group.history(note.id)
    assert (deletion.deleted, before) == (True, note)
    again = await group.put(before.type, before.value, over=deletion)

    assert again.id == note.id
    assert await group.get(note.id) == again
    assert await group.conflicts() == []


def test_the_blocking_twin_has_conflicts_too(tmp_path: Path) -> None:
    with peerstack.open_sync(tmp_path / "ana.db", name="Ana", network=False) as node:
        note = node.personal.put("note", {"n": 1})
        lost = node.personal.put("note", {"n": 2}, over=note)
        won = node.personal.put("note", {"n": 3}, over=note)
        assert node.personal.conflicts(note.id) == [lost]

        node.personal.put("note", {"n": 2}, over=[won, lost])

        assert node.personal.conflicts() == []

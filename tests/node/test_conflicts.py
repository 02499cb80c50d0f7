"""What was written unseen by each other is listed until its author settles it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import peerstack
from peerstack.engine.merging import merge
from peerstack.ids import as_group
from peerstack.record import compose
from tests.node.company import let_in
from tests.people import Person, person

ANA, BEN = person("ana"), person("ben")
LATER_MS = 1_000


@asynccontextmanager
async def ana_and_ben(path: Path) -> AsyncIterator[peerstack.Group]:
    """A group on Ana's device, in which Ben is a writer."""
    async with peerstack.open(path / "ana.db", ANA.user, network=False) as node:
        family = await node.create_group("Family")
        await let_in(node, family.id, ANA, BEN)
        yield family


async def edits_unseen(group: peerstack.Group, author: Person, note: peerstack.Record) -> None:
    """Somebody's later edit arrives, whose author had not seen any version of the note."""
    edit = author.writes(
        as_group(group.id), note.modified + LATER_MS, {"title": "Ben's"}, id=note.id
    )
    await group._node.perform(lambda turn: merge(turn, group.id, [edit], edit.device))


async def test_an_edit_that_lost_to_one_that_had_not_seen_it_is_a_conflict(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as family:
        note = await family.put("note", {"title": "Ana's"})
        other = await family.put("note", {"title": "alone"})
        await family.put("note", {"title": "seen"}, over=other)

        await edits_unseen(family, BEN, note)

        [conflict] = await family.conflicts()
        assert conflict.lost == note
        assert conflict.live == await family.get(note.id)
        assert conflict.live.signer == BEN.id
        assert await family._node.personal.conflicts() == []


async def test_a_version_over_both_settles_a_conflict(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as family:
        kept, restored = [await family.put("note", {"title": f"Ana's {n}"}) for n in (1, 2)]
        for note in (kept, restored):
            await edits_unseen(family, BEN, note)
        conflicts = {each.lost.id: each for each in await family.conflicts()}

        for note, chosen in ((kept, conflicts[kept.id].live), (restored, restored)):
            conflict = conflicts[note.id]
            await family.put("note", chosen.value, over=[conflict.live, conflict.lost])

        assert await family.conflicts() == []
        titles = [note.value["title"] for note in await family.find("note", order_by="id")]
        assert titles == ["Ben's", "Ana's 2"]


async def test_a_version_over_what_is_live_alone_leaves_a_conflict(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as family:
        note = await family.put("note", {"title": "Ana's"})
        await edits_unseen(family, BEN, note)

        await family.update(note.id, {"done": True})

        assert [each.lost for each in await family.conflicts()] == [note]


async def test_a_conflict_with_a_deletion_shows_the_deletion(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as family:
        note = await family.put("note", {"title": "Ana's"})
        later_ms = note.modified + LATER_MS
        body = BEN.body(as_group(family.id), "note", later_ms, id=note.id, deleted=True)
        gone = compose(BEN.user.device_key, body)

        await family._node.perform(lambda turn: merge(turn, family.id, [gone], gone.device))

        [conflict] = await family.conflicts()
        assert conflict.live.deleted
        assert conflict.lost == note

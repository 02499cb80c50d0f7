"""Three devices of two users, and a stranger who has the server's address, and later a removed
member's whole folder: over a real signaling server, whose every byte is kept, and real WebRTC."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import peerstack
from tests.node.test_linking import linked
from tests.recording_proxy import Recording, recording_proxy
from tests.server_process import running_server

NOTICE_S = 60.0
STRANGER_S = 5.0
"""How long a stranger tries. Devices that may meet here do so within a fraction of a second."""


@asynccontextmanager
async def recorded_server() -> AsyncIterator[Recording]:
    with running_server() as url:
        async with recording_proxy(url) as recording:
            yield recording


async def told(node: peerstack.Node, words: str) -> None:
    """Wait until the status says something."""
    async with asyncio.timeout(NOTICE_S):
        while not any(words in problem for problem in node.status().problems):
            await asyncio.sleep(0.05)


async def titles(group: peerstack.Group) -> set[str]:
    return {note.value["title"] for note in await group.find("note")}


async def test_a_removed_members_folder_gets_a_stranger_nothing_new(tmp_path: Path) -> None:
    async with recorded_server() as recording:
        async with (
            peerstack.open(tmp_path / "ana.db", "Ana Aardvark", recording.url) as ana,
            linked(ana, tmp_path / "laptop.db") as laptop,
        ):
            family = await ana.create_group("The Aardvarks")
            async with peerstack.open(tmp_path / "ben" / "ben.db", "Ben Bumblebee") as ben:
                shared = await ben.join(await family.invite())
                await shared.put("note", {"title": "by Ben"})
                await family.put("note", {"title": "by Ana"})
                await ben.wait_synced()
                await ana.wait_synced()
                await laptop.wait_synced(group=family.id)
                at_laptop = await laptop.group(family.id)
                assert await titles(at_laptop) == {"by Ben", "by Ana"}

                await at_laptop.remove(ben.user.id)
                await told(ben, "you were removed from 'The Aardvarks'")
                await family.put("note", {"title": "after Ben"})
                assert await titles(shared) == {"by Ben", "by Ana"}
                ids: set[str] = {each.user.id for each in (ana, ben)} | {family.id}
                ids |= {each.user.device for each in (ana, laptop, ben)}
                keys = [each.user.device_key.public for each in (ana, laptop, ben)]

            shutil.copytree(tmp_path / "ben", tmp_path / "stolen")
            async with peerstack.open(tmp_path / "stolen" / "ben.db") as stranger:
                await asyncio.sleep(STRANGER_S)
                [left] = await stranger.former_groups()
                assert await titles(left) == {"by Ben", "by Ana"}
                with pytest.raises(peerstack.NotFound):
                    await left.put("note", {"title": "by the stranger"})
            await laptop.wait_synced(group=family.id)
            assert await titles(family) == await titles(at_laptop)
            assert await titles(family) == {"by Ben", "by Ana", "after Ben"}
        crossed = recording.everything

    named = [each.encode() for each in (*ids, "Aardvark", "Bumblebee", "title")]
    named += [spelled for key in keys for spelled in (key, key.hex().encode())]
    assert [each for each in named if each in crossed] == []
    assert b"announce" in crossed

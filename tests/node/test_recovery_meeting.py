"""A recovery over a real signaling server and real WebRTC: the groups are found by the kit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import peerstack
from tests.server_process import running_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


async def test_somebody_who_has_lost_everything_is_back_in_their_group(
    server: str, tmp_path: Path
) -> None:
    kit = tmp_path / "kit"
    async with peerstack.open(tmp_path / "ben.db", "Ben") as ben:
        async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
            family = await ana.create_group("Family")
            shared = await ben.join(await family.invite())
            mine = await family.put("note", {"title": "by ana"})
            await ben.wait_synced()
            phrase = await ana.recovery_phrase()
            await ana.write_kit(kit)
            await ana.confirm_recovery({n: phrase[n - 1] for n in (1, 2, 3)})
            lost = ana.user.device
        theirs = await shared.put("note", {"title": "meanwhile"})

        async with peerstack.recover(tmp_path / "new.db", phrase, kit, revoke=[lost]) as new:
            async with asyncio.timeout(60):
                async for _ in new.live_status():
                    if await new.groups():
                        break
            back = await new.group(family.id)
            await back.wait_synced()

            assert [group.name for group in await new.groups()] == ["Family"]
            assert await back.find("note", order_by="id") == [mine, theirs]
            fresh = await back.put("note", {"title": "back"})
            await back.wait_synced()
            await shared.wait_synced()
            assert await shared.get(fresh.id) == fresh
            [member] = [each for each in await shared.members() if each.user == new.user.id]
            assert member.role == "admin"
            assert new.user.device in [device.id for device in member.devices]
            assert new.status().problems == []

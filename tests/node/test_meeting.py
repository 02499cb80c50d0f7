"""Two nodes over a real signaling server and real WebRTC, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import peerstack
from peerstack.engine import Turn
from peerstack.engine.kept_secrets import secret_of
from peerstack.engine.reached import held
from tests.server_process import running_server

# Nothing listens on this port of the loopback interface: it is reserved.
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


async def test_a_group_is_brought_level_and_stays_so(server: str, tmp_path: Path) -> None:
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", server) as ana,
        peerstack.open(tmp_path / "ben.db", "Ben") as ben,
    ):
        family = await ana.create_group("Family")
        await family.put_many("note", [{"n": number} for number in range(1500)])
        await ana.personal.put("note", {"title": "for nobody else"})

        shared = await ben.join(await family.invite(role="writer"))
        await ben.wait_synced()
        await ana.wait_synced()

        assert shared.name == "Family"
        assert await shared.find("note", order_by="n") == await family.find("note", order_by="n")
        changes = family.changes()
        note = await shared.put("note", {"n": -1})
        change = await anext(changes)
        assert change.record == note
        assert change.origin == ben.user.device
        names = [(member.name, member.role) for member in await shared.members()]
        assert names == [("Ana", "admin"), ("Ben", "writer")]
        # Nothing of the personal group is known to the other.
        assert [group.id for group in await ben.groups()] == [family.id]
        status = ben.status()
        assert [connection.device for connection in status.connections] == [ana.user.device]
        # Where these tests run there may be no other network.
        assert [problem for problem in status.problems if "loopback" not in problem] == []


async def test_who_ends_as_soon_as_it_has_joined_knows_where_the_others_meet(
    server: str, tmp_path: Path
) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
        family = await ana.create_group("Family")
        async with peerstack.open(tmp_path / "ben.db", "Ben") as ben:
            await ben.join(await family.invite())
        async with peerstack.open(tmp_path / "ben.db", network=False) as ben:
            assert await ben.perform(lambda turn: secret_of(turn, family.id)) is not None


async def test_a_reader_cannot_write_and_is_told_why(server: str, tmp_path: Path) -> None:
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", server) as ana,
        peerstack.open(tmp_path / "ben.db", "Ben") as ben,
    ):
        family = await ana.create_group("Family")
        shared = await ben.join(await family.invite(role="reader"))
        await ben.wait_synced()

        with pytest.raises(peerstack.NotAllowed, match=r"(?s)reader.*Family|Family.*reader"):
            await shared.put("note", {"title": "no"})
        with pytest.raises(peerstack.NotAllowed, match="admin"):
            await shared.invite()


async def test_a_join_that_meets_nobody_is_kept_and_completes_later(
    server: str, tmp_path: Path
) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", server, network=False) as ana:
        family = await ana.create_group("Family")
        link = await family.invite()

    async with peerstack.open(tmp_path / "ben.db", "Ben") as ben:
        with pytest.raises(peerstack.JoinPending, match="'Family'"):
            await ben.join(link, timeout=0.1)
        assert ben.status().waiting_joins == [family.id] or ben.status().waiting_joins == (
            family.id,
        )

        async with peerstack.open(tmp_path / "ana.db"):
            await ben.wait_synced(group=family.id)

        assert [group.name for group in await ben.groups()] == ["Family"]


async def test_an_invite_that_ended_lets_nobody_in(server: str, tmp_path: Path) -> None:
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", server) as ana,
        peerstack.open(tmp_path / "ben.db", "Ben") as ben,
        peerstack.open(tmp_path / "cleo.db", "Cleo") as cleo,
    ):
        family = await ana.create_group("Family")
        once = await family.invite(uses=1)
        await ben.join(once)

        with pytest.raises(peerstack.JoinPending):
            await cleo.join(once, timeout=1)
        with pytest.raises(peerstack.JoinPending):
            await cleo.join(await family.invite(expires=timedelta(0)), timeout=1)

        assert len(await family.members()) == 2


async def test_a_node_works_offline_and_says_what_is_wrong(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", NOBODY) as node:
        await node.personal.put("note", {"title": "Milk"})

        with pytest.raises(peerstack.NotSynced, match="invite somebody"):
            await node.wait_synced(timeout=0.5)

        [server_status] = node.status().servers
        assert server_status.state == "offline"
        assert NOBODY in server_status.reason


@pytest.mark.parametrize(
    "bad", ["", "peerstack:join:", "https://example.org", "peerstack:join:AAAA"]
)
async def test_what_is_no_link_is_refused(tmp_path: Path, bad: str) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        with pytest.raises(peerstack.InvalidLink):
            await node.join(bad)


async def test_whoever_leaves_when_level_leaves_the_other_level(
    server: str, tmp_path: Path
) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
        family = await ana.create_group("Family")
        async with peerstack.open(tmp_path / "ben.db", "Ben") as ben:
            await ben.join(await family.invite())
            await ben.wait_synced()

        await ana.wait_synced()
        await family.put("note", {"title": "written alone"})
        with pytest.raises(peerstack.NotSynced, match="Family"):
            await ana.wait_synced(timeout=0.1)


async def test_a_server_that_another_process_was_told_of_is_used(
    server: str, tmp_path: Path
) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
        family = await ana.create_group("Family")
        link = await family.invite()
        async with (
            peerstack.open(tmp_path / "ben.db", "Ben") as ben,
            peerstack.open(tmp_path / "ben.db", network=False) as beside,
        ):
            with pytest.raises(peerstack.JoinPending):
                await beside.join(link, timeout=0)

            await ben.wait_synced(group=family.id)

            assert [group.name for group in await ben.groups()] == ["Family"]


async def test_a_device_says_that_it_has_what_another_wrote(server: str, tmp_path: Path) -> None:
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", server) as ana,
        peerstack.open(tmp_path / "ben.db", "Ben") as ben,
    ):
        family = await ana.create_group("Family")
        shared = await ben.join(await family.invite(role="reader"))
        await ben.wait_synced()
        note = await family.put("note", {"title": "Milk"})
        assert [each.name for each in (await family.reached(note.id)).lacks] == ["Ben"]

        def arrived(turn: Turn) -> bool | None:
            (found,) = held(turn, family.id, [note.id])
            return True if len(found.devices) == 2 else None

        await ana.until(arrived, 60)

        found = await family.reached(note.id)
        assert [(each.name, each.device.online) for each in found.has] == [
            ("Ana", True),
            ("Ben", True),
        ]
        assert (await shared.reached(note.id)).lacks == ()

"""What `status` says is wrong, and what to do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import peerstack
from peerstack import limits
from peerstack.engine.status import Connection, GroupStanding
from peerstack.ids import DeviceId, as_group, as_user
from peerstack.node.status import ServerStatus, problems
from peerstack.signaling.rendezvous import Link
from tests.own_network import own_network
from tests.server_process import ROOT, server_process

ONLINE = ServerStatus("http://a", "online", "")
OFFLINE = ServerStatus("http://a", "offline", "it does not answer")
LOOPBACK = "no network interface but loopback"

TWO_DEVICES = """
import asyncio, sys
import peerstack
from tests.server_process import running_server

async def main(folder, server):
    async with (
        peerstack.open(folder + "/ana.db", "Ana", server) as ana,
        peerstack.open(folder + "/ben.db", "Ben") as ben,
    ):
        family = await ana.create_group("Family")
        await ben.join(await family.invite())
        await ben.wait_synced()
        status = ben.status()
        print(len(status.connections), status.problems)

with running_server() as server:
    asyncio.run(main(sys.argv[1], server))
"""


def connection(ahead_ms: int = 0) -> Connection:
    return Connection(as_user("user"), DeviceId("device"), ahead_ms, 0, 0, 0, 0, (), Link(1))


def told(
    *,
    servers: Sequence[ServerStatus] = (ONLINE,),
    connections: Sequence[Connection] = (),
    groups: Sequence[GroupStanding] = (),
    failures: Sequence[str] = (),
    only_loopback: bool = False,
) -> list[str]:
    return problems(servers, connections, groups, failures, only_loopback=only_loopback)


def test_where_all_is_well_nothing_is_said() -> None:
    assert told() == told(connections=[connection()]) == []


def test_an_unreachable_server_and_the_latest_failure_are_told_while_nobody_is_connected() -> None:
    offline, failed = told(servers=[OFFLINE], failures=["the first", "the last"])

    assert "it does not answer" in offline
    assert "the last" in failed
    assert told(servers=[OFFLINE], failures=["it"], connections=[connection()]) == []


def test_with_loopback_alone_it_is_said_where_devices_meet_connected_or_not() -> None:
    for connections in ([], [connection()]):
        [problem] = told(connections=connections, only_loopback=True)
        assert LOOPBACK in problem
        assert "127.0.0.1" in problem
        assert "connect to a network" in problem


def test_who_has_no_server_is_not_told_of_networks() -> None:
    assert told(servers=[], only_loopback=True) == []


@pytest.mark.parametrize(("ahead_ms", "words"), [
    (2 * 60_000, "2 minutes ahead of the others"),
    (-2 * 60_000, "2 minutes behind"),
    (limits.FUTURE_MS + 60_000, "others hold your edits"),
])  # fmt: skip
def test_a_wrong_clock_is_told_by_the_others_clocks(ahead_ms: int, words: str) -> None:
    others = [connection(-ahead_ms), connection(-ahead_ms), connection()]

    [problem] = told(connections=others)

    assert words in problem


def test_records_that_are_held_are_told_of() -> None:
    group = GroupStanding(as_group("group"), "Family", "writer", 2, 9, 3, 0, {}, 0)

    [problem] = told(groups=[group])

    assert "3 records of group Family are held" in problem


@pytest.mark.own_network
def test_connected_devices_with_loopback_alone_say_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [*own_network(), sys.executable, "-c", TWO_DEVICES, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'server'}"},
        capture_output=True,
        text=True,
    )

    assert done.stdout.startswith("1 ["), done.stderr
    assert LOOPBACK in done.stdout


async def test_live_status_is_told_again_when_something_has_changed(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        told = node.live_status()
        assert [group.records for group in (await anext(told)).groups] == [0]

        await node.personal.put("note", {"title": "Milk"})

        while [group.records for group in (await anext(told)).groups] != [1]:
            pass


async def test_live_status_tells_of_a_server_that_goes(tmp_path: Path) -> None:
    online = asyncio.Event()

    async def follow(node: peerstack.Node) -> None:
        async for status in node.live_status():
            states = [each.state for each in status.servers]
            if states == ["online"]:
                online.set()
            if states == ["offline"] and online.is_set():
                return

    with server_process() as server:
        async with peerstack.open(tmp_path / "ana.db", "Ana", server.url) as node:
            following = asyncio.create_task(follow(node))
            await online.wait()

            # In a thread, so that all that was stirred before is told of before.
            await asyncio.to_thread(server.stop)

            await following


async def test_live_status_ends_with_the_node(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        told = node.live_status()
        await anext(told)

    assert [status async for status in told] == []


async def test_a_server_that_is_added_is_remembered_and_named_by_invites(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    async with peerstack.open(path, "Ana", network=False) as node:
        await node.add_server("http://meet.example:3333/")
        family = await node.create_group("Family")
        link = await family.invite()

        assert node.preview(link).servers == ("http://meet.example:3333",)
    async with peerstack.open(path, network=False) as node:
        assert node.server_urls == ("http://meet.example:3333",)


async def test_what_is_no_servers_address_is_refused_and_not_remembered(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        with pytest.raises(peerstack.InvalidValue, match="no address of a signaling server"):
            await node.add_server("meet.example")

        assert node.server_urls == ()

"""A family's day: all that servers receive, hold, log and tell each other in it has nobody in it.

Searched for are ids, names, keys, secrets and what people wrote, in every spelling; and SDPs, line
by line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import peerstack
from peerstack.engine.secrets import shared_secrets
from peerstack.keys import Secret
from peerstack.node.ports import SystemClock
from peerstack.signaling.rendezvous.boxes import topic_of
from peerstack.signaling.wire import day_of
from peerstack.transport import sdp
from tests.recording_proxy import found, recording_proxy
from tests.server.memory import memory_of
from tests.server_process import server_process
from tests.services import running_redis

NAMES = ("Anastasia Quillfeather", "Benedict Thornapple", "Catherine Underhill")
GROUP, TITLES = "The Larkspur Household", ("Elderberry syrup", "Marmalade for Wednesday")
DEVICE = "the kitchen windowsill"
SDP_LINES = ("a=candidate:", "a=fingerprint:", "a=ice-pwd:")


@dataclass
class Day:
    """What devices knew in the course of it, by what it is."""

    known: dict[str, bytes] = field(default_factory=dict)
    secrets: set[bytes] = field(default_factory=set)
    """The meeting secrets, of which servers are to know no more than topics."""

    async def note(self, node: peerstack.Node) -> None:
        user = node.user
        self.known |= {
            f"{user.device}: user": user.id.encode(),
            f"{user.device}: device": user.device.encode(),
            f"{user.device}: device key": user.device_key.public,
            f"{user.device}: device seed": user.device_key.seed,
        }
        if user.root is not None:
            self.known |= {
                f"{user.device}: root key": user.root.public,
                f"{user.device}: root seed": user.root.seed,
            }
        for group in await node.groups():
            self.known[f"group {group.id}"] = group.id.encode()
        for shared in await node._shell.perform(shared_secrets):
            self.secrets.add(shared.secret)
            self.known[f"secret {shared.secret.hex()}"] = shared.secret


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All SDPs that any device makes."""
    made: list[str] = []
    encode = sdp.encode

    def noted(description: sdp.Description, role: sdp.Role) -> str:
        made.append(encode(description, role))
        return made[-1]

    monkeypatch.setattr(sdp, "encode", noted)
    return made


@asynccontextmanager
async def linked(node: peerstack.Node, path: Path) -> AsyncIterator[peerstack.Node]:
    """Another device of the same user."""
    async with await node.link_device() as linking:
        opening = peerstack.open_linked(path, linking.link, lambda _digits: None, DEVICE)
        entering = asyncio.ensure_future(opening.__aenter__())
        await linking.digits(60)
        await linking.confirm()
        new = await entering
        try:
            await linking.completed()
            yield new
        finally:
            await opening.__aexit__(None, None, None)


@asynccontextmanager
async def family_day(folder: Path, url: str) -> AsyncIterator[Day]:
    """People meet, invite, join, write, link a device, go, come again, and are removed."""
    day = Day()
    async with peerstack.open(folder / "ana.db", NAMES[0], url) as ana:
        family = await ana.create_group(GROUP)
        note = await family.put("note", {"title": TITLES[0]})
        link = await family.invite(role="writer", uses=2)
        async with peerstack.open(folder / "ben.db", NAMES[1]) as ben:
            shared = await ben.join(link)
            await ben.wait_synced()
            await shared.update(note.id, {"title": TITLES[1]})
            await ben.wait_synced()
            await day.note(ben)
        async with peerstack.open(folder / "cat.db", NAMES[2]) as cat:
            await cat.join(link)
            await cat.wait_synced()
            await day.note(cat)
            await family.remove(cat.user.id)
        async with linked(ana, folder / "kitchen.db") as kitchen:
            await kitchen.wait_synced(group=kitchen.personal.id)
            async with peerstack.open(folder / "ben.db") as ben:
                await ben.wait_synced()
                for node in (ana, kitchen, ben):
                    await day.note(node)
                # It is still going on: what servers hold, they hold now.
                yield day


# --- What is searched. --------------------------------------------------------------------------


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Where what is at this port is reached too, and all that goes through there, both ways."""
    heard: list[bytes] = []
    relays: set[asyncio.Task[None]] = set()

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with closing(target):
            while content := await source.read(2**16):
                heard.append(content)
                target.write(content)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        for way in (pass_on(reader, back), pass_on(there, writer)):
            relays.add(asyncio.create_task(way))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        await asyncio.gather(*relays)


def traces(day: Day, said: list[str], everything: bytes) -> set[str]:
    """What is found of all that nobody is to know."""
    texts = {f"text {text!r}": text.encode() for text in (*NAMES, *TITLES, GROUP, DEVICE)}
    kinds = (*SDP_LINES, "a=ice-ufrag:")
    lines = {line for each in said for line in each.splitlines() if line.startswith(SDP_LINES)}
    return {
        f"{name}, {spelling}"
        for name, content in {**day.known, **texts}.items()
        for spelling in found(content, everything)
    } | {f"SDP {line!r}" for line in (*lines, *kinds) if line.encode() in everything}


def check(day: Day, said: list[str], where: dict[str, bytes]) -> None:
    assert len(day.known) > 20
    assert any("a=candidate:" in each for each in said)
    for place, everything in where.items():
        assert traces(day, said, everything) == set(), place
    today = day_of(SystemClock().now().wall_ms)
    topics = [topic_of(Secret(each), today + late) for each in day.secrets for late in (-1, 0, 1)]
    for place in where.keys() - {"logged"}:
        # What servers are to know is found in all of these, so the rest would be.
        assert any(found(each, where[place]) for each in topics), place


async def test_a_server_is_told_nothing_holds_nothing_and_logs_nothing_of_a_familys_day(
    tmp_path: Path, said: list[str]
) -> None:
    with server_process("--log-level", "debug") as server:
        async with (
            recording_proxy(server.url) as recording,
            family_day(tmp_path, recording.url) as day,
        ):
            held = memory_of(server.process.pid)
        server.stop()

        where = {"received": recording.everything, "held": held, "logged": server.log().encode()}
        assert b"listening" in where["logged"]
        check(day, said, where)


@pytest.mark.services("redis-server")
async def test_servers_tell_each_other_nothing_of_it_either(
    tmp_path: Path, said: list[str]
) -> None:
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis(tmp_path))
        port, heard = await stack.enter_async_context(tapped(redis.port))
        flags = ("--redis", f"redis://127.0.0.1:{port}")
        # While they start they speak with Redis, by way of this very loop.
        starting = (asyncio.to_thread(stack.enter_context, server_process(*flags)) for _ in "12")
        servers = [await each for each in starting]
        proxy = recording_proxy(*(each.url for each in servers))
        recording = await stack.enter_async_context(proxy)
        async with family_day(tmp_path, recording.url) as day:
            pass
    told = b"".join(heard)

    assert told.count(b"PUBLISH") > 10
    check(day, said, {"received": recording.everything, "told": told})

"""A new device of one's own over a real signaling server and real WebRTC, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import peerstack
from tests.server_process import running_server

# Nothing listens on this port of the loopback interface: it is reserved.
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


def ignore(_: str) -> None:
    pass


@asynccontextmanager
async def linked(
    node: peerstack.Node, path: Path, *, full: bool = True
) -> AsyncIterator[peerstack.Node]:
    """A new device at `path`, linked to the user of a node."""
    async with await node.link_device(full=full) as linking:
        shown: list[str] = []
        opening = peerstack.open_linked(path, linking.link, shown.append, "laptop")
        entering = asyncio.ensure_future(opening.__aenter__())
        digits = await linking.digits(60)
        assert linking.device_name == "laptop"
        confirmed = await linking.confirm()
        new = await entering
        try:
            assert shown == [digits]
            assert confirmed.id == new.user.device
            assert confirmed.name == "laptop"
            await linking.completed()
            yield new
        finally:
            await opening.__aexit__(None, None, None)


async def test_a_new_device_is_linked_and_has_the_records(server: str, tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
        note = await ana.personal.put("note", {"title": "Milk"})
        async with linked(ana, tmp_path / "laptop.db") as laptop:
            await laptop.wait_synced(group=laptop.personal.id)

            assert laptop.user.id == ana.user.id
            assert laptop.user.name == "Ana"
            assert laptop.server_urls == (server,)
            assert await laptop.personal.get(note.id) == note
            names = [(each.name, each.active, each.this) for each in await laptop.devices()]
            assert names[1:] == [("laptop", True, True)]
            reply = await laptop.personal.put("note", {"title": "Oat milk"}, over=note)
            await laptop.wait_synced(group=laptop.personal.id)
            assert await ana.personal.get(note.id) == reply


async def test_a_full_device_can_link_and_a_limited_one_cannot(server: str, tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
        async with linked(ana, tmp_path / "full.db") as full, await full.link_device() as another:
            assert another.link.startswith("peerstack:link:")
        async with linked(ana, tmp_path / "limited.db", full=False) as limited:
            assert limited.user.root is None
            with pytest.raises(peerstack.NotAllowed, match="without the root key"):
                await limited.link_device()


async def test_what_a_new_device_was_given_is_there_when_it_is_opened_again(
    server: str, tmp_path: Path
) -> None:
    path = tmp_path / "laptop.db"
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", server) as ana,
        linked(ana, path) as laptop,
    ):
        pass

    async with peerstack.open(path, network=False) as again:
        assert again.user.device == laptop.user.device
        assert again.user.root is not None
        assert again.user.root.public == ana.user.root.public
        assert again.user.kit_key == ana.user.kit_key
        assert again.user.recovery is None
        assert len(again.user.statements) == 3
    # Its database can be made anew from its keys, as that of any profile.
    path.unlink()
    async with peerstack.open(path, network=False) as anew:
        await anew.personal.put("note", {"title": "Milk"})

"""A new device of one's own over a real signaling server and real WebRTC, in one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import peerstack
from peerstack.engine import writing
from peerstack.ids import as_group
from peerstack.node.keyfile import KeyFile, path_of
from peerstack.node.ports import SystemEntropy
from peerstack.record import OWN_GROUP_TYPE
from tests.server_process import running_server
from tests.unmade import unmake

# Nothing listens on this port of the loopback interface: it is reserved.
NOBODY = "http://127.0.0.1:1"
NOBODY_HAS_IT = "Choir: (none of its members' devices is connected|not level with 1 of 1 connected)"
"""It is looked for by both devices, which may have found each other there by then."""


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


async def test_a_new_device_gets_the_groups_and_meets_by_their_servers(
    server: str, tmp_path: Path
) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
        family = await ana.create_group("Family")
        notes = await family.put_many("note", [{"n": number} for number in range(700)])
        # Another device may tell of anything.
        told = {"secret": "ab" * 32, "name": "Choir", "servers": ["no address", NOBODY]}
        choir = as_group("01J8Z0000000000000000000AB")
        await ana.perform(lambda turn: writing.write_data(turn, OWN_GROUP_TYPE, choir, told))
        async with linked(ana, tmp_path / "laptop.db") as laptop:
            await laptop.wait_synced()

            (shared,) = await laptop.groups()
            assert (shared.id, shared.name) == (family.id, "Family")
            assert await shared.find("note", order_by="n") == notes
            assert laptop.server_urls == (server, "no address", NOBODY)
            assert [each.url for each in laptop.status().servers] == [server, NOBODY]
            with pytest.raises(peerstack.NotSynced, match=NOBODY_HAS_IT):
                await laptop.wait_synced(0.1, group=choir)
            mine = await laptop.create_group("Mine")
            await ana.wait_synced()
            await ana.until(lambda turn: turn.state(mine.id).role(ana.user.id), 30)


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
        assert ana.user.root is not None
        assert again.user.root.public == ana.user.root.public
        assert again.user.kit_key == ana.user.kit_key
        assert again.user.recovery is None
        assert len(again.user.statements) == 3
    # Its database can be made from its keys alone, as that of any profile.
    unmake(path)
    async with peerstack.open(path, network=False) as anew:
        await anew.personal.put("note", {"title": "Milk"})


async def test_a_new_device_with_a_passphrase_keeps_the_root_key_sealed(
    server: str, tmp_path: Path
) -> None:
    path = tmp_path / "laptop.db"
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", server) as ana,
        await ana.link_device() as linking,
    ):
        entering = asyncio.ensure_future(enter(path, linking.link, passphrase="correct horse"))
        await linking.digits(60)
        await linking.confirm()
        await entering

        with pytest.raises(peerstack.ProfileLocked):
            async with peerstack.open(path, network=False):
                pass
        async with peerstack.open(path, passphrase="correct horse", network=False) as again:
            assert again.user.root is not None


async def enter(path: Path, link: str, **settings: Any) -> peerstack.User:
    """Open a new device by a link, and close it again; its user."""
    async with peerstack.open_linked(path, link, ignore, **settings) as node:
        return node.user


# --- It does not come about. ----------------------------------------------------------------------


async def test_nobody_coming_the_old_device_is_told_why(tmp_path: Path) -> None:
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", NOBODY) as ana,
        await ana.link_device() as linking,
    ):
        with pytest.raises(peerstack.LinkPending, match=r"127\.0\.0\.1:1"):
            await linking.digits(1)
        with pytest.raises(peerstack.LinkPending, match="digits"):
            await linking.confirm()
        with pytest.raises(peerstack.LinkPending):
            await linking.completed(0)


async def test_a_link_takes_the_network_and_a_server(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", NOBODY, network=False) as ana:
        with pytest.raises(peerstack.InvalidValue, match="without the network"):
            await ana.link_device()
    async with peerstack.open(tmp_path / "ben.db", "Ben") as ben:
        with pytest.raises(peerstack.InvalidValue, match="no signaling server"):
            await ben.link_device()


async def test_a_link_ends_with_its_block(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", NOBODY) as ana:
        async with await ana.link_device() as first:
            with pytest.raises(peerstack.NotAllowed, match="open already"):
                await ana.link_device()
        with pytest.raises(peerstack.LinkEnded, match="closed"):
            await first.digits()
        second = await ana.link_device()
        assert second.link != first.link
        assert second.link not in repr(second)
    await second.close()


async def test_a_device_that_was_not_confirmed_goes_on_with_the_same_link(
    server: str, tmp_path: Path
) -> None:
    path = tmp_path / "laptop.db"
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", server) as ana,
        await ana.link_device() as linking,
    ):
        opening = asyncio.ensure_future(enter(path, linking.link, timeout=4))
        await linking.digits(60)
        with pytest.raises(peerstack.LinkPending, match="nobody has confirmed"):
            await opening
        key = path_of(path).read_bytes()
        with pytest.raises(peerstack.LinkPending, match="peerstack link"):
            async with peerstack.open(path, "Ben", network=False):
                pass

        again = asyncio.ensure_future(enter(path, linking.link))
        await linking.digits(60)
        # That of the attempt before may still have been on its way out.
        while True:
            try:
                confirmed = await linking.confirm()
                break
            except peerstack.LinkPending:
                await linking.digits(60)
        user = await again

    assert confirmed.id == user.device
    assert KeyFile(path_of(path), None, SystemEntropy()).read().user.device == user.device
    assert key != path_of(path).read_bytes()


async def test_with_a_new_link_a_device_that_was_never_linked_begins_anew(
    server: str, tmp_path: Path
) -> None:
    path = tmp_path / "laptop.db"
    async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
        async with await ana.link_device() as first:
            with pytest.raises(peerstack.LinkPending):
                await enter(path, first.link, timeout=0)
        before = KeyFile(path_of(path), None, SystemEntropy()).read().user
        async with await ana.link_device() as second:
            opening = asyncio.ensure_future(enter(path, second.link))
            await second.digits(60)
            await second.confirm()
            user = await opening

    assert user.device != before.device
    assert user.device_key.public != before.device_key.public
    assert len(user.statements) == 3


async def test_a_device_certified_as_it_crashed_is_found_by_the_same_link_later(
    server: str, tmp_path: Path
) -> None:
    path = tmp_path / "laptop.db"
    async with peerstack.open(tmp_path / "ana.db", "Ana", server) as ana:
        async with await ana.link_device() as linking:
            opening = asyncio.ensure_future(enter(path, linking.link))
            await linking.digits(60)
            confirmed = await linking.confirm()
            opening.cancel()
            await asyncio.wait({opening})

        # No digits are asked for: nobody is there to compare them.
        async with peerstack.open_linked(path, linking.link, pytest.fail) as again:
            assert again.user.device == confirmed.id
            assert again.user.root is not None


async def test_another_profile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ben.db"
    async with peerstack.open(path, "Ben", network=False) as ben:
        await ben.personal.put("note", {"title": "Milk"})
    before = path_of(path).read_bytes()
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", NOBODY) as ana,
        await ana.link_device() as linking,
    ):
        with pytest.raises(peerstack.InvalidValue, match="another profile"):
            await enter(path, linking.link)

    assert path_of(path).read_bytes() == before
    async with peerstack.open(path, network=False) as ben:
        assert len(await ben.personal.find("note")) == 1


@pytest.mark.parametrize("text", ["", "peerstack:join:AA", "peerstack:link:AA", "peerstack:link:é"])
async def test_what_is_no_link_makes_no_profile(tmp_path: Path, text: str) -> None:
    with pytest.raises(peerstack.InvalidLink):
        await enter(tmp_path / "laptop.db", text)

    assert list(tmp_path.iterdir()) == []


async def test_what_keeps_a_new_device_from_the_old_one_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", NOBODY) as ana,
        await ana.link_device() as linking,
    ):
        with pytest.raises(peerstack.LinkPending, match=r"127\.0\.0\.1:1"):
            await enter(tmp_path / "b.db", linking.link, timeout=3, on_problem=told.append)

    assert any("127.0.0.1:1" in each for each in told)
    assert len(told) == len(set(told))


# --- Blocking. ------------------------------------------------------------------------------------


def test_the_blocking_twin_links_devices_too(server: str, tmp_path: Path) -> None:
    shown: list[str] = []
    entered: list[peerstack.User] = []
    with (
        peerstack.open_sync(tmp_path / "ana.db", "Ana", server) as ana,
        ana.link_device() as linking,
    ):

        def other() -> None:
            opening = peerstack.open_linked_sync(tmp_path / "b.db", linking.link, shown.append)
            with opening as node:
                entered.append(node.user)

        thread = threading.Thread(target=other)
        thread.start()
        digits = linking.digits(60)
        device = linking.confirm()
        linking.completed()
        thread.join(60)

        assert shown == [digits]
        assert [user.device for user in entered] == [device.id]
        ana.revoke_device(device.id)
        assert [each.active for each in ana.devices()] == [True, False]
        with pytest.raises(peerstack.NotFound):
            ana.revoke_device("01J8Z0000000000000000000AB")

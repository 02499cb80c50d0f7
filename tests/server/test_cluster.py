"""Three processes, a real Redis and a real nginx: they act as one, and fall apart and heal well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

import peerstack
from peerstack.signaling import wire
from peerstack.signaling.client import Disconnected
from tests.server.several import Several, everywhere, numbers, reached, ready, several, until
from tests.signaling_device import Device, online

pytestmark = [pytest.mark.asyncio, pytest.mark.services("redis-server", "nginx")]

TOPIC, OTHER = b"t" * 32, b"o" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    with several(tmp_path_factory.mktemp("several")) as running:
        yield running


@pytest.fixture
async def tried(server: Several) -> AsyncIterator[Several]:
    """The same, of which Redis may be stopped: it is back for the next test."""
    try:
        yield server
    finally:
        server.redis.stop()
        assert server.redis.start()
        for process in server.processes:
            await until(process.url, lambda found: found["redis_connected"] == 1)


@pytest.fixture
def breakable(tmp_path: Path) -> Iterator[Several]:
    """Others, of which processes may be ended."""
    with several(tmp_path) as running:
        yield running


async def test_an_announcement_reaches_all_in_the_topic_on_all_processes_once(
    server: Several,
) -> None:
    async with everywhere(server) as (ana, ben, cat), online(server[0]) as dan:
        for device in (ana, ben, dan):
            await device.client.join([TOPIC])
        await cat.client.join([OTHER])

        assert await ana.client.announce(TOPIC, b"sealed")

        for device in (ben, dan):
            told = wire.Announced(TOPIC, b"sealed", ana.address)
            assert await device.next(wire.Announced) == told
        for device in (ana, ben, cat, dan):
            assert await reached(ana, device)
            assert len(device.all(wire.Announced)) == (device in (ben, dan))


async def test_a_signal_reaches_its_address_on_another_process_and_names_the_sender(
    server: Several,
) -> None:
    async with everywhere(server) as (ana, ben, _):
        assert await ana.client.signal(ben.address, b"hello") is True

        assert await ben.next(wire.Signaled) == wire.Signaled(b"hello", ana.address)


async def test_what_one_device_says_to_another_arrives_in_order(server: Several) -> None:
    boxes = [b"%d" % number for number in range(200)]
    async with everywhere(server) as (ana, ben, _):
        for box in boxes:
            await ana.client.signal(ben.address, box)

        await ben.next(wire.Signaled, len(boxes))
        assert [each.box for each in ben.all(wire.Signaled)] == boxes


async def test_an_address_that_nobody_has_on_any_process_is_gone(server: Several) -> None:
    async with online(server[0]) as ana:
        async with online(server[1]) as ben:
            address = ben.address
        async with asyncio.timeout(20):
            while await ana.client.signal(address, b"box"):
                pass

        assert await ana.client.signal(address, b"box") is False
        assert await ana.client.signal("nobody", b"box") is False
        assert ana.all(wire.Problem) == []


async def enter(device: Device, topic: bytes) -> None:
    await device.client.join([topic])
    await device.client.announce(topic, b"here")


async def test_of_two_who_join_and_announce_at_once_one_at_least_hears_the_other(
    server: Several,
) -> None:
    async with everywhere(server) as (ana, ben, _):
        for number in range(50):
            topic = bytes([number]) * 32

            await asyncio.gather(enter(ana, topic), enter(ben, topic))
        assert await reached(ana, ben)
        assert await reached(ben, ana)

        heard = {each.topic for device in (ana, ben) for each in device.all(wire.Announced)}
        assert len(heard) == 50


async def test_a_process_is_told_nothing_of_topics_that_its_devices_have_left(
    server: Several,
) -> None:
    async with everywhere(server) as (ana, ben, _):
        for device in (ana, ben):
            await device.client.join([TOPIC])
        await ana.client.announce(TOPIC, b"heard")
        await ben.next(wire.Announced)
        await ben.client.leave([TOPIC])
        before = (await numbers(server[1]))["heard_total"]
        for _ in range(10):
            await ana.client.announce(TOPIC, b"unheard")
        await ben.client.join([TOPIC])
        await ana.client.announce(TOPIC, b"heard again")

        assert (await ben.next(wire.Announced, 2)).box == b"heard again"
        assert (await numbers(server[1]))["heard_total"] == before + 1


async def test_devices_that_hung_up_leave_nothing_behind(server: Several) -> None:
    async with everywhere(server) as devices:
        for device in devices:
            await device.client.join([TOPIC, OTHER])
    for process in server.processes:
        found = await until(process.url, lambda found: not found["connections"])
        assert found["topics"] == 0
    async with Redis.from_url(server.redis.url) as redis, asyncio.timeout(20):
        while await redis.pubsub_channels():
            await asyncio.sleep(0.05)


async def test_a_network_can_make_each_process_send_only_so_much(
    tmp_path: Path,
) -> None:
    flags = ("--network-relay-kb-per-s", "1", "--network-relay-kb-burst", "100")
    with several(tmp_path, *flags, count=2) as server:
        async with online(server[0]) as ana, online(server[1]) as ben, online(server[1]) as cat:
            for device in (ana, ben, cat):
                await device.client.join([TOPIC])
            # For the process where it is said, each is one copy; for the other, two.
            for _ in range(3):
                assert await ana.client.announce(TOPIC, bytes(30_000))
            await until(server[1], lambda found: found["heard_total"] == 3)

            assert (await numbers(server[1]))["refused_total:too-fast"] == 2
            assert len(ben.all(wire.Announced)) == len(cat.all(wire.Announced)) == 1


# --- Redis goes away, and comes back. -----------------------------------------------------------


async def test_without_redis_devices_on_one_process_meet_and_the_rest_is_told(
    tried: Several,
) -> None:
    async with everywhere(tried) as (ana, ben, _), online(tried[0]) as dan:
        for device in (ana, ben, dan):
            await device.client.join([TOPIC])
        tried.redis.stop()
        before = await until(tried[0], lambda found: not found["redis_connected"])

        assert await ready(tried[0]) == (200, {"status": "ready", "redis": "away"})
        assert await ana.client.announce(TOPIC, b"sealed")
        assert (await dan.next(wire.Announced)).sender == ana.address
        assert await reached(dan, ana)
        assert await ana.client.signal(ben.address, b"box") is None
        assert (await ana.next(wire.Problem)).error is wire.Refusal.UNAVAILABLE
        async with online(tried[0]) as eve:
            assert await eve.client.join([TOPIC])
            assert await reached(ana, eve)
        after = await numbers(tried[0])
        assert after["unpassed_total"] == before["unpassed_total"] + 2


async def test_when_redis_is_back_devices_are_asked_again_and_all_goes_on_without_a_restart(
    tried: Several,
) -> None:
    async with everywhere(tried) as (ana, ben, _):
        await ana.client.join([TOPIC])
        tried.redis.stop()
        for process in tried.processes:
            await until(process.url, lambda found: not found["redis_connected"])
        assert await ben.client.join([TOPIC])
        assert await ben.client.announce(TOPIC, b"unheard")
        assert tried.redis.start()

        assert (await ben.next(wire.Again)).spread_ms > 0
        await ana.next(wire.Again)
        assert await ready(tried[1]) == (200, {"status": "ready", "redis": "connected"})
        assert await ben.client.announce(TOPIC, b"heard")
        assert (await ana.next(wire.Announced)).box == b"heard"
        assert await reached(ana, ben)
        assert ana.client.refused == ben.client.refused == {}, "nothing came before its time"


async def test_two_who_came_while_redis_was_away_find_each_other_once_it_is_back(
    tried: Several, tmp_path: Path
) -> None:
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", tried.url) as ana,
        peerstack.open(tmp_path / "ben.db", "Ben", tried.url) as ben,
    ):
        apart = await each_with_one(tried)
        family = await ana.create_group("Family")
        note = await family.put("note", {"title": "Milk"})
        tried.redis.stop()
        lost = [await until(url, lambda found: not found["redis_connected"]) for url in apart]
        joining = asyncio.create_task(ben.join(await family.invite()))
        for url, before in zip(apart, lost, strict=True):
            await until(url, more("unpassed_total", before))
        assert tried.redis.start()

        # By themselves they would announce themselves again after 5 to 10 minutes.
        shared = await joining
        await ben.wait_synced()
        assert [found.id for found in await shared.find("note")] == [note.id]


def more(name: str, before: dict[str, float]) -> Callable[[dict[str, float]], bool]:
    return lambda found: found[name] > before[name]


async def each_with_one(server: Several) -> list[str]:
    """Where the two processes are that have one connection each, as soon as there are two."""
    async with asyncio.timeout(20):
        while True:
            held = [(await numbers(each.url))["connections"] for each in server.processes]
            if sorted(held) == [0, 1, 1]:
                return [server[number] for number in range(3) if held[number]]
            await asyncio.sleep(0.05)


# --- Processes end. -----------------------------------------------------------------------------


async def test_people_on_a_killed_process_come_back_on_the_others_and_are_level_again(
    breakable: Several, tmp_path: Path
) -> None:
    async with (
        peerstack.open(tmp_path / "ana.db", "Ana", breakable.url) as ana,
        peerstack.open(tmp_path / "ben.db", "Ben", breakable.url) as ben,
    ):
        family = await ana.create_group("Family")
        link = await family.invite(role="writer", uses=2)
        shared = await ben.join(link)
        first, _ = await each_with_one(breakable)

        next(each for each in breakable.processes if each.url == first).process.kill()
        note = await shared.put("note", {"title": "Milk"})
        async with peerstack.open(tmp_path / "cat.db", "Cat") as cat:
            # By who made the link, and who has to be met on a process that is left.
            joined = await cat.join(link)
            await cat.wait_synced()
            await ana.wait_synced()

            assert [found.id for found in await joined.find("note")] == [note.id]
            assert [found.id for found in await family.find("note")] == [note.id]


def is_welcome(device: Device) -> bool:
    """Whether a device has been told its address since it was last cut off."""
    said = (
        each for each in reversed(device.events) if isinstance(each, wire.Welcome | Disconnected)
    )
    return isinstance(next(said, None), wire.Welcome)


async def test_devices_of_a_process_that_stops_or_is_killed_come_back_on_those_that_are_left(
    breakable: Several,
) -> None:
    async with AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(online(breakable.url)) for _ in range(6)]
        held = [(await numbers(each.url))["connections"] for each in breakable.processes]
        assert held == [2, 2, 2]

        assert await asyncio.to_thread(breakable.processes[0].stop) == 0
        for url in (breakable[1], breakable[2]):
            await until(url, lambda found: found["connections"] == 3)
        # They were told to come back, and were refused nowhere on their way.
        left = [each.reason for device in devices for each in device.all(Disconnected)]
        assert len(left) == 2
        assert all("goes down" in reason for reason in left)

        breakable.processes[1].process.kill()
        await until(breakable[2], lambda found: found["connections"] == 6)
        for device in devices:
            # The server counts a connection before its device has been told its address there.
            while not is_welcome(device):
                await device.next(wire.Welcome, len(device.all(wire.Welcome)) + 1)
        for sender in devices:
            for receiver in devices:
                assert await reached(sender, receiver, sender.address.encode())

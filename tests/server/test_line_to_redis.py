"""One process' side of the cluster, with a real Redis that is paused, stopped and lied in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis as Client

from peerstack_server import line
from peerstack_server.cluster import TOPIC_PREFIX, WAITING_BYTES_MAX, Cluster, Passed
from peerstack_server.stats import Stats
from tests.services import Redis, running_redis

pytestmark = [pytest.mark.asyncio, pytest.mark.services("redis-server")]

TOPIC, NETWORK = b"t" * 32, "192.0.2.1"
WITHIN_S = 20.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@dataclass
class Process:
    """A cluster as one server process has it, and what it was told."""

    cluster: Cluster
    stats: Stats
    announced: list[tuple[bytes, Passed]] = field(default_factory=list)
    reunited: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def take(self, topic: bytes, passed: Passed) -> None:
        self.announced.append((topic, passed))

    async def ignore(self, _to: str, _passed: Passed) -> None:
        """Nobody signals here."""

    async def reunite(self) -> None:
        self.reunited.release()


@asynccontextmanager
async def process(redis: Redis) -> AsyncIterator[Process]:
    """A process that is connected."""
    stats = Stats()
    cluster = Cluster(redis.url, stats)
    made = Process(cluster, stats)
    cluster.listen(made.take, made.ignore, made.reunite)
    running = asyncio.create_task(cluster.run())
    try:
        await asyncio.wait_for(made.reunited.acquire(), WITHIN_S)
        yield made
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_topic_is_entered_no_sooner_than_redis_passes_it_on(redis: Redis) -> None:
    async with process(redis) as ana, Client.from_url(redis.url) as client:
        redis.pause()
        entering = [asyncio.create_task(ana.cluster.enter([TOPIC])) for _ in range(2)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(each.done() for each in entering)
        redis.resume()

        async with asyncio.timeout(WITHIN_S):
            await asyncio.wait(entering, return_when=asyncio.FIRST_COMPLETED)
        assert await client.publish(TOPIC_PREFIX + TOPIC, b"") == 1
        await asyncio.gather(*entering)


async def test_what_waits_for_a_redis_that_takes_nothing_is_bounded_and_given_up(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "SILENCE_S", 1.0)
    async with process(redis) as ana:
        speaking = ana.cluster._speaking
        assert speaking is not None
        redis.pause()
        box = bytes(30_000)
        telling = [
            asyncio.create_task(ana.cluster.announce(TOPIC, NETWORK, "ana", box))
            for _ in range(3 * WAITING_BYTES_MAX // len(box))
        ]
        await asyncio.sleep(0)
        assert WAITING_BYTES_MAX < speaking.waiting_bytes < WAITING_BYTES_MAX + 2 * len(box)

        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*telling)
        assert (ana.stats.passed, ana.stats.unpassed) == (0, len(telling))
        redis.resume()
        await asyncio.wait_for(ana.reunited.acquire(), WITHIN_S)
        await ana.cluster.announce(TOPIC, NETWORK, "ana", box)
        assert ana.stats.passed == 1


async def test_after_redis_was_away_everything_is_heard_that_is_wanted_by_then(
    redis: Redis,
) -> None:
    topics = [bytes([number]) * 32 for number in range(3)]
    async with process(redis) as ana, process(redis) as ben:
        await ana.cluster.enter(topics[:2])
        redis.stop()
        while ana.cluster.connected or ben.cluster.connected:
            await asyncio.sleep(0.01)
        ana.cluster.leave(topics[:1])
        await ana.cluster.enter(topics[2:])
        assert redis.start()
        for each in (ana, ben):
            await asyncio.wait_for(each.reunited.acquire(), WITHIN_S)

        for topic in topics:
            await ben.cluster.announce(topic, NETWORK, "ben", topic)
        while len(ana.announced) < 2:
            await asyncio.sleep(0.01)
        assert [topic for topic, _ in ana.announced] == topics[1:]


@pytest.mark.parametrize("content", [b"", b"\xff" * 10, b"\x94\xa1x\xa1y\xa1z\xc4\x00", b"\xc1"])
async def test_what_makes_no_sense_in_redis_is_counted_and_harms_nobody(
    redis: Redis, content: bytes
) -> None:
    async with process(redis) as ana, process(redis) as ben, Client.from_url(redis.url) as client:
        await ana.cluster.enter([TOPIC])
        await client.publish(TOPIC_PREFIX + TOPIC, content)
        await ben.cluster.announce(TOPIC, NETWORK, "ben", b"box")

        while not ana.announced:
            await asyncio.sleep(0.01)
        ((topic, passed),) = ana.announced
        assert (topic, passed.sender, passed.box) == (TOPIC, "ben", b"box")
        assert ana.stats.foreign == 1


async def test_a_redis_with_a_password_is_reached_by_who_has_it_and_by_nobody_else(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client.from_url(redis.url) as client:
        await client.config_set("requirepass", "opensesame")
        try:
            for password, connected in (("sesame", False), ("opensesame", True)):
                cluster = Cluster(redis.url.replace("//", f"//:{password}@"), Stats())
                made = Process(cluster, Stats())
                cluster.listen(made.take, made.ignore, made.reunite)
                running = asyncio.create_task(cluster.run())
                await asyncio.wait_for(cluster.tried.wait(), WITHIN_S)
                assert cluster.connected == connected
                running.cancel()
        finally:
            await client.config_set("requirepass", "")

    (told,) = [record for record in caplog.records if record.message.endswith("out of reach")]
    assert told.fields == {"because": "AuthenticationError"}  # type: ignore[attr-defined]

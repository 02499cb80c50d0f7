"""One server process: from listening to the last goodbye."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from peerstack.signaling import wire
from peerstack_server.app import Relay
from peerstack_server.carrier import Carrier
from peerstack_server.listening import listen
from peerstack_server.rooms import Rooms
from peerstack_server.settings import InvalidSetting, Settings
from peerstack_server.stats import Stats
from peerstack_server.watch import Watch

if TYPE_CHECKING:
    from peerstack_server.cluster import Cluster

log = logging.getLogger(__name__)

REPORT_S = 60


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Prints one line on standard output when ready.

    Raises `InvalidSetting` if the address cannot be listened on, the TLS files cannot be read, or
    Redis' address makes no sense.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    rooms, stats = Rooms(settings.rooms), Stats()
    cluster = _cluster(settings, stats)
    relay = Relay(rooms, settings.ice, stats, cluster, settings.ping_s)
    carrier = Carrier(settings.carrier, rooms, relay, stats)
    watch = Watch(carrier, rooms, stats, cluster, settings.metrics_token)
    async with _running(*([cluster.run()] if cluster else [])):
        if cluster is not None:
            await cluster.tried.wait()
        async with _listening(settings, carrier, watch) as site:
            async with _running(relay.keep_alive(), _tell_days(relay), _report(rooms, stats)):
                await stopping.wait()
            log.info("closing", extra={"fields": asdict(rooms.counts())})
            # Nothing comes in any more, so that who is told to come back comes to another process.
            await site.stop()
            await carrier.drain()
            await relay.stop()


def _cluster(settings: Settings, stats: Stats) -> Cluster | None:
    if not settings.redis:
        return None
    try:
        from peerstack_server.cluster import Cluster
    except ImportError:
        raise InvalidSetting("--redis needs: pip install 'peerstack[server]'") from None
    try:
        return Cluster(settings.redis, stats)
    except ValueError:
        raise InvalidSetting("--redis: write redis://:PASSWORD@HOST:6379") from None


@asynccontextmanager
async def _listening(
    settings: Settings, carrier: Carrier, watch: Watch
) -> AsyncIterator[web.BaseSite]:
    app = web.Application()
    carrier.add_to(app)
    watch.add_to(app)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=settings.request_s
    )
    await runner.setup()
    try:
        site, url = await listen(runner, settings)
        print(f"peerstack-server listening on {url}", flush=True)
        log.info("listening", extra={"fields": {"url": url}})
        yield site
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _running(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell_days(relay: Relay) -> None:
    told = wire.day_of(_wall_ms())
    while True:
        # A minute at most, so that a corrected clock or a suspended machine is noticed.
        until_midnight_s = (wire.DAY_MS - _wall_ms() % wire.DAY_MS) / 1000
        await asyncio.sleep(min(until_midnight_s, 60))
        today = wire.day_of(_wall_ms())
        if today != told:
            told = today
            relay.tell_day(today)


async def _report(rooms: Rooms, stats: Stats) -> None:
    while True:
        await asyncio.sleep(REPORT_S)
        fields = {**asdict(rooms.counts()), **asdict(stats)}
        log.info("traffic", extra={"fields": fields})


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def run(settings: Settings) -> None:
    """Run `serve` on the fastest event loop that is installed."""
    # What is loaded stays to the end, and connections come in crowds: looking through all of them
    # each time that a few are new took a fifth of letting them in.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(settings))


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

"""One server process: from listening to the last goodbye."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from aiohttp import web

from peerstack.signaling import wire
from peerstack_server.app import Relay
from peerstack_server.carrier import Carrier
from peerstack_server.rooms import Rooms
from peerstack_server.settings import InvalidSetting, Settings
from peerstack_server.stats import Stats

log = logging.getLogger(__name__)

REPORT_S = 60
BACKLOG = 1_024


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Prints one line on standard output when ready.

    Raises `InvalidSetting` if the address cannot be listened on or the TLS files cannot be read.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    rooms, stats = Rooms(settings.rooms), Stats()
    relay = Relay(rooms, settings.ice, stats)
    carrier = Carrier(settings.carrier, rooms, relay, stats)
    async with _listening(settings, carrier) as url:
        print(f"peerstack-server listening on {url}", flush=True)
        log.info("listening", extra={"fields": {"url": url}})
        async with _running(_tell_days(relay), _report(rooms, stats)):
            await stopping.wait()
        log.info("closing", extra={"fields": asdict(rooms.counts())})
        await carrier.drain()
        await relay.stop()


@asynccontextmanager
async def _listening(settings: Settings, carrier: Carrier) -> AsyncIterator[str]:
    runner = web.AppRunner(carrier.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    tls = _tls(settings)
    site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls, backlog=BACKLOG)
    try:
        await _start(site, settings)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        await runner.cleanup()


async def _start(site: web.TCPSite, settings: Settings) -> None:
    try:
        await site.start()
    except OSError as error:
        raise InvalidSetting(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. Stop "
            "what listens there, or choose another address with --host and --port"
        ) from None


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSetting(
            f"cannot use --tls-certificate {settings.tls_certificate} with --tls-key "
            f"{settings.tls_key}: {error}"
        ) from None
    return context


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
            await relay.tell_day(today)


async def _report(rooms: Rooms, stats: Stats) -> None:
    while True:
        await asyncio.sleep(REPORT_S)
        fields = {**asdict(rooms.counts()), **asdict(stats)}
        log.info("traffic", extra={"fields": fields})


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def run(settings: Settings) -> None:
    """Run `serve` on the fastest event loop that is installed."""
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

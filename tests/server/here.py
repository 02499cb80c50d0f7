"""A signaling server in this very process, for what cannot be seen of it from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from peerstack_server.app import Relay
from peerstack_server.carrier import Carrier, CarrierSettings
from peerstack_server.ice import IceSettings
from peerstack_server.rooms import Rooms
from peerstack_server.stats import Stats


@dataclass(frozen=True)
class Here:
    """Its parts, and where it is."""

    url: str
    rooms: Rooms
    carrier: Carrier


@asynccontextmanager
async def server_here() -> AsyncIterator[Here]:
    """One that serves for as long as the block lasts."""
    rooms, stats = Rooms(), Stats()
    relay = Relay(rooms, IceSettings(), stats, None, ping_s=25)
    carrier = Carrier(CarrierSettings(), rooms, relay, stats)
    app = web.Application()
    carrier.add_to(app)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield Here(f"http://{host}:{port}", rooms, carrier)
    finally:
        await carrier.drain()
        await relay.stop()
        await runner.cleanup()

"""Whom to let in: everything that can be said against a connection before it is one.

aiohttp carries it, and reads its frames: see `frames`. It must not know socket.io, nor what an
event means.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from peerstack.signaling import wire
from peerstack_server.asgi import Relaying
from peerstack_server.connection import CLOSE_S, Connection
from peerstack_server.rooms import Refused, Rooms
from peerstack_server.stats import Stats

PATH = "/socket.io/"
SPREAD_MS_PER_CONNECTION = 2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HTTP_STATUS = {
    wire.Refusal.MALFORMED: 400,
    wire.Refusal.UNAUTHORIZED: 401,
    wire.Refusal.BAD_ORIGIN: 403,
    wire.Refusal.TOO_FAST: 429,
    wire.Refusal.TOO_MANY_CONNECTIONS: 429,
    wire.Refusal.FULL: 503,
    wire.Refusal.CLOSING: 503,
}


@dataclass(frozen=True, slots=True)
class CarrierSettings:
    """Whom to let in, and how much may wait to be sent to one connection."""

    origins: tuple[str, ...] = ()
    """Web origins whose pages may connect; `*` is all. Programs that send no Origin always may."""
    token: str = field(default="", repr=False)
    """If set, devices must present it as a bearer token."""
    proxies: tuple[Network, ...] = ()
    """Where proxies connect from whose `X-Forwarded-For` is believed."""
    send_queue_bytes: int = 2**20


def network_of(peer: str | None, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """What counts as one network address: an IPv4 address, or an IPv6 /64, which is one customer's.

    Of `forwarded` (`X-Forwarded-For`) only what the named proxies wrote counts: the rest is the
    device's own invention. So it is read from its end, for as long as proxies are what is found.
    """
    hops = reversed(forwarded.split(",")) if forwarded else ()
    address = None
    for hop in (peer or "", *hops):
        address = _address(hop)
        if address is None or not any(address in proxy for proxy in proxies):
            break
    return _network(address)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(address: Address | None) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return "unknown" if address is None else str(address)


def bears(request: web.Request, token: str) -> bool:
    """Whether a request presents this token."""
    expected = f"Bearer {token}".encode()
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(expected, given)


class Carrier:
    """One WebSocket route: who may connect, and all who are connected."""

    def __init__(
        self, settings: CarrierSettings, rooms: Rooms, relay: Relaying, stats: Stats
    ) -> None:
        self._settings = settings
        self._rooms = rooms
        self._relay = relay
        self._stats = stats
        self._serving: dict[Connection, asyncio.Task[Any]] = {}
        self.draining = False

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get(PATH, self._connect)

    async def drain(self) -> None:
        """Refuse new connections; tell the others to come back, spread over time, and close."""
        self.draining = True
        closing = wire.Closing(SPREAD_MS_PER_CONNECTION * len(self._serving))
        for connection in self._serving:
            connection.say_goodbye(closing)
        if self._serving:
            await asyncio.wait(self._serving.values(), timeout=2 * CLOSE_S)

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        address = secrets.token_urlsafe(16)
        try:
            self._check(request)
            self._rooms.connect(address, self._network(request), _now_ms())
        except Refused as refused:
            return self._refuse(refused.problem)
        self._stats.opened += 1
        try:
            return await self._serve(request, address)
        finally:
            # A registration lives exactly as long as its own socket, whatever is sent on it.
            self._relay.ended(address)

    async def _serve(self, request: web.Request, address: str) -> web.StreamResponse:
        bytes_max = self._settings.send_queue_bytes
        connection = Connection(request, address, self._rooms, self._relay, self._stats, bytes_max)
        self._serving[connection] = _this_task()
        try:
            return await connection.run()
        finally:
            del self._serving[connection]

    def _check(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if self.draining:
            raise Refused(wire.Problem(wire.Refusal.CLOSING, "the server goes down"))
        if origin is not None and not {origin, "*"} & set(self._settings.origins):
            raise Refused(wire.Problem(wire.Refusal.BAD_ORIGIN, "not from this web page"))
        if not self._authorized(request):
            raise Refused(wire.Problem(wire.Refusal.UNAUTHORIZED, "the access token is wrong"))
        if not web.WebSocketResponse().can_prepare(request).ok:
            raise Refused(wire.Problem(wire.Refusal.MALFORMED, "only WebSocket is served here"))

    def _authorized(self, request: web.Request) -> bool:
        return not self._settings.token or bears(request, self._settings.token)

    def _network(self, request: web.Request) -> str:
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
        return network_of(request.remote, forwarded, self._settings.proxies)

    def _refuse(self, problem: wire.Problem) -> web.Response:
        self._stats.refused[problem.error] += 1
        return web.json_response(wire.body(problem), status=HTTP_STATUS[problem.error])


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000

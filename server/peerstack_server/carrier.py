"""Sockets: whom to let in, and which frames. Everything is bounded here before it is parsed.

aiohttp carries it because it was measured, by the load of `python -m benchmarks server`: with
nothing but a dictionary of sockets it relays 31,000 boxes of 1.2 kB a CPU second and keeps 14 kB of
a connection, and with all that this package checks 23,000 and 19. It must not know socket.io, nor
what an event means.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
import time
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from peerstack import limits
from peerstack.signaling import wire
from peerstack_server.asgi import FRAME_KEY, SOCKET_KEY, Message, Relaying, text_frame
from peerstack_server.rooms import Refused, Rooms
from peerstack_server.stats import Stats

PATH = "/socket.io/"
CLOSE_S = 1.0
PAUSE_MAX_MS = 1_000
SPREAD_MS_PER_CONNECTION = 2
# Up to here an oversize frame gets a named error, beyond it the connection ends (WebSocket 1009).
FRAME_BYTES = 4 * limits.SIGNALING_MESSAGE_BYTES
NEVER_PAUSE_BYTES = 2**31

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
        self._sockets: set[_Socket] = set()
        self.draining = False

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get(PATH, self._connect)

    async def drain(self) -> None:
        """Refuse new connections; tell the others to come back, spread over time, and close."""
        self.draining = True
        closing = wire.Closing(SPREAD_MS_PER_CONNECTION * len(self._sockets))
        goodbyes = [asyncio.create_task(s.say_goodbye(closing)) for s in self._sockets]
        if goodbyes:
            await asyncio.wait(goodbyes, timeout=2 * CLOSE_S)

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        address = secrets.token_urlsafe(16)
        try:
            self._check(request)
            self._rooms.connect(address, self._network(request), _now_ms())
        except Refused as refused:
            return self._refuse(refused.problem)
        socket = _Socket(request, address, self._rooms, self._stats, self._settings)
        self._sockets.add(socket)
        self._stats.opened += 1
        try:
            return await socket.run(self._relay)
        finally:
            # A registration lives exactly as long as its own socket, whatever is sent on it.
            self._sockets.discard(socket)
            self._relay.ended(address)

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


class _Socket:
    """One WebSocket, as the `receive` and `send` of an ASGI application, and as a `Socket`."""

    __slots__ = (
        *("_connecting", "_request", "_rooms", "_send_queue_bytes", "_stats", "_ws"),
        *("address", "alive"),
    )

    def __init__(
        self,
        request: web.Request,
        address: str,
        rooms: Rooms,
        stats: Stats,
        settings: CarrierSettings,
    ) -> None:
        self._request = request
        self.address = address
        self._rooms = rooms
        self._stats = stats
        self._send_queue_bytes = settings.send_queue_bytes
        self.alive = True
        self._connecting = True
        # No compression (no bombs), no automatic pongs (they would be free of charge), and no pause
        # in writing: what waits is bounded by `write` instead.
        self._ws = web.WebSocketResponse(
            timeout=CLOSE_S,
            autoping=False,
            compress=False,
            max_msg_size=FRAME_BYTES,
            writer_limit=NEVER_PAUSE_BYTES,
        )

    async def run(self, relay: Relaying) -> web.StreamResponse:
        """Serve until the connection ends."""
        scope = {
            "type": "websocket",
            "path": self._request.path,
            "query_string": self._request.query_string.encode(),
            "headers": _HEADERS,
            SOCKET_KEY: self,
        }
        await relay(scope, self._receive, self._send)
        if self._ws.prepared:
            return self._ws
        return web.json_response({"error": wire.Refusal.MALFORMED.value}, status=400)

    async def say_goodbye(self, closing: wire.Closing) -> None:
        """Tell the device to come back later, and close."""
        if self._ws.prepared and not self._ws.closed:
            self.write(text_frame(wire.event_frame(closing)))
            await self._ws.close(code=WSCloseCode.GOING_AWAY)

    async def _receive(self) -> Message:
        if self._connecting:
            self._connecting = False
            return {"type": "websocket.connect"}
        while True:
            message = await self._ws.receive()
            if message.type not in _CONTENT:
                return {"type": "websocket.disconnect"}
            frame = await self._admit(message)
            if frame is not None and frame.leaving:
                return {"type": "websocket.disconnect"}
            if frame is not None:
                self.alive = True
                return {"type": "websocket.receive", "text": message.data, FRAME_KEY: frame}

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                await self._ws.prepare(self._request)
            case "websocket.send":
                self.write(text_frame(message["text"]))
            case _ if self._ws.prepared:
                await self._ws.close()

    async def _admit(self, message: WSMessage) -> wire.Frame | None:
        """The frame, or None if there is nothing more to do about it."""
        frame = _judge(message)
        problem = wire.Problem(frame.refusal) if frame.refusal else None
        try:
            self._rooms.spend(self.address, _now_ms())
        except Refused as refused:
            problem = refused.problem
        if problem is not None:
            await self._tell(frame.ack, problem)
            return None
        if message.type is WSMsgType.PING:
            await self._ws.pong(message.data)
        return frame if message.type is WSMsgType.TEXT else None

    async def _tell(self, ack: str, problem: wire.Problem) -> None:
        self._stats.refused[problem.error] += 1
        self.write(text_frame(wire.problem_frame(ack, problem)))
        # Reading no further makes a flood cost no more than the rate that is allowed.
        await asyncio.sleep(min(problem.wait_ms, PAUSE_MAX_MS) / 1000)

    def write(self, frame: bytes) -> None:
        """Send a frame as it is, or nothing where the connection ends."""
        transport = self._request.transport
        if transport is None or transport.is_closing() or self._ws.closed:
            return
        if transport.get_write_buffer_size() > self._send_queue_bytes:
            self._stats.slow_readers += 1
            transport.abort()
            return
        transport.write(frame)

    def cut(self) -> None:
        """End it at once, without waiting for the device to agree."""
        if self._request.transport is not None:
            self._request.transport.abort()


_HEADERS = ((b"connection", b"upgrade"), (b"upgrade", b"websocket"))
"""What the relay is told of all that a device said: it is kept for as long as the connection."""

_CONTENT = frozenset({WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG})


def _judge(message: WSMessage) -> wire.Frame:
    if message.type is WSMsgType.TEXT:
        return wire.decode_untrusted_frame(message.data)
    if message.type is WSMsgType.BINARY:
        return wire.Frame(refusal=wire.Refusal.MALFORMED)
    return wire.Frame()


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000

"""The socket.io side: unpacks requests, asks `rooms`, relays. The only module that knows socket.io.

It holds no state of its own about devices, and sees only frames that `carrier` let through.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import orjson
import socketio
from msgspec import Struct

from peerstack import limits
from peerstack.errors import RemoteError
from peerstack.signaling import wire
from peerstack_server.asgi import ADDRESS_KEY, Message, Receive, Send
from peerstack_server.ice import IceSettings, ice_servers
from peerstack_server.rooms import Refused, Rooms
from peerstack_server.stats import Stats


class Json:
    """orjson in the form that python-socketio expects."""

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        """JSON text."""
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str) -> object:
        """The value, or for text that is no JSON an event that no handler takes.

        Raising would leave the request without an answer and the log with a traceback.
        """
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return ["malformed"]


class Relay:
    """An ASGI application that serves one WebSocket per call."""

    def __init__(self, rooms: Rooms, ice: IceSettings, stats: Stats) -> None:
        self._rooms = rooms
        self._ice = ice
        self._stats = stats
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            json=Json,
            transports=["websocket"],
            # In order, one at a time per connection; refusals happen before the upgrade.
            async_handlers=False,
            always_connect=True,
            cors_allowed_origins=[],
            max_http_buffer_size=limits.SIGNALING_MESSAGE_BYTES,
        )
        self._server.on("connect", self._welcome)
        self._server.on("*", self._answer)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one WebSocket until it ends."""
        await self._server.handle_request(scope, receive, send)

    async def tell_day(self, day: int) -> None:
        """Tell every device that a new day began."""
        event = wire.DayChanged(day)
        await self._server.emit(wire.name(event), wire.body(event))

    async def stop(self) -> None:
        """Stop socket.io's background tasks."""
        await self._server.shutdown()

    async def _welcome(self, sid: str, environ: Message, _auth: object = None) -> None:
        address = environ["asgi.scope"][ADDRESS_KEY]
        await self._server.enter_room(sid, address)
        bounds = self._rooms.limits
        day = wire.day_of(time.time_ns() // 1_000_000)
        welcome = wire.Welcome(
            address, day, wire.VERSION, bounds.topics_per_connection, bounds.box_bytes
        )
        await self._emit(welcome, address)

    async def _answer(self, event: str, sid: str, *arguments: object) -> dict[str, Any]:
        address = self._server.get_environ(sid)["asgi.scope"][ADDRESS_KEY]
        try:
            request = wire.decode_untrusted_request(event, arguments)
            return wire.body(await self._handle(address, request))
        except RemoteError as error:
            return self._problem(wire.Problem(wire.Refusal.MALFORMED, error.detail))
        except Refused as refused:
            return self._problem(refused.problem)

    def _problem(self, problem: wire.Problem) -> dict[str, Any]:
        self._stats.refused[problem.error] += 1
        return wire.body(problem)

    async def _handle(self, address: str, request: wire.Request) -> Struct:
        match request:
            case wire.Join(topics):
                self._rooms.join(address, topics)
            case wire.Leave(topics):
                self._rooms.leave(address, topics)
            case wire.Announce():
                await self._announce(address, request)
            case wire.Signal():
                return await self._signal(address, request)
            case wire.AskIce():
                return ice_servers(self._ice, secrets.token_hex(4), int(time.time()))
        return wire.Done()

    async def _announce(self, address: str, request: wire.Announce) -> None:
        now_ms = time.monotonic_ns() // 1_000_000
        recipients = self._rooms.announce(address, request.topic, request.box, now_ms)
        if recipients:
            await self._emit(wire.Announced(request.topic, request.box, address), *recipients)
            self._stats.relayed += len(recipients)

    async def _signal(self, address: str, request: wire.Signal) -> wire.Delivery:
        now_ms = time.monotonic_ns() // 1_000_000
        delivered = self._rooms.signal(address, request.to, request.box, now_ms)
        if delivered:
            await self._emit(wire.Signaled(request.box, address), request.to)
            self._stats.relayed += 1
        return wire.Delivery(delivered)

    async def _emit(self, event: Struct, *addresses: str) -> None:
        await self._server.emit(wire.name(event), wire.body(event), to=list(addresses))

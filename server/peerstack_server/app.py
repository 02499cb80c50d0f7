"""The socket.io side: unpacks requests, asks `rooms`, relays. The only module that knows socket.io.

It holds no state of its own about devices, and sees only frames that `carrier` let through. Where
several processes act as one, it tells the others by `cluster`, and devices here what others told.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    # Redis' library is there, and loaded, where there are several processes.
    from peerstack_server.cluster import Cluster, Passed

AGAIN_MS_PER_CONNECTION: Final = 5
WELCOMED: Final = "welcomed"
"""The room of all; no address is as short."""


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

    def __init__(
        self, rooms: Rooms, ice: IceSettings, stats: Stats, cluster: Cluster | None, ping_s: int
    ) -> None:
        self._rooms = rooms
        self._ice = ice
        self._stats = stats
        self._cluster = cluster
        self._copies = int(cluster is not None)
        if cluster is not None:
            cluster.listen(self._announced_elsewhere, self._signaled_elsewhere, self._ask_again)
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            json=Json,
            transports=["websocket"],
            # In order, one at a time per connection; refusals happen before the upgrade.
            async_handlers=False,
            always_connect=True,
            cors_allowed_origins=[],
            ping_interval=ping_s,
            ping_timeout=ping_s,
            max_http_buffer_size=limits.SIGNALING_MESSAGE_BYTES,
        )
        self._server.on("connect", self._welcome)
        self._server.on("*", self._answer)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one WebSocket until it ends."""
        await self._server.handle_request(scope, receive, send)

    def ended(self, address: str) -> None:
        """A connection is over, however far it came."""
        emptied = self._rooms.disconnect(address)
        if self._cluster is not None:
            self._cluster.depart(address)
            self._cluster.leave(emptied)

    async def tell_day(self, day: int) -> None:
        """Tell every device that a new day began."""
        await self._emit(wire.DayChanged(day), WELCOMED)

    async def stop(self) -> None:
        """Stop socket.io's background tasks."""
        await self._server.shutdown()

    async def _welcome(self, sid: str, environ: Message, _auth: object = None) -> None:
        address = environ["asgi.scope"][ADDRESS_KEY]
        await self._server.enter_room(sid, address)
        if self._cluster is not None:
            await self._cluster.arrive(address)
        bounds = self._rooms.limits
        day = wire.day_of(time.time_ns() // 1_000_000)
        welcome = wire.Welcome(
            address, day, wire.VERSION, bounds.topics_per_connection, bounds.box_bytes
        )
        # What is told to all must not come before this.
        await self._server.enter_room(sid, WELCOMED)
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
                self._rooms.spend_topics(address, len(topics), _now_ms())
                self._rooms.join(address, topics)
                if self._cluster is not None:
                    # Of two who join and then announce, one at least hears the other.
                    await self._cluster.enter(topics)
            case wire.Leave(topics):
                emptied = self._rooms.leave(address, topics)
                if self._cluster is not None:
                    self._cluster.leave(emptied)
            case wire.Announce():
                await self._announce(address, request)
            case wire.Signal():
                return await self._signal(address, request)
            case wire.AskIce():
                return ice_servers(self._ice, address, int(time.time()))
        return wire.Done()

    async def _announce(self, address: str, request: wire.Announce) -> None:
        topic, box, network = request.topic, request.box, self._rooms.network(address)
        recipients = self._rooms.announce(address, topic, box, _now_ms(), self._copies)
        await self._relay(wire.Announced(topic, box, address), *recipients)
        if self._cluster is not None:
            await self._cluster.announce(topic, network, address, box)

    async def _signal(self, address: str, request: wire.Signal) -> wire.Delivery:
        to, box = request.to, request.box
        delivered: bool | None = self._rooms.signal(address, to, box, _now_ms(), self._copies)
        if delivered:
            await self._relay(wire.Signaled(box, address), to)
        elif self._cluster is not None:
            network = self._rooms.network(address)
            delivered = await self._cluster.signal(to, network, address, box)
        if delivered is None:
            detail = "nobody has this address in the part of the server that can be reached now"
            raise Refused(wire.Problem(wire.Refusal.UNAVAILABLE, detail))
        return wire.Delivery(delivered)

    # --- From other processes. ------------------------------------------------------------------

    async def _announced_elsewhere(self, topic: bytes, passed: Passed) -> None:
        network, box, sender = passed.network, passed.box, passed.sender
        try:
            recipients = self._rooms.announce_from_elsewhere(network, topic, box, _now_ms())
        except Refused as refused:
            # Who sent it is on another process, and was answered there.
            self._stats.refused[refused.problem.error] += 1
            return
        await self._relay(wire.Announced(topic, box, sender), *recipients)

    async def _signaled_elsewhere(self, to: str, passed: Passed) -> None:
        if self._rooms.has(to):
            await self._relay(wire.Signaled(passed.box, passed.sender), to)

    async def _ask_again(self) -> None:
        connections = self._rooms.counts().connections
        await self._emit(wire.Again(AGAIN_MS_PER_CONNECTION * connections), WELCOMED)

    async def _relay(self, event: Struct, *addresses: str) -> None:
        if addresses:
            await self._emit(event, *addresses)
            self._stats.relayed += len(addresses)

    async def _emit(self, event: Struct, *rooms: str) -> None:
        await self._server.emit(wire.name(event), wire.body(event), to=list(rooms))


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000

"""The socket.io side: unpacks requests, asks `rooms`, relays. The only module that knows socket.io.

Of devices it holds only their sockets, and it sees only frames that `carrier` let through. Where
several processes act as one, it tells the others by `cluster`, and devices here what others told.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Final

import orjson
import socketio
from msgspec import Struct

from peerstack import limits
from peerstack.errors import RemoteError
from peerstack.signaling import wire
from peerstack_server.asgi import (
    Message,
    Receive,
    Rest,
    Send,
    Socket,
    text_frame,
)
from peerstack_server.heartbeat import Greeting, Heartbeat
from peerstack_server.ice import IceSettings, ice_servers
from peerstack_server.rooms import Refused, Rooms
from peerstack_server.stats import Stats

if TYPE_CHECKING:
    # Redis' library is there, and loaded, where there are several processes.
    from peerstack_server.cluster import Cluster, Passed

AGAIN_MS_PER_CONNECTION: Final = 5


class Json:
    """orjson in the form that python-socketio expects."""

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        """JSON text."""
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str) -> object:
        """The value, or for text that is no JSON an event that no handler takes.

        Raising would leave the log with a traceback.
        """
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return ["malformed"]


class Relay:
    """What is behind the connections: it greets devices, and does what they ask for."""

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
            cors_allowed_origins=[],
            # A greeting takes less than a second, or gets a sign of life from the library then;
            # what devices are told is the sum.
            ping_interval=(1, ping_s - 1),
            ping_timeout=ping_s,
            max_http_buffer_size=limits.SIGNALING_MESSAGE_BYTES,
        )
        self._server.on("connect", lambda _sid, _environ, _auth: None)
        self._heartbeat = Heartbeat(ping_s)
        self._sockets: dict[str, Socket] = {}

    async def greet(self, scope: Message, receive: Receive, send: Send) -> bool:
        """Whether a device is let in."""
        greeting = Greeting(receive, send)
        await self._server.handle_request(scope, greeting.receive, greeting.send)
        return greeting.admitted

    async def welcome(self, socket: Socket) -> None:
        """Say the first words to a device that was let in, and serve it from now on."""
        if self._cluster is not None:
            await self._cluster.arrive(socket.address)
        bounds = self._rooms.limits
        day = wire.day_of(time.time_ns() // 1_000_000)
        welcome = wire.Welcome(
            socket.address, day, wire.VERSION, bounds.topics_per_connection, bounds.box_bytes
        )
        # What is told to all must not come before this.
        socket.write(text_frame(wire.event_frame(welcome)))
        self._sockets[socket.address] = socket
        self._heartbeat.watch(socket)

    def answer(self, socket: Socket, text: str, frame: wire.Frame) -> Rest | None:
        """Do what a frame asks for: at once, but for what other processes are to be asked."""
        try:
            answer = self._handle(socket.address, wire.decode_untrusted_question(text, frame))
        except RemoteError as error:
            answer = self._problem(wire.Problem(wire.Refusal.MALFORMED, error.detail))
        except Refused as refused:
            answer = self._problem(refused.problem)
        if not isinstance(answer, Struct):
            return self._answer_later(socket, frame.ack, answer)
        socket.write(text_frame(wire.answer_frame(frame.ack, answer)))
        return None

    def ended(self, address: str) -> None:
        """A connection is over, however far it came."""
        socket = self._sockets.pop(address, None)
        if socket is not None:
            self._heartbeat.forget(socket)
        emptied = self._rooms.disconnect(address)
        if self._cluster is not None:
            self._cluster.depart(address)
            self._cluster.leave(emptied)

    def tell_day(self, day: int) -> None:
        """Tell every device that a new day began."""
        self._tell(wire.DayChanged(day), self._sockets)

    async def keep_alive(self) -> None:
        """Ask all devices for signs of life, until cancelled."""
        await self._heartbeat.run()

    async def stop(self) -> None:
        """Stop socket.io's background tasks."""
        await self._server.shutdown()

    async def _answer_later(self, socket: Socket, ack: str, awaited: Awaitable[Struct]) -> None:
        try:
            answer = await awaited
        except Refused as refused:
            answer = self._problem(refused.problem)
        socket.write(text_frame(wire.answer_frame(ack, answer)))

    def _problem(self, problem: wire.Problem) -> wire.Problem:
        self._stats.refused[problem.error] += 1
        return problem

    def _handle(self, address: str, request: wire.Request) -> Struct | Awaitable[Struct]:
        match request:
            case wire.Signal():
                return self._signal(address, request)
            case wire.Announce():
                return self._announce(address, request)
            case wire.Join(topics):
                return self._join(address, topics)
            case wire.Leave(topics):
                emptied = self._rooms.leave(address, topics)
                if self._cluster is not None:
                    self._cluster.leave(emptied)
            case wire.AskIce():
                return ice_servers(self._ice, address, int(time.time()))
        return _DONE

    def _join(self, address: str, topics: tuple[bytes, ...]) -> Struct | Awaitable[Struct]:
        self._rooms.spend_topics(address, len(topics), _now_ms())
        self._rooms.join(address, topics)
        # Of two who join and then announce, one at least hears the other.
        return _DONE if self._cluster is None else _done_after(self._cluster.enter(topics))

    def _announce(self, address: str, request: wire.Announce) -> Struct | Awaitable[Struct]:
        topic, box = request.topic, request.box
        recipients = self._rooms.announce(address, topic, box, _now_ms(), self._copies)
        self._relay(wire.Announced(topic, box, address), recipients)
        if self._cluster is None:
            return _DONE
        network = self._rooms.network(address)
        return _done_after(self._cluster.announce(topic, network, address, box))

    def _signal(self, address: str, request: wire.Signal) -> Struct | Awaitable[Struct]:
        to, box = request.to, request.box
        if self._rooms.signal(address, to, box, _now_ms(), self._copies):
            self._relay(wire.Signaled(box, address), (to,))
            return _DELIVERED
        if self._cluster is None:
            return _GONE
        return self._signal_elsewhere(self._cluster, address, request)

    async def _signal_elsewhere(
        self, cluster: Cluster, address: str, request: wire.Signal
    ) -> wire.Delivery:
        network = self._rooms.network(address)
        delivered = await cluster.signal(request.to, network, address, request.box)
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
        self._relay(wire.Announced(topic, box, sender), recipients)

    async def _signaled_elsewhere(self, to: str, passed: Passed) -> None:
        if self._rooms.has(to):
            self._relay(wire.Signaled(passed.box, passed.sender), (to,))

    async def _ask_again(self) -> None:
        connections = self._rooms.counts().connections
        self._tell(wire.Again(AGAIN_MS_PER_CONNECTION * connections), self._sockets)

    def _relay(self, event: Struct, addresses: tuple[str, ...]) -> None:
        if addresses:
            self._tell(event, addresses)
            self._stats.relayed += len(addresses)

    def _tell(self, event: Struct, addresses: Iterable[str]) -> None:
        frame = text_frame(wire.event_frame(event))
        for address in addresses:
            # Whoever is still being greeted is not told.
            if socket := self._sockets.get(address):
                socket.write(frame)


_DONE: Final = wire.Done()
_DELIVERED: Final = wire.Delivery(True)
_GONE: Final = wire.Delivery(False)


async def _done_after(told: Awaitable[None]) -> wire.Done:
    await told
    return _DONE


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000

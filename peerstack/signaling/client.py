"""One device's connection to one signaling server, kept up until closed. The only socket.io import.

It moves opaque boxes and believes nothing the server says; what a topic or a box means, and what to
join or announce after a connection comes up, is for whoever receives its events.
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp
import orjson
import socketio
from socketio import packet

from peerstack import limits
from peerstack.errors import LocalError, Reason, RemoteError
from peerstack.ports import Entropy
from peerstack.signaling import wire
from peerstack.signaling.address import authorization, checked_url, split_token
from peerstack.signaling.reach import explain

CONNECT_S: Final = 10.0
ANSWER_S: Final = 10.0
HANG_UP_S: Final = 1.0
STABLE_S: Final = 30.0
"""A connection that lived this long was no failure: the next attempt comes soon."""

TRIES: Final = 4
"""How often a request is made while the server says that it comes too fast."""

WAIT_MAX_MS: Final = 5_000
SPREAD_MAX_MS: Final = 60_000
MALFORMED_MAX: Final = 16
"""After as many things that make no sense, the connection is dropped."""

Reply = TypeVar("Reply", wire.Done, wire.Delivery, wire.IceServers)


class State(enum.StrEnum):
    """Where the connection stands."""

    CONNECTING = "connecting"
    """For the first time, so there is nothing to say yet of how it goes."""
    OFFLINE = "offline"
    ONLINE = "online"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection, or an attempt at one, failed. `reason` says what to do about it."""

    reason: str


SignalingEvent = (
    wire.Welcome
    | wire.DayChanged
    | wire.Announced
    | wire.Signaled
    | wire.Again
    | wire.Problem
    | Disconnected
)
OnEvent = Callable[[SignalingEvent], None]


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long to wait between attempts: twice as long each time, and never the same for two."""

    first_ms: int = 500
    most_ms: int = 60_000

    def delay_ms(self, failures: int, entropy: Entropy) -> int:
        """A random time between half and all of `first_ms` doubled `failures` times."""
        longest = min(self.most_ms, self.first_ms << min(failures, 32))
        return longest // 2 + _draw_below(longest // 2 + 1, entropy)


class SignalingClient:
    """Connects to one server, and again whenever the connection ends, until closed.

    `on_event` is called from the event loop with each `SignalingEvent`: first a `Welcome` (again
    after each reconnection, with a new address and no topics joined), then what arrives, and a
    `Disconnected` when the connection or an attempt at one fails. Requests are safe in every state:
    offline they do nothing and say so. A `Problem` in answer to one is reported as an event.

    Raises `InvalidValue` if `url` is no http or https URL, as `checked_url` says.
    """

    def __init__(
        self,
        url: str,
        on_event: OnEvent,
        entropy: Entropy,
        *,
        back_off: BackOff | None = None,
    ) -> None:
        self.url, token = split_token(checked_url(url))
        """Where the server is, without the access token."""
        self.reason = f"not yet connected to {self.url}"
        self.refused: Counter[Reason] = Counter()
        """What the server sent that could not be accepted."""
        self._on_event = on_event
        self._entropy = entropy
        self._headers = authorization(token)
        self._back_off = back_off or BackOff()
        self._connection: _Connection | None = None
        self._running: asyncio.Task[None] | None = None
        self._tried = False
        self._closed = False

    @property
    def state(self) -> State:
        """Where the connection stands; `reason` says why it is not online."""
        if self._closed:
            return State.CLOSED
        if self._connection is not None:
            return State.ONLINE
        return State.OFFLINE if self._tried else State.CONNECTING

    def start(self) -> None:
        """Begin to connect. Raises `LocalError` if this client was started or closed before."""
        if self._closed or self._running is not None:
            raise LocalError(f"the client of {self.url} was started before: make a new one")
        self._running = asyncio.create_task(self._run(), name=f"signaling {self.url}")

    async def close(self) -> None:
        """Hang up and stop for good. May be called in every state, and again."""
        self._closed = True
        self.reason = "closed"
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.wait({running})

    async def join(self, topics: Iterable[bytes]) -> bool:
        """Enter topics, all or none. Whether it was done."""
        return await self._ask(wire.Join(tuple(topics)), wire.Done) is not None

    async def leave(self, topics: Iterable[bytes]) -> bool:
        """Leave topics. Whether it was done."""
        return await self._ask(wire.Leave(tuple(topics)), wire.Done) is not None

    async def announce(self, topic: bytes, box: bytes) -> bool:
        """Send a box to everyone else in a topic that was joined. Whether the server relayed it."""
        return await self._ask(wire.Announce(topic, box), wire.Done) is not None

    async def signal(self, to: str, box: bytes) -> bool | None:
        """Send a box to one address. False if nobody has it any more; None if it was not sent."""
        delivery = await self._ask(wire.Signal(to, box), wire.Delivery)
        return None if delivery is None else delivery.delivered

    async def ice(self) -> wire.IceServers | None:
        """STUN and TURN servers with fresh credentials; None if the server did not say."""
        return await self._ask(wire.AskIce(), wire.IceServers)

    async def _ask(self, request: wire.Request, kind: type[Reply]) -> Reply | None:
        for _ in range(TRIES):
            connection = self._connection
            answer = await connection.ask(request, kind) if connection else None
            if not isinstance(answer, wire.Problem):
                return answer
            if answer.error is not wire.Refusal.TOO_FAST:
                break
            await asyncio.sleep(min(answer.wait_ms, WAIT_MAX_MS) / 1000)
        if isinstance(answer, wire.Problem):
            self._on_event(answer)
        return None

    async def _run(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            connection = _Connection(self.url, self._headers, self._receive, self.refused)
            try:
                self.reason = await connection.run()
            finally:
                self._connection = None
                self._tried = True
            failures = 0 if loop.time() - began > STABLE_S else failures + 1
            self._on_event(Disconnected(self.reason))
            spread_ms = _draw_below(connection.spread_ms + 1, self._entropy)
            delay_ms = self._back_off.delay_ms(failures - 1 if failures else 0, self._entropy)
            await asyncio.sleep((delay_ms + spread_ms) / 1000)

    def _receive(self, connection: _Connection, event: wire.Event) -> None:
        if self._closed or isinstance(event, wire.Closing):
            return
        if isinstance(event, wire.Welcome):
            self._connection = connection
            self.reason = ""
        self._on_event(event)


class _Connection:
    """One attempt at a connection, and its life if it succeeds."""

    def __init__(
        self,
        url: str,
        headers: dict[str, str],
        receive: Callable[[_Connection, wire.Event], None],
        refused: Counter[Reason],
    ) -> None:
        self.spread_ms = 0
        self._url = url
        self._headers = headers
        self._receive = receive
        self._refused = refused
        self._malformed = 0
        self._welcomed = asyncio.Event()
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._socket: socketio.AsyncClient = None

    async def run(self) -> str:
        """Connect and stay until the connection ends; why it ended."""
        async with aiohttp.ClientSession(trust_env=True) as http:
            self._socket = self._new_socket(http)
            try:
                return await self._live()
            except Exception as error:
                # A server can make the libraries below raise nearly anything.
                return explain(self._url, error)
            finally:
                self._end("the connection was closed")
                await self._hang_up()

    async def ask(self, request: wire.Request, kind: type[Reply]) -> Reply | wire.Problem | None:
        """The server's answer, or None if there is none. No answer in time ends the connection."""
        answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def settle(*values: object) -> None:
            if not answered.done():
                answered.set_result(values[0] if values else None)

        try:
            await self._socket.emit(wire.name(request), wire.body(request), callback=settle)
        except socketio.exceptions.SocketIOError:
            return None
        pending: set[asyncio.Future[Any]] = {answered, self._ended}
        await asyncio.wait(pending, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if answered.done():
            return self._decode(answered.result(), kind)
        self._end(f"the signaling server {self._url} does not answer: it may be overloaded")
        return None

    def _decode(self, answer: object, kind: type[Reply]) -> Reply | wire.Problem | None:
        try:
            return wire.decode_untrusted_answer(answer, kind)
        except RemoteError as error:
            self._refuse(error)
            return None

    def _new_socket(self, http: aiohttp.ClientSession) -> socketio.AsyncClient:
        socket = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            serializer=_Packet,
            http_session=http,
            websocket_extra_options={"max_msg_size": limits.SIGNALING_MESSAGE_BYTES},
        )
        socket.on("*", self._on_message)
        socket.on("disconnect", self._on_disconnect)
        socket.on("connect_error", self._on_rejected)
        return socket

    async def _live(self) -> str:
        async with asyncio.timeout(CONNECT_S):
            await self._socket.connect(
                self._url,
                headers=dict(self._headers),
                transports=["websocket"],
                wait_timeout=CONNECT_S,
            )
            await self._welcomed.wait()
        return await self._ended

    async def _hang_up(self) -> None:
        tasks = {self._socket.eio.read_loop_task, self._socket.eio.write_loop_task} - {None}
        # Politeness may fail in any way: what counts is that nothing is left running.
        with suppress(Exception):
            async with asyncio.timeout(HANG_UP_S):
                await self._socket.disconnect()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def _on_disconnect(self, _reason: str = "") -> None:
        self._end(f"the signaling server {self._url} ended the connection; trying again")

    def _on_rejected(self, *_said: object) -> None:
        # Before the welcome, `connect` raises what is said. Behind it, the library would go on
        # listening on a connection on which it lets nothing be sent any more.
        if self._welcomed.is_set():
            self._on_disconnect()

    def _on_message(self, name: str, *arguments: object) -> None:
        if self._ended.done():
            return
        try:
            event = wire.decode_untrusted_event(name, arguments)
            self._check_order(event)
        except RemoteError as error:
            self._refuse(error)
            return
        if isinstance(event, wire.Closing):
            self.spread_ms = min(event.spread_ms, SPREAD_MAX_MS)
            self._end(f"the signaling server {self._url} goes down; trying again")
        self._receive(self, event)

    def _check_order(self, event: wire.Event) -> None:
        first = isinstance(event, wire.Welcome)
        if first is self._welcomed.is_set():
            raise RemoteError(Reason.UNEXPECTED, "the welcome comes first, and once")
        if first:
            self._welcomed.set()

    def _refuse(self, error: RemoteError) -> None:
        self._refused[error.reason] += 1
        self._malformed += 1
        if self._malformed >= MALFORMED_MAX:
            self._end(f"{self._url} is no signaling server of peerstack: check the URL")


class _Json:
    """orjson in the form that python-socketio expects."""

    @staticmethod
    def dumps(value: object, **_: object) -> str:
        return orjson.dumps(value).decode()

    loads = staticmethod(orjson.loads)


class _Packet(packet.Packet):  # type: ignore[misc]
    """A socket.io packet that can be nothing but what `wire` knows.

    Anything else becomes an event that is counted as malformed: raising here would only end a task
    of the library that nobody waits for, and attachments would be waited for without a bound.
    """

    uses_binary_events = False
    json = _Json

    def __init__(self, *values: Any, encoded_packet: object = None, **named: Any) -> None:
        if encoded_packet is not None and not encoded_packet:
            encoded_packet = "empty"
        super().__init__(*values, encoded_packet=encoded_packet, **named)

    def decode(self, encoded_packet: object) -> int:
        try:
            if isinstance(encoded_packet, str) and wire.is_from_server(encoded_packet):
                return int(super().decode(encoded_packet))
        except ValueError:
            pass
        self.packet_type, self.namespace, self.id = packet.EVENT, None, None
        self.data = ["malformed"]
        return 0


def _draw_below(bound: int, entropy: Entropy) -> int:
    return int.from_bytes(entropy.draw(8), "big") % bound

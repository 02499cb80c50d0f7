"""One WebSocket: which of its frames are let through, and what is sent to it.

Everything is bounded here before it is parsed. It must not know socket.io, nor what an event means.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.http import WS_CLOSING_MESSAGE, WebSocketReader

from peerstack.signaling import wire
from peerstack_server.asgi import Message, Relaying, Rest, control_frame, text_frame
from peerstack_server.frames import Heard, Inbox, upgrade
from peerstack_server.rooms import Refused, Rooms
from peerstack_server.stats import Stats

CLOSE_S: Final = 1.0
PAUSE_MAX_MS: Final = 1_000


class Connection:
    """`receive` and `send` of an ASGI application until a device is let in; a `Socket` then."""

    __slots__ = (
        *("_connecting", "_inbox", "_open", "_reader", "_relay", "_request", "_response"),
        *("_rooms", "_send_queue_bytes", "_stats", "_transport", "address", "alive"),
    )

    def __init__(
        self,
        request: web.Request,
        address: str,
        rooms: Rooms,
        relay: Relaying,
        stats: Stats,
        send_queue_bytes: int,
    ) -> None:
        if request.transport is None:
            raise ConnectionResetError("it ended before it was answered")
        self.address = address
        self.alive = True
        self._request = request
        self._transport = request.transport
        self._rooms = rooms
        self._relay = relay
        self._stats = stats
        self._send_queue_bytes = send_queue_bytes
        self._inbox = Inbox(request)
        self._reader: WebSocketReader | None = None
        self._response: web.StreamResponse | None = None
        self._connecting = True
        self._open = False
        """Whether frames may be sent: between the two handshakes."""

    async def run(self) -> web.StreamResponse:
        """Serve until the connection ends."""
        path, query = self._request.path, self._request.query_string.encode()
        scope = {"type": "websocket", "path": path, "query_string": query, "headers": _HEADERS}
        if await self._relay.greet(scope, self._receive, self._send):
            await self._relay.welcome(self)
            while self._open:
                await (await self._inbox.rest(self._hear))
        await self._close(WSCloseCode.OK)
        if self._response is None:
            return web.json_response({"error": wire.Refusal.MALFORMED.value}, status=400)
        return self._response

    def say_goodbye(self, closing: wire.Closing) -> None:
        """Tell the device to come back later, and have the connection closed."""
        self.write(text_frame(wire.event_frame(closing)))
        self._inbox.feed_data(WS_CLOSING_MESSAGE, 0)

    def write(self, frame: bytes) -> None:
        """Send a frame as it is, or nothing where the connection ends."""
        transport = self._transport
        if not self._open or transport.is_closing():
            return
        if transport.get_write_buffer_size() > self._send_queue_bytes:
            self._stats.slow_readers += 1
            transport.abort()
            return
        transport.write(frame)

    def cut(self) -> None:
        """End it at once, without waiting for the device to agree."""
        self._transport.abort()

    async def _receive(self) -> Message:
        if self._connecting:
            self._connecting = False
            return {"type": "websocket.connect"}
        while True:
            message = await self._inbox.read()
            _, rest = self._admit(message)
            if rest is not None:
                await rest
            elif message.type is WSMsgType.TEXT:
                return {"type": "websocket.receive", "text": message.data}
            if not self._open:
                return {"type": "websocket.disconnect"}

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                self._response, self._reader = await upgrade(self._request, self._inbox)
                self._open = True
            case "websocket.send":
                self.write(text_frame(message["text"].encode()))
            case _:
                await self._close(WSCloseCode.OK)

    def _hear(self, message: Heard) -> Rest | None:
        frame, rest = self._admit(message)
        if rest is None and frame.ack:
            return self._relay.answer(self, message.data, frame)
        return rest

    def _admit(self, message: Heard) -> tuple[wire.Frame, Rest | None]:
        """What a message is; and if it is not let through, what is left to be done about it."""
        if message.type not in _CONTENT:
            return _NOTHING, self._end(message)
        frame = _judge(message)
        problem = wire.Problem(frame.refusal) if frame.refusal else None
        try:
            self._rooms.spend(self.address, _now_ms())
        except Refused as refused:
            problem = refused.problem
        if problem is not None:
            return frame, self._tell(frame.ack, problem)
        if frame.leaving:
            return frame, self._close(WSCloseCode.OK)
        if message.type is WSMsgType.TEXT:
            self.alive = True
        elif message.type is WSMsgType.PING:
            # Not by itself, which would be free of charge.
            self.write(control_frame(WSMsgType.PONG, message.data))
        return frame, None

    def _tell(self, ack: str, problem: wire.Problem) -> Rest:
        self._stats.refused[problem.error] += 1
        self.write(text_frame(wire.problem_frame(ack, problem)))
        # Hearing nothing more makes a flood cost no more than the rate that is allowed.
        return asyncio.sleep(min(problem.wait_ms, PAUSE_MAX_MS) / 1000)

    async def _end(self, message: Heard) -> None:
        match message.type:
            case WSMsgType.CLOSING:
                await self._close(WSCloseCode.GOING_AWAY)
            case WSMsgType.ERROR:
                await self._close(message.data)
            case _:
                await self._close(WSCloseCode.OK, agreed=True)

    async def _close(self, code: int, *, agreed: bool = False) -> None:
        if not self._open:
            return
        self.write(control_frame(WSMsgType.CLOSE, code.to_bytes(2, "big")))
        self._open = False
        if not agreed:
            # Until the device has read what it was told before.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    while (await self._inbox.read()).type in _CONTENT:
                        pass
        self._transport.close()


_HEADERS: Final = ((b"connection", b"upgrade"), (b"upgrade", b"websocket"))
"""What the relay is told of all that a device said: it is kept for as long as the connection."""

_CONTENT: Final = {WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG}
_NOTHING: Final = wire.Frame()


def _judge(message: Heard) -> wire.Frame:
    if message.type is WSMsgType.TEXT:
        return wire.decode_untrusted_frame(message.data)
    if message.type is WSMsgType.BINARY:
        return wire.Frame(refusal=wire.Refusal.MALFORMED)
    return _NOTHING


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000

"""What is done for every connection: it is greeted, and asked for signs of life.

python-socketio greets: it speaks engine.io's and socket.io's handshakes. For what comes then, it
keeps five tasks, a queue and the request, 20 kB for each connection, and each message passes
through several of them. So it is told that the connection ended once the device is let in, and what
is spoken from then on (requests, answers, events, signs of life) is up to this package.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from peerstack.signaling import wire
from peerstack_server.asgi import Message, Receive, Send, Socket, text_frame

_ENDED: Final[Message] = {"type": "websocket.disconnect"}
_PING: Final = text_frame(wire.PING_FRAME.encode())


class Greeting:
    """What python-socketio gets to see of a connection."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.admitted = False
        """Whether the device was let in."""
        self._receive = receive
        self._send = send
        self._asked = False

    async def receive(self) -> Message:
        """What the device says, until it has asked to be let in."""
        if self._asked:
            return _ENDED
        message = await self._receive()
        self._asked = wire.is_admission(message.get("text", ""))
        return message

    async def send(self, message: Message) -> None:
        """Pass it on, but for the end of a connection that goes on."""
        if not self.admitted:
            await self._send(message)
        self.admitted = self.admitted or wire.is_admission(message.get("text") or "")


class Heartbeat:
    """Asks each device for a sign of life at its time, all in one task."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due: dict[Socket, float] = {}
        """In the order of the times, since each comes last when it was asked."""

    def watch(self, socket: Socket) -> None:
        """Begin to ask it."""
        self._due[socket] = time.monotonic() + self._every_s

    def forget(self, socket: Socket) -> None:
        """Ask it no more."""
        self._due.pop(socket, None)

    async def run(self) -> None:
        """Ask, and cut off who says nothing until asked again, until cancelled."""
        while True:
            now = time.monotonic()
            socket, due = next(iter(self._due.items()), (None, now + self._every_s))
            if socket is not None and due <= now:
                self._ask(socket)
            else:
                await asyncio.sleep(due - now)

    def _ask(self, socket: Socket) -> None:
        self.forget(socket)
        if not socket.alive:
            socket.cut()
            return
        socket.alive = False
        self.watch(socket)
        socket.write(_PING)

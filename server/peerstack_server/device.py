"""One connection, from its greeting to its last sign of life, as ASGI messages.

python-socketio greets: it speaks engine.io's and socket.io's handshakes. Behind them it keeps five
tasks, a queue and what the request was for each connection, 20 kB, and passes each message through
several of them. So it is told that the connection ended once the device is let in, and what is
spoken from then on, four kinds of frames, is spoken here.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from peerstack.signaling import wire
from peerstack_server.asgi import CUT, Message, Receive, Send

_ENDED: Final[Message] = {"type": "websocket.disconnect"}


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


class Device:
    """Somebody who was let in."""

    __slots__ = ("_send", "address", "alive")

    def __init__(self, address: str, send: Send) -> None:
        self.address = address
        self.alive = True
        """Whether anything came from it since it was last asked for a sign of life."""
        self._send = send

    async def say(self, text: str) -> None:
        """Send a text frame."""
        await self._send({"type": "websocket.send", "text": text})

    async def cut(self) -> None:
        """End the connection at once."""
        await self._send(CUT)


class Heartbeat:
    """Asks each device for a sign of life at its time, all in one task."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due: dict[Device, float] = {}
        """In the order of the times, since each comes last when it was asked."""

    def watch(self, device: Device) -> None:
        """Begin to ask it."""
        self._due[device] = time.monotonic() + self._every_s

    def forget(self, device: Device) -> None:
        """Ask it no more."""
        self._due.pop(device, None)

    async def run(self) -> None:
        """Ask, and cut off who says nothing until asked again, until cancelled."""
        while True:
            device, due = next(iter(self._due.items()), (None, time.monotonic() + self._every_s))
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if device in self._due:
                await self._ask(device)

    async def _ask(self, device: Device) -> None:
        self.forget(device)
        if not device.alive:
            await device.cut()
            return
        device.alive = False
        self.watch(device)
        await device.say(wire.PING_FRAME)

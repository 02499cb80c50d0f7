"""What devices say to each signaling server that is compared, to be let in and to reach another."""

from __future__ import annotations

import asyncio
import itertools
import json
from abc import abstractmethod
from base64 import b64encode
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar, Final

from benchmarks.sockets import Socket

BOX_BYTES: Final = 1_200
"""About what an offer or an answer takes, sealed."""
TOPICS: Final = 3
"""What an idle device is in: the meeting places of one group, yesterday's and tomorrow's too."""

_RANDOM: Final = Random(1)
_BOX: Final = b64encode(_RANDOM.randbytes(BOX_BYTES)).decode()
_NUMBERS: Final = itertools.count(1)


class Device(Socket):
    """A connection that speaks as one server wants it."""

    path: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.number = next(_NUMBERS)
        self.ready = asyncio.get_running_loop().create_future()
        """Set once the server has said all that it says at first."""
        self.on_message: Callable[[], None] = lambda: None
        """Called with each message of another device."""

    async def enter(self, url: str) -> None:
        """Connect, and do what a device does at first."""
        await self.open(url, self.path.format(self.number))
        self.begin()
        await self.ready

    def begin(self) -> None:
        """Say what has to be said first."""

    @abstractmethod
    def message(self, to: Any) -> bytes:
        """What has the server hand a box to another connection, and to it alone."""


class PeerstackDevice(Device):
    """An address drawn by the server, and an answer to each message."""

    path = "/socket.io/?EIO=4&transport=websocket"
    address: str

    def heard(self, text: bytes) -> None:
        """Say what the protocol asks for, and note what came."""
        if text.startswith(b'42["signal"'):
            self.on_message()
        elif text == b"2":
            self.say(b"3")
        elif text.startswith(b"0"):
            self.say(b"40{}")
        elif text.startswith(b'42["welcome"'):
            self.address = json.loads(text[2:])[1]["address"]
            self.say(_frame("0", "join", {"topics": [_topic() for _ in range(TOPICS)]}))
        elif text == b"430[{}]":
            self.ready.set_result(None)
        elif b'"error"' in text:
            raise RuntimeError(text.decode())

    def message(self, to: PeerstackDevice) -> bytes:
        """A signal."""
        return _frame("1", "signal", {"to": to.address, "box": _BOX})


class PeerJsDevice(Device):
    """An id drawn by the device, and no answers."""

    path = "/peerjs?key=peerjs&id=device{0}&token=token{0}&version=1.5.5"

    def heard(self, text: bytes) -> None:
        """Note what came."""
        if text.startswith(b'{"type":"OPEN"'):
            self.ready.set_result(None)
        elif b'"OFFER"' in text:
            self.on_message()
        elif b'"ERROR"' in text:
            raise RuntimeError(text.decode())

    def message(self, to: PeerJsDevice) -> bytes:
        """An offer."""
        return _json({"type": "OFFER", "dst": f"device{to.number}", "payload": _BOX})


class YWebrtcDevice(Device):
    """Topics alone: what is published goes to all who are in one."""

    path = "/"

    def begin(self) -> None:
        """Enter topics; whether they were entered is not answered, but a ping is, behind that."""
        topics = [f"device{self.number}", *(_topic() for _ in range(TOPICS - 1))]
        self.say(_json({"type": "subscribe", "topics": topics}))
        self.say(_json({"type": "ping"}))

    def heard(self, text: bytes) -> None:
        """Note what came."""
        if text == b'{"type":"pong"}':
            self.ready.set_result(None)
        else:
            self.on_message()

    def message(self, to: YWebrtcDevice) -> bytes:
        """Published where nobody else is."""
        return _json({"type": "publish", "topic": f"device{to.number}", "data": _BOX})


def _topic() -> str:
    return b64encode(_RANDOM.randbytes(32)).decode()


def _frame(ack: str, event: str, content: object) -> bytes:
    return f"42{ack}".encode() + _json([event, content])


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()

"""A WebSocket client that costs as little as can be, so that the server is what is measured.

Frames that it sends are masked by zeros, which the protocol permits and which takes no work.
https://www.rfc-editor.org/rfc/rfc6455#section-5.2
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Final
from urllib.parse import urlsplit

_UPGRADE: Final = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_HEAD_END: Final = b"\r\n\r\n"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_NO_MASK: Final = bytes(4)


class Socket(asyncio.Protocol, ABC):
    """One connection: `open` it. A subclass says what is done with each text frame."""

    def __init__(self) -> None:
        self._upgraded = asyncio.get_running_loop().create_future()
        self._bytes = b""

    async def open(self, url: str, path: str) -> None:
        """Connect. Raises `ConnectionError` if the server does not want it."""
        to = urlsplit(url)
        assert to.hostname is not None
        assert to.port is not None
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(lambda: self, to.hostname, to.port)
        self._transport.write(_UPGRADE.format(path=path, host=to.netloc).encode())
        await self._upgraded

    @abstractmethod
    def heard(self, text: bytes) -> None:
        """A text frame came."""

    def say(self, text: bytes) -> None:
        """Send a text frame."""
        self._transport.write(_frame(_TEXT, text))

    def close(self) -> None:
        """Hang up, without a word."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take in all frames that are whole by now."""
        self._bytes += data
        if not self._upgraded.done():
            self._upgrade()
            return
        while (frame := self._next_frame()) is not None:
            kind, content = frame
            if kind == _TEXT:
                self.heard(content)
            elif kind == _PING:
                self._transport.write(_frame(_PONG, content))
            elif kind == _CLOSE:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits for it to open need not wait any more."""
        if not self._upgraded.done():
            self._upgraded.set_exception(exc or ConnectionError("the server hung up"))

    def _upgrade(self) -> None:
        head, found, rest = self._bytes.partition(_HEAD_END)
        if not found:
            return
        if b" 101 " not in head:
            self._upgraded.set_exception(ConnectionError(head.decode("utf-8", "replace")))
            return
        self._upgraded.set_result(None)
        self._bytes = b""
        if rest:
            self.data_received(rest)

    def _next_frame(self) -> tuple[int, bytes] | None:
        data, at = self._bytes, 2
        if len(data) < at:
            return None
        length = data[1]
        if length >= 126:
            at += 2 if length == 126 else 8
            length = int.from_bytes(data[2:at], "big")
        if len(data) < at + length:
            return None
        self._bytes = data[at + length :]
        return data[0] & 15, data[at : at + length]


def _frame(kind: int, content: bytes) -> bytes:
    size = len(content)
    if size < 126:
        head = bytes((0x80 | kind, 0x80 | size))
    else:
        head = bytes((0x80 | kind, 0xFE)) + size.to_bytes(2, "big")
    return head + _NO_MASK + content

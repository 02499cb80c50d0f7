"""The few words of ASGI that `carrier` and `app` speak with each other, and what they add to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Relaying(Protocol):
    """Serves one WebSocket per call."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve it until it ends."""

    def ended(self, address: str) -> None:
        """Forget a connection, however far it came."""


class Socket(Protocol):
    """What a connection is besides ASGI, which takes several times as long to send a frame."""

    address: str
    alive: bool
    """Whether anything came since this was last set to False."""

    def write(self, frame: bytes) -> None:
        """Send a frame as it is, or nothing where the connection ends."""

    def cut(self) -> None:
        """End it at once, without waiting for the device to agree."""


SOCKET_KEY: Final = "peerstack.socket"
"""Where the carrier puts a connection's `Socket` in the scope."""

FRAME_KEY: Final = "peerstack.frame"
"""Where it puts what it found when it looked at a message."""


_WHOLE_TEXT: Final = 0x81
_LONGER: Final = 126


def text_frame(text: str) -> bytes:
    """A text of less than 64 KiB as a WebSocket frame from a server, the same for all who get it.

    https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    """
    content = text.encode()
    size = len(content)
    if size < _LONGER:
        return bytes((_WHOLE_TEXT, size)) + content
    return bytes((_WHOLE_TEXT, _LONGER)) + size.to_bytes(2, "big") + content

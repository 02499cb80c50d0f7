"""What `connection` and `app` say to each other: ASGI for a greeting, words of their own then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Final, Protocol

from peerstack.signaling.wire import Frame

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


Rest = Coroutine[Any, Any, None]
"""What is left to be done about a message, while all that came later waits."""


class Relaying(Protocol):
    """What is behind the connections."""

    async def greet(self, scope: Message, receive: Receive, send: Send) -> bool:
        """Whether a device is let in."""

    async def welcome(self, socket: Socket) -> None:
        """Say the first words to a device that was let in."""

    def answer(self, socket: Socket, text: str, frame: Frame) -> Rest | None:
        """Do what a frame asks for, at once where that is possible."""

    def ended(self, address: str) -> None:
        """Forget a connection, however far it came."""


class Socket(Protocol):
    """A connection of a device that was let in."""

    address: str
    alive: bool
    """Whether anything came since this was last set to False."""

    def write(self, frame: bytes) -> None:
        """Send a frame as it is, or nothing where the connection ends."""

    def cut(self) -> None:
        """End it at once, without waiting for the device to agree."""


_WHOLE: Final = 0x80
_TEXT: Final = 0x1
_LONGER: Final = 126


def text_frame(content: bytes) -> bytes:
    """UTF-8 of less than 64 KiB as a WebSocket frame from a server, the same for all who get it.

    https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    """
    size = len(content)
    if size < _LONGER:
        return bytes((_WHOLE | _TEXT, size)) + content
    return bytes((_WHOLE | _TEXT, _LONGER)) + size.to_bytes(2, "big") + content


def control_frame(kind: int, content: bytes) -> bytes:
    """A WebSocket frame from a server about the connection itself; the content is short."""
    return bytes((_WHOLE | kind, len(content))) + content

"""The few words of ASGI that `carrier` and `app` speak with each other."""

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


ADDRESS_KEY: Final = "peerstack.address"
"""Where the carrier puts a connection's address in the scope."""

"""The few words of ASGI that `carrier` and `app` speak with each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

ADDRESS_KEY: Final = "peerstack.address"
"""Where the carrier puts a connection's address in the scope."""

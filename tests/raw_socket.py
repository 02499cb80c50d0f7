"""A WebSocket that says to a server whatever a test wants, well-formed or not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

QUERY = "/socket.io/?EIO=4&transport=websocket"
WITHIN_S = 20.0


class RawSocket:
    """One connection; frames as text."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def say(self, frame: str | bytes) -> None:
        """Send one frame as it is."""
        await (self.ws.send_str(frame) if isinstance(frame, str) else self.ws.send_bytes(frame))

    async def hear(self, prefix: str) -> Any:
        """The JSON after `prefix` in the next frame that begins so."""
        while True:
            message = await self.ws.receive(WITHIN_S)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            if message.data.startswith(prefix):
                return json.loads(message.data.removeprefix(prefix))

    async def hear_event(self, name: str) -> Any:
        """The content of the next event of this name."""
        while (event := await self.hear("42"))[0] != name:
            pass
        return event[1]

    async def ask(self, event: str, content: Any) -> Any:
        """The answer to a request."""
        await self.say(f"427{json.dumps([event, content])}")
        return (await self.hear("437"))[0]


@asynccontextmanager
async def raw_socket(url: str, **options: Any) -> AsyncIterator[RawSocket]:
    """A connection that has said nothing yet."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url + QUERY, **options) as ws:
        yield RawSocket(ws)


@asynccontextmanager
async def raw_device(url: str, **options: Any) -> AsyncIterator[tuple[RawSocket, str]]:
    """A connection that was welcomed, and its address."""
    async with raw_socket(url, **options) as socket:
        await socket.say("40{}")
        yield socket, (await socket.hear_event("welcome"))["address"]

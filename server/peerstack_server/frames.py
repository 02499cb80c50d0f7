"""What a device says, heard as it comes, with no task that wakes up for each message.

aiohttp reads WebSocket frames, bounds them, and puts them into a queue that a task reads. To wake
that task takes longer than to answer a request, so this queue asks first whether a message is done
with at once. aiohttp's reader and queue are not among the names that it promises to keep: this is
the one module that uses them, and pyproject.toml says in which releases they are as needed here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from typing import Final

from aiohttp import EofStream, WebSocketError, WSMessage, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WS_CLOSED_MESSAGE, WS_KEY, WebSocketReader, WSMessageTextBytes

from peerstack import limits
from peerstack_server.asgi import Rest

FRAME_BYTES: Final = 4 * limits.SIGNALING_MESSAGE_BYTES
"""Up to here an oversize frame gets a named error, beyond it the connection ends (1009)."""

_WAITING_BYTES: Final = 2**16
"""Nothing more is read while more than twice as much waits."""

Heard = WSMessage | WSMessageTextBytes
Hear = Callable[[Heard], Rest | None]


class Inbox(WebSocketDataQueue):
    """What a device said: in its order, and one at a time."""

    def __init__(self, request: web.Request) -> None:
        super().__init__(request.protocol, _WAITING_BYTES, loop=asyncio.get_running_loop())
        self._hear: Hear | None = None
        """Set while all that came before is done."""
        self._rest: Rest | None = None
        """Of the message that waits first, if it was heard."""

    def feed_data(self, data: Heard, size: int) -> None:
        """A message came."""
        if self._hear is not None:
            self._rest = self._hear(data)
            if self._rest is None:
                return
            self._hear = None
        super().feed_data(data, size)

    def feed_eof(self) -> None:
        """The connection is lost."""
        self._hear = None
        super().feed_eof()

    async def read(self) -> Heard:
        """The next message: CLOSED once the connection is lost, ERROR where no frame is one."""
        try:
            return await super().read()
        except EofStream:
            return WS_CLOSED_MESSAGE
        except WebSocketError as error:
            return WSMessage(WSMsgType.ERROR, error.code, None)

    async def rest(self, hear: Hear) -> Rest:
        """Have all messages heard as they come, until there is more to do: the caller has to."""
        while True:
            if not self._size:
                self._hear = hear
            message = await self.read()
            rest, self._rest = self._rest or hear(message), None
            if rest is not None:
                return rest


async def upgrade(request: web.Request, inbox: Inbox) -> tuple[web.StreamResponse, WebSocketReader]:
    """Accept a WebSocket whose frames come into `inbox`. The reader is to be kept as long as it.

    The request is one for which `WebSocketResponse.can_prepare` is true.
    https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    """
    key = request.headers["Sec-WebSocket-Key"].encode()
    accept = base64.b64encode(hashlib.sha1(key + WS_KEY, usedforsecurity=False).digest())
    headers = {"Upgrade": "websocket", "Connection": "upgrade"}
    headers["Sec-WebSocket-Accept"] = accept.decode()
    response = web.StreamResponse(status=101, headers=headers)
    response.force_close()
    await response.prepare(request)
    # No compression, so no bombs.
    reader = WebSocketReader(inbox, FRAME_BYTES, compress=False, decode_text=True)
    request.protocol.set_parser(reader)
    request.protocol.keep_alive(False)
    return response, reader

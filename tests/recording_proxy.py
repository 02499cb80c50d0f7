"""Stands between devices and a real signaling server, and keeps all that crosses."""

from __future__ import annotations

import asyncio
import base64
import itertools
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from tests.server_process import running_server

T = TypeVar("T")

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse

LIMIT_S = 20.0
"""How long the proxy may take to start or to end."""


@dataclass
class Recording:
    """What crossed so far, both ways."""

    url: str = ""
    """Where devices connect, in place of the server."""
    heads: list[bytes] = field(default_factory=list)
    """Request lines and headers."""
    frames: list[bytes] = field(default_factory=list)
    """The content of every frame."""

    @property
    def everything(self) -> bytes:
        """All of it, with something between that is in no secret's spelling."""
        return b"\n#\n".join((*self.heads, *self.frames))


@contextmanager
def recorded_server() -> Iterator[Recording]:
    """A server, and a proxy to it on a thread of its own, so that tests may wait for processes."""
    with running_server() as url, background_loop() as loop:
        proxy = recording_proxy(url)
        recording = finished(loop, proxy.__aenter__())
        try:
            yield recording
        finally:
            finished(loop, proxy.__aexit__(None, None, None))


@contextmanager
def background_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs on another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT_S)
        loop.close()


def finished(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """What some work on the loop of another thread comes to."""
    return asyncio.run_coroutine_threadsafe(work, loop).result(LIMIT_S)


@asynccontextmanager
async def recording_proxy(*servers: str) -> AsyncIterator[Recording]:
    """A proxy to the servers at these URLs, in turns, on a free port."""
    recording, turns = Recording(), itertools.cycle(servers)

    async def relay(request: web.Request) -> web.WebSocketResponse:
        recording.heads.append(request.raw_path.encode())
        recording.heads += [name + b": " + value for name, value in request.raw_headers]
        device = web.WebSocketResponse()
        await device.prepare(request)
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(next(turns) + request.path_qs) as upstream,
        ):
            await asyncio.gather(pass_on(device, upstream), pass_on(upstream, device))
        return device

    async def pass_on(source: Socket, target: Socket) -> None:
        async for message in source:
            content = message.data
            recording.frames.append(content if isinstance(content, bytes) else content.encode())
            if isinstance(content, bytes):
                await target.send_bytes(content)
            else:
                await target.send_str(content)
        await target.close()

    app = web.Application()
    app.router.add_get("/{path:.*}", relay)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        recording.url = f"http://{host}:{port}"
        yield recording
    finally:
        await runner.cleanup()


def spellings(content: bytes) -> Iterator[tuple[str, bytes]]:
    """How these bytes would look, by themselves or within more that is encoded."""
    yield "raw", content
    yield "hex", content.hex().encode()
    yield "HEX", content.hex().upper().encode()
    for before in range(3):
        # Base64 has 6 bits a character: those at either end depend on what stands there.
        first, end = -(-before * 8 // 6), (before + len(content)) * 8 // 6
        whole = bytes(before) + content
        yield f"base64, {before} bytes on", base64.b64encode(whole)[first:end]
        yield f"base64url, {before} bytes on", base64.urlsafe_b64encode(whole)[first:end]


def found(content: bytes, everything: bytes) -> set[str]:
    """In which spellings these bytes lie in all that crossed."""
    return {name for name, spelling in spellings(content) if spelling in everything}

"""Stands between devices and a real signaling server, and keeps all that crosses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


@dataclass
class Recording:
    """What crossed so far, both ways: request lines, headers and the content of every frame."""

    url: str = ""
    """Where devices connect, in place of the server."""
    frames: list[bytes] = field(default_factory=list)

    @property
    def everything(self) -> bytes:
        """All of it, with something between that is in no secret's spelling."""
        return b"\n#\n".join(self.frames)


@asynccontextmanager
async def recording_proxy(server: str) -> AsyncIterator[Recording]:
    """A proxy to the server at this URL, on a free port."""
    recording = Recording()

    async def relay(request: web.Request) -> web.WebSocketResponse:
        recording.frames.append(request.raw_path.encode())
        recording.frames += [name + b": " + value for name, value in request.raw_headers]
        device = web.WebSocketResponse()
        await device.prepare(request)
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(server + request.path_qs) as upstream,
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

"""Connected pairs of pipes, by each of the transports."""

from __future__ import annotations

import asyncio

from peerstack.transport import memory
from peerstack.transport.base import Pipe
from peerstack.transport.dialer import Dialer
from peerstack.transport.webrtc import WebRtcPipe


async def memory_pair() -> tuple[Pipe, Pipe]:
    return memory.connected_pair()


async def webrtc_pair() -> tuple[WebRtcPipe, WebRtcPipe]:
    caller, callee = Dialer(), Dialer()
    await caller.accept(await callee.answer(await caller.offer()))
    one, other = await asyncio.gather(caller.opened(), callee.opened())
    return one, other

"""The other process: answers one offer from standard input, then echoes every message reversed."""

from __future__ import annotations

import asyncio
import json
import sys

from peerstack.transport.base import CloseReason
from peerstack.transport.dialer import Dialer
from peerstack.transport.webrtc import WebRtcPipe


class Echo:
    def __init__(self, pipe: WebRtcPipe) -> None:
        self.pipe = pipe
        self.over = asyncio.Event()

    def message(self, message: bytes) -> None:
        self.pipe.send(message[::-1])

    def drained(self) -> None:
        pass

    def closed(self, reason: CloseReason) -> None:
        print(reason.value, flush=True)
        self.over.set()


async def main() -> None:
    dialer = Dialer()
    offer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    print(json.dumps(await dialer.answer(offer)), flush=True)
    pipe = await dialer.opened()
    echo = Echo(pipe)
    pipe.listen(echo)
    await echo.over.wait()
    await dialer.close()


if __name__ == "__main__":
    asyncio.run(main())

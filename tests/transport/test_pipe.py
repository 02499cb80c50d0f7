"""What every pipe inherits, where the contract leaves the transport a choice."""

from __future__ import annotations

import asyncio

from peerstack import limits
from peerstack.testing.contract import Recorder
from peerstack.transport.base import CloseReason, Pipe
from peerstack.transport.memory import connected_pair


async def test_a_flood_that_nobody_listens_to_ends_the_pipe() -> None:
    one, other = connected_pair()
    flooding = Recorder()
    one.listen(flooding)

    while not flooding.reasons:
        one.send(bytes(limits.MESSAGE_BYTES))
        await asyncio.sleep(0)

    late = Recorder()
    other.listen(late)
    assert late.reasons == [CloseReason.VIOLATION]
    assert late.messages == []


class ClosesAtTheFirst(Recorder):
    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self.pipe = pipe

    def message(self, message: bytes) -> None:
        super().message(message)
        self.closing = asyncio.create_task(self.pipe.close())


async def test_a_listener_may_close_while_it_is_told_what_came_early() -> None:
    one, other = connected_pair()
    one.send(b"first")
    await asyncio.sleep(0)
    listener = ClosesAtTheFirst(other)

    other.listen(listener)
    await listener.closing

    assert listener.messages == [b"first"]
    assert listener.reasons == [CloseReason.LOCAL]

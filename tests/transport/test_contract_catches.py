"""The contract checks are worth something: each kind of broken transport is caught."""

from __future__ import annotations

import asyncio

import pytest

from peerstack.testing import contract
from peerstack.transport.base import CloseReason, Pipe
from peerstack.transport.memory import MemoryPipe, connected_pair


class Loses(MemoryPipe):
    def _arrived(self, message: bytes) -> None:
        if len(message) != 1_160:
            super()._arrived(message)


class Doubles(MemoryPipe):
    def _arrived(self, message: bytes) -> None:
        super()._arrived(message)
        if len(message) == 1_160:
            super()._arrived(message)


class Overtakes(MemoryPipe):
    def _transmit(self, message: bytes) -> None:
        super()._transmit(message)
        if len(message) == 4:
            self._queue.rotate()


class Pads(MemoryPipe):
    def _transmit(self, message: bytes) -> None:
        super()._transmit(message + bytes(len(message) % 4))


class AcceptsAnything(MemoryPipe):
    def send(self, message: bytes) -> None:
        self._transmit(message)


class NeverDrains(MemoryPipe):
    def _sank_low(self) -> None:
        pass


class AlwaysDrains(MemoryPipe):
    def _transmit(self, message: bytes) -> None:
        super()._transmit(message)
        self._sank_low()


class ForgetsTheEarly(MemoryPipe):
    def _hold(self, message: bytes) -> None:
        pass


class ClosesSilently(MemoryPipe):
    def _end(self, reason: CloseReason) -> None:
        self._ended = reason


class ClosesTwice(MemoryPipe):
    def _end(self, reason: CloseReason) -> None:
        super()._end(reason)
        if reason is CloseReason.REMOTE and self._listener is not None:
            self._listener.closed(reason)


class ClosesAbruptly(MemoryPipe):
    async def close(self) -> None:
        self._fail(CloseReason.LOCAL)


class TalksAfterClosing(MemoryPipe):
    def _arrived(self, message: bytes) -> None:
        if self._listener is not None:
            self._listener.message(message)
        else:
            super()._arrived(message)


class LeavesATask(MemoryPipe):
    async def close(self) -> None:
        self.forgotten = asyncio.create_task(asyncio.sleep(1))
        await super().close()


class BindsAllAlike(MemoryPipe):
    def __init__(self, binding: bytes) -> None:
        super().__init__(bytes(32))


class BindsEachEndApart(MemoryPipe):
    def __init__(self, binding: bytes) -> None:
        super().__init__(id(self).to_bytes(32))


CAUGHT_BY: dict[type[MemoryPipe], str] = {
    Loses: "keeps_sizes_exact",
    Doubles: "keeps_sizes_exact",
    Overtakes: "delivers_all_in_order_both_ways",
    Pads: "keeps_sizes_exact",
    AcceptsAnything: "refuses_empty_and_oversize",
    NeverDrains: "tells_when_drained",
    AlwaysDrains: "tells_when_drained",
    ForgetsTheEarly: "holds_what_comes_before_a_listener",
    ClosesSilently: "tells_both_ends_once",
    ClosesTwice: "tells_both_ends_once",
    ClosesAbruptly: "delivers_what_was_sent_before_closing",
    TalksAfterClosing: "is_silent_after_closing",
    LeavesATask: "leaves_no_task_behind",
    BindsAllAlike: "binds_each_pair_alike_and_apart",
    BindsEachEndApart: "binds_each_pair_alike_and_apart",
}


@pytest.mark.parametrize(("broken", "check"), CAUGHT_BY.items())
async def test_a_broken_transport_is_caught(
    broken: type[MemoryPipe], check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "PATIENCE_S", 0.5)

    async def pair() -> tuple[Pipe, Pipe]:
        one, other = broken(b"1" * 32), broken(b"1" * 32)
        one.peer, other.peer = other, one
        return one, other

    with pytest.raises(AssertionError, match=f"^{check}: "):
        await contract.check_transport(pair)


async def test_a_transport_that_keeps_its_promises_passes() -> None:
    async def pair() -> tuple[Pipe, Pipe]:
        return connected_pair()

    await contract.check_transport(pair)

"""What any transport must do. Run each of `TRANSPORT_CHECKS`, or `check_transport`, against yours.

Knows only `peerstack.transport.base`; the pipes come from the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from peerstack import limits
from peerstack.errors import InvalidValue, PipeClosed, PipeFull
from peerstack.transport.base import CloseReason, Pipe

MakePair = Callable[[], Awaitable[tuple[Pipe, Pipe]]]
"""Makes two connected ends that nobody listens to yet."""

PATIENCE_S: Final = 60.0
"""A promise that was not kept by then is broken."""

_BINDING_BYTES: Final = 32


class Recorder:
    """A listener that keeps what it hears and lets a check wait for more."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.reasons: list[CloseReason] = []
        self.drains = 0
        self._changed = asyncio.Event()

    def message(self, message: bytes) -> None:
        """Keep it."""
        self.messages.append(message)
        self._changed.set()

    def drained(self) -> None:
        """Count it."""
        self.drains += 1
        self._changed.set()

    def closed(self, reason: CloseReason) -> None:
        """Keep the reason; a second one is for `tells_both_ends_once` to find."""
        self.reasons.append(reason)
        self._changed.set()

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Return once `holds()`; fail, saying `what`, if it does not within `PATIENCE_S`."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"never happened: {what}") from None


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def _heard(pipe: Pipe) -> Recorder:
    recorder = Recorder()
    pipe.listen(recorder)
    return recorder


@asynccontextmanager
async def _connected(make_pair: MakePair) -> AsyncIterator[tuple[Pipe, Pipe]]:
    pair = await make_pair()
    try:
        yield pair
    finally:
        await asyncio.gather(*(pipe.close() for pipe in pair))


def _raises(error: type[Exception], send: Callable[[bytes], None], message: bytes) -> None:
    try:
        send(message)
    except error as raised:
        _require(bool(str(raised)), f"{error.__name__} says nothing")
    else:
        raise AssertionError(f"sending {len(message)} bytes did not raise {error.__name__}")


async def delivers_all_in_order_both_ways(make_pair: MakePair) -> None:
    """A thousand messages each way at once, none lost, doubled or overtaken."""
    async with _connected(make_pair) as (one, other):
        hears_one, hears_other = _heard(other), _heard(one)
        sent = [number.to_bytes(4) * (1 + number % 97) for number in range(1_000)]
        for message in sent:
            one.send(message)
            other.send(message[::-1])
        await hears_one.until(lambda: len(hears_one.messages) >= len(sent), "all arrived")
        await hears_other.until(lambda: len(hears_other.messages) >= len(sent), "all came back")
        _require(hears_one.messages == sent, "messages differ from what was sent")
        _require(hears_other.messages == [m[::-1] for m in sent], "the way back differs")


async def keeps_sizes_exact(make_pair: MakePair) -> None:
    """From 1 byte to the limit, as sent, around every power of two and SCTP's fragments."""
    sizes = {1, 2, 3, 1_159, 1_160, 1_161, limits.MESSAGE_BYTES - 1, limits.MESSAGE_BYTES}
    sizes |= {2**power + step for power in range(2, 16) for step in (-1, 0, 1)}
    async with _connected(make_pair) as (one, other):
        heard = _heard(other)
        sent = [bytes(index % 251 for index in range(size)) for size in sorted(sizes)]
        for message in sent:
            one.send(message)
        await heard.until(lambda: len(heard.messages) >= len(sent), "all sizes arrived")
        _require(heard.messages == sent, "a message changed on its way")


async def refuses_empty_and_oversize(make_pair: MakePair) -> None:
    """Both raise `InvalidValue` at once, send nothing, and leave the pipe open."""
    async with _connected(make_pair) as (one, other):
        heard = _heard(other)
        _raises(InvalidValue, one.send, b"")
        _raises(InvalidValue, one.send, bytes(limits.MESSAGE_BYTES + 1))
        one.send(b"still open")
        await heard.until(lambda: bool(heard.messages), "a good message after bad ones")
        _require(heard.messages == [b"still open"], "something refused was sent")


async def bounds_what_waits(make_pair: MakePair) -> None:
    """Past `limits.PIPE_BUFFER_BYTES`, `send` raises `PipeFull`; nothing accepted is lost."""
    async with _connected(make_pair) as (one, other):
        heard, message = _heard(other), bytes(limits.MESSAGE_BYTES)
        accepted = 0
        while one.buffered_bytes + len(message) <= limits.PIPE_BUFFER_BYTES:
            one.send(message)
            accepted += 1
        _raises(PipeFull, one.send, message)
        await heard.until(lambda: len(heard.messages) >= accepted, "all that was accepted")


async def tells_when_drained(make_pair: MakePair) -> None:
    """`drained` once for each time the buffer was above the low-water mark, and not otherwise."""
    async with _connected(make_pair) as (one, other):
        sender, heard = _heard(one), _heard(other)
        one.send(b"little")
        await heard.until(lambda: bool(heard.messages), "the little message")
        _require(sender.drains == 0, "drained, though the buffer was never above the mark")
        for _ in range(2):
            sender.drains = 0
            while one.buffered_bytes <= 2 * limits.PIPE_LOW_WATER_BYTES:
                one.send(bytes(limits.MESSAGE_BYTES))
            _require(sender.drains == 0, "drained, while there was ever more to send")
            await sender.until(lambda: sender.drains > 0, "drained")
            _require(sender.drains == 1, "drained more than once")
            _require(one.buffered_bytes <= limits.PIPE_LOW_WATER_BYTES, "drained, but full")


async def holds_what_comes_before_a_listener(make_pair: MakePair) -> None:
    """What is sent right after opening is heard by who listens later, and so is the close."""
    async with _connected(make_pair) as (one, other):
        early = _heard(one)
        one.send(b"first")
        one.send(b"second")
        other.send(b"third")
        await early.until(lambda: bool(early.messages), "a message to the end that listens")
        await one.close()
        late = Recorder()
        other.listen(late)
        await late.until(lambda: bool(late.reasons), "the late listener heard of the close")
        _require(late.messages == [b"first", b"second"], "what came early was lost")
        _require(late.reasons == [CloseReason.REMOTE], "the close was not told")


async def tells_both_ends_once(make_pair: MakePair) -> None:
    """`closed` exactly once at each end, with the right reason, though both then close too."""
    async with _connected(make_pair) as (one, other):
        closer, heard = _heard(one), _heard(other)
        await one.close()
        await heard.until(lambda: bool(heard.reasons), "the other end heard of the close")
        await asyncio.gather(one.close(), other.close(), other.close())
        _require(closer.reasons == [CloseReason.LOCAL], "the closing end")
        _require(heard.reasons == [CloseReason.REMOTE], "the other end")


async def delivers_what_was_sent_before_closing(make_pair: MakePair) -> None:
    """A last word, and the megabyte before it, arrive before `closed`."""
    async with _connected(make_pair) as (one, other):
        heard = _heard(other)
        for _ in range(16):
            one.send(bytes(limits.MESSAGE_BYTES))
        one.send(b"bye")
        await one.close()
        await heard.until(lambda: bool(heard.reasons), "the close")
        _require(len(heard.messages) == 17, "what was sent before closing was lost")
        _require(heard.messages[-1] == b"bye", "the last word is not last")


async def is_silent_after_closing(make_pair: MakePair) -> None:
    """Who closed hears no message after it, and sending raises `PipeClosed` at both ends."""
    async with _connected(make_pair) as (one, other):
        closer, heard = _heard(one), _heard(other)
        other.send(b"on its way while the other end closes")
        await one.close()
        await heard.until(lambda: bool(heard.reasons), "the close")
        _require(closer.messages == [], "heard a message after closing")
        _raises(PipeClosed, one.send, b"late")
        _raises(PipeClosed, other.send, b"late")


async def lets_both_ends_close_at_once(make_pair: MakePair) -> None:
    """Neither waits for the other, and each hears of one close."""
    async with _connected(make_pair) as (one, other):
        ends = [_heard(one), _heard(other)]
        await asyncio.gather(one.close(), other.close())
        _require(all(len(end.reasons) == 1 for end in ends), "told of more or less than one close")


async def leaves_no_task_behind(make_pair: MakePair) -> None:
    """Closing in the middle of traffic ends every task that the pipes began."""
    before = asyncio.all_tasks()
    async with _connected(make_pair) as (one, other):
        for _ in range(32):
            one.send(bytes(limits.MESSAGE_BYTES))
            other.send(bytes(limits.MESSAGE_BYTES))
    left = asyncio.all_tasks() - before
    _require(not left, f"left behind: {left}")


async def binds_each_pair_alike_and_apart(make_pair: MakePair) -> None:
    """The same 32 bytes at both ends, and other bytes for another pair."""
    async with _connected(make_pair) as (one, other), _connected(make_pair) as (third, _):
        _require(len(one.binding) == _BINDING_BYTES, "not 32 bytes")
        _require(one.binding == other.binding, "the two ends differ")
        _require(one.binding != third.binding, "two pairs share a binding")


TRANSPORT_CHECKS: Final[tuple[Callable[[MakePair], Awaitable[None]], ...]] = (
    delivers_all_in_order_both_ways,
    keeps_sizes_exact,
    refuses_empty_and_oversize,
    bounds_what_waits,
    tells_when_drained,
    holds_what_comes_before_a_listener,
    tells_both_ends_once,
    delivers_what_was_sent_before_closing,
    is_silent_after_closing,
    lets_both_ends_close_at_once,
    leaves_no_task_behind,
    binds_each_pair_alike_and_apart,
)
"""Every promise of `peerstack.transport.base`, one check each."""


async def check_transport(make_pair: MakePair) -> None:
    """Check a transport against the whole contract.

    Raises:
        AssertionError: with the promise that it breaks.
    """
    for check in TRANSPORT_CHECKS:
        try:
            await check(make_pair)
        except AssertionError as broken:
            raise AssertionError(f"{check.__name__}: {broken}") from broken

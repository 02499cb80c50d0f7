"""How frames come in and go out, byte by byte: in whatever pieces, each is heard once, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

import pytest
from aiohttp import WSMsgType

from peerstack_server.frames import FRAME_BYTES, Inbox
from tests.raw_socket import QUERY, raw_device
from tests.server.here import server_here
from tests.server_process import running_server

pytestmark = pytest.mark.asyncio

WITHIN_S = 20.0
TEXT, CONTINUATION, CLOSE, PING, PONG = 1, 0, 8, 9, 10
WHOLE: Final = 0x80
UPGRADE: Final = (
    f"GET {QUERY} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
).encode()
ICE: Final = '{"servers":[],"lifetime_s":3600}'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server() as running:
        yield running


def frame(text: str | bytes, kind: int = TEXT, last: int = WHOLE) -> bytes:
    """A frame of a device, masked by zeros, as the protocol permits."""
    content = text.encode() if isinstance(text, str) else text
    size = len(content)
    length = bytes([WHOLE | size]) if size < 126 else bytes([WHOLE | 127]) + size.to_bytes(8, "big")
    return bytes([last | kind]) + length + bytes(4) + content


class Bytes:
    """One connection that says bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def upgraded(self) -> bytes:
        return await self._reader.readuntil(b"\r\n\r\n")

    async def hear(self) -> tuple[int, bytes]:
        """The kind and the content of the next frame."""
        async with asyncio.timeout(WITHIN_S):
            first, size = await self._reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self._reader.readexactly(2), "big")
            return first ^ WHOLE, await self._reader.readexactly(size)

    async def hear_texts(self, count: int) -> list[str]:
        return [(await self.hear())[1].decode() for _ in range(count)]

    async def ended(self) -> bool:
        async with asyncio.timeout(WITHIN_S):
            return await self._reader.read(1) == b""


@asynccontextmanager
async def connected(url: str, first: bytes = UPGRADE) -> AsyncIterator[Bytes]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(first)
        yield Bytes(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def device(url: str) -> AsyncIterator[tuple[Bytes, str]]:
    """A connection that was welcomed, and its address."""
    async with connected(url) as it:
        await it.upgraded()
        it.writer.write(frame("40{}"))
        *_, welcome = await it.hear_texts(3)
        yield it, json.loads(welcome.removeprefix("42"))[1]["address"]


def ice(ack: int) -> str:
    return f'42{ack}["ice",{{}}]'


def answers(*acks: int) -> list[str]:
    return [f"43{ack}[{ICE}]" for ack in acks]


# --- What comes in. -----------------------------------------------------------------------------


async def test_the_upgrade_is_answered_as_the_protocol_says(url: str) -> None:
    async with connected(url) as it:
        head = (await it.upgraded()).decode().lower()

    # The answer to this key, by RFC 6455, section 4.2.2.
    assert head.startswith("http/1.1 101 ")
    assert "sec-websocket-accept: icx+yqv66kxgm0fcwalwlflwtai=\r\n" in head
    assert "transfer-encoding" not in head
    assert "sec-websocket-extensions" not in head


async def test_many_frames_in_one_piece_are_answered_in_their_order(url: str) -> None:
    async with device(url) as (it, _):
        it.writer.write(b"".join(frame(ice(ack)) for ack in range(100)))

        assert await it.hear_texts(100) == answers(*range(100))


async def test_a_frame_that_comes_byte_by_byte_is_answered_once(url: str) -> None:
    async with device(url) as (it, _):
        for byte in frame(ice(1)) + frame(ice(2)):
            it.writer.write(bytes([byte]))
            await it.writer.drain()
            await asyncio.sleep(0)

        assert await it.hear_texts(2) == answers(1, 2)


async def test_a_message_in_several_frames_is_one_with_a_ping_between_them(url: str) -> None:
    text = ice(1)
    async with device(url) as (it, _):
        it.writer.write(frame(text[:5], TEXT, last=0) + frame(text[5:9], CONTINUATION, last=0))
        it.writer.write(frame(b"there?", PING) + frame(text[9:], CONTINUATION))

        assert await it.hear() == (PONG, b"there?")
        assert await it.hear_texts(1) == answers(1)


async def test_what_comes_in_one_piece_with_the_upgrade_is_heard(url: str) -> None:
    said = frame("40{}") + frame(ice(1)) + frame(ice(2))
    async with connected(url, UPGRADE + said) as it:
        await it.upgraded()

        *_, welcome, one, two = await it.hear_texts(5)
        assert welcome.startswith('42["welcome"')
        assert [one, two] == answers(1, 2)


async def test_what_comes_after_a_refusal_waits_and_keeps_its_order() -> None:
    with running_server("--messages-per-s", "100", "--messages-burst", "5") as url:
        async with device(url) as (it, _):
            it.writer.write(b"".join(frame(ice(ack)) for ack in range(40)))
            heard = await it.hear_texts(40)

    assert [int(text.removeprefix("43").split("[")[0]) for text in heard] == list(range(40))
    refused = [text for text in heard if "too-fast" in text]
    # The refused ones waited for one message's time each, in which another one became free.
    assert 0 < len(refused) <= 21


async def test_of_a_device_that_floods_no_more_is_read_than_may_wait() -> None:
    flags = ("--messages-per-s", "1", "--messages-burst", "3")
    with running_server(*flags) as url:
        async with device(url) as (it, _):
            it.writer.write(frame(ice(1) + " " * 60_000) * 1_000)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(it.writer.drain(), 3)


async def test_a_message_is_bounded_though_its_frames_are_small(url: str) -> None:
    piece = "A" * (FRAME_BYTES // 4)
    async with device(url) as (it, _):
        it.writer.write(frame(piece, TEXT, last=0))
        for _ in range(2):
            it.writer.write(frame(piece, CONTINUATION, last=0))
        # All of it is read when it becomes too much: else the system would reset the connection.
        it.writer.write(frame(piece[1:], CONTINUATION, last=0))
        it.writer.write(frame("AA", CONTINUATION))

        assert await it.hear() == (CLOSE, (1009).to_bytes(2, "big"))
        assert await it.ended()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(b"\xff", TEXT), 1007),
        (frame(b"x", 3), 1002),
        (frame(b"x" * 126, PING), 1002),
        (frame(b"x", PING, last=0), 1002),
        (frame(b"x", CONTINUATION), 1002),
        (frame(b"x", TEXT, last=WHOLE | 0x40), 1002),
    ],
    ids=["not UTF-8", "of no kind", "a large ping", "half a ping", "a middle", "compressed"],
)
async def test_what_is_no_frame_ends_the_connection(url: str, said: bytes, code: int) -> None:
    async with device(url) as (it, _):
        it.writer.write(frame(ice(1)) + said + frame(ice(2)))

        assert await it.hear_texts(1) == answers(1)
        assert await it.hear() == (CLOSE, code.to_bytes(2, "big"))
        assert await it.ended()


# --- How it ends. -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leaving", [frame((1000).to_bytes(2, "big"), CLOSE), frame("41"), frame("1")]
)
async def test_who_leaves_is_answered_and_heard_no_more(url: str, leaving: bytes) -> None:
    async with device(url) as (it, address), raw_device(url) as (other, _):
        box = {"to": address, "box": "AAAA"}
        it.writer.write(frame(ice(1)) + leaving + frame(ice(2)))

        assert await it.hear_texts(1) == answers(1)
        assert await it.hear() == (CLOSE, (1000).to_bytes(2, "big"))
        assert await it.ended()
        assert await other.ask("signal", box) == {"delivered": False}


async def test_at_the_end_of_a_server_a_device_reads_all_that_it_was_told() -> None:
    async with server_here() as here, raw_device(here.url) as (eve, _):
        draining = asyncio.create_task(here.carrier.drain())

        assert (await eve.hear_event("closing"))["spread_ms"] > 0
        end = await eve.ws.receive()
        assert (end.type, end.data) == (WSMsgType.CLOSE, 1001)
        await draining
        assert here.rooms.counts().connections == 0


async def test_at_the_end_of_a_server_a_device_that_says_nothing_is_not_waited_for() -> None:
    async with server_here() as here, device(here.url) as (it, _):
        async with asyncio.timeout(5):
            await here.carrier.drain()

        assert here.rooms.counts().connections == 0
        assert (await it.hear())[0] == TEXT
        assert await it.hear() == (CLOSE, (1001).to_bytes(2, "big"))
        assert await it.ended()


# --- What aiohttp does not promise. -------------------------------------------------------------


async def test_aiohttp_still_writes_what_it_reads_into_the_queue_that_it_is_given() -> None:
    heard: list[Any] = []
    changed = f"aiohttp {version('aiohttp')} does not read frames as peerstack_server.frames needs"
    async with server_here() as here:
        original = Inbox.feed_data
        with pytest.MonkeyPatch.context() as patched:

            def noted(inbox: Inbox, data: Any, size: int) -> None:
                heard.append((data.type, data.data, size))
                original(inbox, data, size)

            patched.setattr(Inbox, "feed_data", noted)
            async with connected(here.url, UPGRADE + frame("40{}")) as it:
                await it.upgraded()
                await it.hear_texts(3)

    assert heard[:1] == [(WSMsgType.TEXT, "40{}", 4)], changed

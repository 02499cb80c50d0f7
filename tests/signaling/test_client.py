"""`client`: connects for ever, believes nothing, leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from peerstack.errors import InvalidValue, LocalError, Reason
from peerstack.signaling import client as client_module
from peerstack.signaling import wire
from peerstack.signaling.client import BackOff, Disconnected, SignalingClient, State
from tests.server_process import running_server, server_process
from tests.signaling_device import WITHIN_S, Device, SystemEntropy, online

pytestmark = pytest.mark.asyncio
TOPIC = b"t" * 32
Script = Callable[[web.WebSocketResponse], Awaitable[None]]
OPEN = '0{"sid":"s","upgrades":[],"pingTimeout":20000,"pingInterval":25000}'
WELCOME = wire.event_frame(wire.Welcome("me", 20_000, 1, 8, 1_000)).decode()


@asynccontextmanager
async def lying_server(script: Script) -> AsyncIterator[str]:
    """A server that opens a connection as it should and then follows a script."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        for frame in (OPEN, '40{"sid":"s"}'):
            await ws.send_str(frame)
        await script(ws)
        async for _ in ws:
            pass
        return ws

    app = web.Application()
    app.router.add_get("/socket.io/", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_welcome_tells_the_address_and_the_day() -> None:
    with running_server() as url:
        async with online(url) as ana:
            welcome = await ana.next(wire.Welcome)

            assert (ana.client.state, ana.client.reason) == (State.ONLINE, "")
            assert welcome.day > 20_000
            assert welcome.version == wire.VERSION


async def test_after_a_restart_of_the_server_it_is_connected_again_under_a_new_address() -> None:
    with server_process() as first:
        async with online(first.url) as ana:
            before = ana.address
            first.stop()
            assert "trying again" in (await ana.next(Disconnected)).reason
            with server_process(port=first.port):
                after = await ana.next(wire.Welcome, 2)

                assert after.address != before
                assert not await ana.client.announce(TOPIC, b"not joined any more")
                assert await ana.client.join([TOPIC])


async def test_a_server_that_is_not_there_yet_is_tried_until_it_is() -> None:
    port = free_port()
    ana = Device(f"http://127.0.0.1:{port}")
    ana.client.start()
    assert f"cannot reach http://127.0.0.1:{port}" in (await ana.next(Disconnected)).reason
    assert ana.client.state is State.OFFLINE
    with server_process(port=port):
        await ana.next(wire.Welcome)
        await ana.client.close()


@pytest.mark.parametrize(
    ("flags", "said"), [(("--token", "sesame"), "access token"), (("--connections", "1"), "full")]
)
async def test_a_refused_connection_says_what_to_do(flags: tuple[str, ...], said: str) -> None:
    with running_server(*flags) as url:
        async with online(url.replace("://", "://sesame@")):
            late = Device(url.replace("://", "://wrong@"))
            late.client.start()
            assert said in (await late.next(Disconnected)).reason
            await late.client.close()


async def test_what_is_no_signaling_server_is_called_so() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    lost = Device(f"http://127.0.0.1:{runner.addresses[0][1]}")
    lost.client.start()

    assert "(HTTP 404): check the URL" in (await lost.next(Disconnected)).reason
    await lost.client.close()
    await runner.cleanup()


async def test_requests_are_safe_offline_and_after_closing() -> None:
    ana = Device("http://127.0.0.1:1")
    for _ in range(2):
        assert not await ana.client.join([TOPIC])
        assert not await ana.client.leave([TOPIC])
        assert not await ana.client.announce(TOPIC, b"box")
        assert not await ana.client.signal("address", b"box")
        assert await ana.client.ice() is None
        await ana.client.close()
    assert ana.client.state is State.CLOSED
    with pytest.raises(LocalError, match="make a new one"):
        ana.client.start()


async def test_closing_leaves_no_task_in_any_state() -> None:
    with running_server() as url:
        for turns in range(0, 40, 3):
            ana = Device(url)
            ana.client.start()
            for _ in range(turns):
                await asyncio.sleep(0)
            await ana.client.close()
        async with online(url) as bob:
            await bob.client.join([TOPIC])
    gc.collect()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_request_under_way_ends_when_the_client_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_S", 10 * WITHIN_S)
    async with lying_server(lambda ws: ws.send_str(WELCOME)) as url, online(url) as ana:
        asking = asyncio.create_task(ana.client.join([TOPIC]))
        await asyncio.sleep(0)
        await ana.client.close()

        async with asyncio.timeout(WITHIN_S):
            assert not await asking


async def test_a_server_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "ANSWER_S", 0.05)
    async with lying_server(lambda ws: ws.send_str(WELCOME)) as url, online(url) as ana:
        assert not await ana.client.join([TOPIC])

        assert "does not answer" in (await ana.next(Disconnected)).reason


async def test_requests_that_come_too_fast_are_made_again() -> None:
    with running_server("--messages-per-s", "100", "--messages-burst", "3") as url:
        async with online(url) as ana:
            answers = await asyncio.gather(*(ana.client.join([TOPIC]) for _ in range(8)))

            assert all(answers)


LIES = [
    '42["announce",{"topic":"short","box":"AAAA","sender":"x"}]',
    '42["signal",{"box":"AAAA"}]',
    '42["signal",{"box":"AAAA","sender":7}]',
    '42["signal",',
    '42["signal",[]]',
    '42["unheard-of",{}]',
    '42["disconnect","io server disconnect"]',
    '42["connect"]',
    '42["closing",{"spread_ms":-1}]',
    '42["day",{"day":1e9}]',
    "42{}",
    "42",
    "4",
    '4599999-["signal",{"_placeholder":true,"num":0}]',
    "40/other,{}",
    "44",
    "44/other,{}",
    "446-",
    WELCOME,
    "47",
    "43[1]",
]


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_counted_and_the_connection_is_kept(lie: str) -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        truth = wire.event_frame(wire.Signaled(b"truth", "someone")).decode()
        for frame in (WELCOME, lie, truth):
            await ws.send_str(frame)

    async with lying_server(script) as url, online(url) as ana:
        assert (await ana.next(wire.Signaled)).box == b"truth"

        assert ana.client.refused.total() == 1
        assert [type(event) for event in ana.events] == [wire.Welcome, wire.Signaled]


async def test_a_binary_message_is_counted_and_waits_for_nothing() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.send_str(WELCOME)
        await ws.send_bytes(b"\x00" * 100)
        await ws.send_str(wire.event_frame(wire.Signaled(b"truth", "someone")).decode())

    async with lying_server(script) as url, online(url) as ana:
        await ana.next(wire.Signaled)
        assert ana.client.refused == {Reason.MALFORMED: 1}


async def test_what_comes_before_the_welcome_is_not_believed() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.send_str(wire.event_frame(wire.Signaled(b"early", "someone")).decode())
        await ws.send_str(WELCOME)

    async with lying_server(script) as url, online(url) as ana:
        assert ana.all(wire.Signaled) == []
        assert ana.client.refused == {Reason.UNEXPECTED: 1}


async def test_a_server_of_nothing_but_lies_is_left() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        for frame in [WELCOME] + ['42["signal",{}]'] * client_module.MALFORMED_MAX:
            await ws.send_str(frame)

    async with lying_server(script) as url, online(url) as ana:
        assert "check the URL" in (await ana.next(Disconnected)).reason


async def test_a_rejection_behind_the_welcome_ends_the_connection() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        for frame in (WELCOME, '44{"message":"no more"}'):
            await ws.send_str(frame)

    async with lying_server(script) as url, online(url) as ana:
        assert "ended the connection" in (await ana.next(Disconnected)).reason


async def test_an_oversize_message_ends_the_connection() -> None:
    async def script(ws: web.WebSocketResponse) -> None:
        await ws.send_str(WELCOME)
        await ws.send_str('42["signal",{"box":"' + "A" * 2**20)

    async with lying_server(script) as url, online(url) as ana:
        await ana.next(Disconnected)
        assert ana.all(wire.Signaled) == []


@pytest.mark.parametrize("opening", ["0{}", "0[]", "garbage", "", '0{"sid":1,"pingTimeout":"x"}'])
async def test_an_opening_that_makes_no_sense_is_a_failed_attempt(opening: str) -> None:
    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(opening)
        await ws.receive()
        return ws

    app = web.Application()
    app.router.add_get("/socket.io/", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ana = Device(f"http://127.0.0.1:{runner.addresses[0][1]}")
    ana.client.start()

    assert "check the URL" in (await ana.next(Disconnected)).reason
    await ana.next(Disconnected, 2)
    await ana.client.close()
    await runner.cleanup()


NO_URLS = ["", "h", "ftp://h", "http://", "http://h:port", "ws://h", "http://h/path", "http://h?x"]


NO_TOKENS = ["http://@h", "http://user:word@h", "http://a@b@h", f"http://{'x' * 201}@h"]


@pytest.mark.parametrize("url", [*NO_URLS, *NO_TOKENS, "http://h#x", "http://[h"])
async def test_what_is_no_url_of_a_server_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidValue, match="https://host"):
        SignalingClient(url, lambda event: None, SystemEntropy())


class Drawn:
    """Entropy that always draws the same byte."""

    def __init__(self, byte: int) -> None:
        self.byte = byte

    def draw(self, size_bytes: int) -> bytes:
        return bytes([self.byte]) * size_bytes


@pytest.mark.parametrize("byte", [0, 0x7F, 0xFF])
async def test_the_back_off_doubles_up_to_its_most_and_is_jittered(byte: int) -> None:
    back_off, entropy = BackOff(first_ms=500, most_ms=60_000), Drawn(byte)

    for failures in range(200):
        longest = min(60_000, 500 * 2**failures)
        assert longest // 2 <= back_off.delay_ms(failures, entropy) <= longest

"""The server as a process, spoken to over real WebSockets: what it grants, refuses and survives."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from peerstack import limits
from peerstack.signaling import wire
from tests.raw_socket import QUERY, RawSocket, raw_device, raw_socket
from tests.server_process import running_server, server_process
from tests.signaling_device import Device, online

pytestmark = pytest.mark.asyncio

_ROOT = Path(__file__).resolve().parents[2]
_PATHS = f"{_ROOT}:{_ROOT / 'server'}"
TOPIC, OTHER = b"t" * 32, b"o" * 32
TOPIC64 = base64.b64encode(TOPIC).decode()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server() as running:
        yield running


async def assert_served(url: str) -> None:
    """Whatever was done to the server, others are served."""
    async with online(url) as ana, online(url) as bob:
        assert await bob.client.signal(ana.address, b"still here")
        assert (await ana.next(wire.Signaled)).box == b"still here"


async def test_an_announcement_reaches_the_others_in_the_topic_and_nobody_else(url: str) -> None:
    async with online(url) as ana, online(url) as bob, online(url) as eve:
        await bob.client.join([TOPIC])
        await ana.client.join([TOPIC])
        await eve.client.join([OTHER])

        assert await ana.client.announce(TOPIC, b"sealed")

        assert await bob.next(wire.Announced) == wire.Announced(TOPIC, b"sealed", ana.address)
        await assert_nothing_before_a_signal(bob, ana, eve)


async def assert_nothing_before_a_signal(sender: Device, *others: Device) -> None:
    # The server sends in order, so what had been on its way would have come before this.
    for other in others:
        await sender.client.signal(other.address, b"marker")
        await other.next(wire.Signaled)
        assert other.all(wire.Announced) == []


async def test_a_signal_reaches_its_address_and_names_the_true_sender(url: str) -> None:
    async with online(url) as ana, raw_device(url) as (eve, address):
        box = base64.b64encode(b"hello").decode()
        forged = {"to": ana.address, "box": box, "sender": "someone-else"}

        assert await eve.ask("signal", forged) == {"delivered": True}

        assert (await ana.next(wire.Signaled)).sender == address


async def test_a_signal_to_an_address_that_left_says_gone(url: str) -> None:
    async with online(url) as ana:
        async with online(url) as bob:
            address = bob.address
        async with asyncio.timeout(20):
            while await ana.client.signal(address, b"box"):
                pass

        assert not await ana.client.signal(address, b"box")


async def test_an_address_cannot_be_chosen_or_taken_over(url: str) -> None:
    async with online(url) as ana, raw_socket(url) as eve:
        await eve.say(f'40{{"sid":"{ana.address}","address":"{ana.address}"}}')
        welcome = await eve.hear_event("welcome")

        assert welcome["address"] != ana.address
        async with online(url) as bob:
            await bob.client.signal(ana.address, b"for ana")
        assert (await ana.next(wire.Signaled)).box == b"for ana"


async def test_the_end_of_one_socket_leaves_every_other_registration(url: str) -> None:
    async with raw_device(url) as (eve, _), online(url) as ana:
        await eve.say(f'42["disconnect","{ana.address}"]')
        assert (await eve.hear_event("problem"))["error"] == "malformed"
        await eve.say("41")
        assert (await eve.ws.receive()).type is not aiohttp.WSMsgType.TEXT

        async with online(url) as bob:
            assert await bob.client.signal(ana.address, b"box")


async def test_nobody_can_list_topics_or_devices(url: str) -> None:
    async with raw_device(url) as (eve, _):
        for event in ("list", "rooms", "groups", "devices", "get-groups", "message", "connect"):
            await eve.say(f'421["{event}",{{}}]')
            assert await eve.hear_event("problem") == {"error": "malformed"}


HOSTILE: list[str | bytes] = [
    "4",
    "40/admin,",
    "x",
    "2probe",
    "5",
    "421",
    "42[]",
    '42["join",{}]',
    '421["join"',
    '421["__proto__",{}]',
    '451-["signal",{"_placeholder":true,"num":0}]',
    "4599999999-[]",
    b"\x00binary",
    "43" + "9" * 90 + "[]",
    "4" * 1_000,
]


@pytest.mark.parametrize("frame", HOSTILE, ids=lambda frame: repr(frame[:20]))
async def test_a_frame_that_is_no_request_is_named_malformed(url: str, frame: str | bytes) -> None:
    async with raw_device(url) as (eve, _):
        await eve.say(frame)

        assert (await eve.hear_event("problem"))["error"] == "malformed"
        assert await eve.ask("ice", {}) == {"servers": [], "lifetime_s": 3600}


BAD_REQUESTS = [
    '421["join",',
    '421["join",{]',
    '421["join",' + "[" * 5_000,
    '421["join",{"topics":"all"}]',
    '421["join",{"topics":["c2hvcnQ="]}]',
    '421["join",{"topics":[1]}]',
    '421["join",[],[],[]]',
    '421["announce",{"topic":null,"box":""}]',
    '421["announce",{"box":"AAAA"}]',
    '421["signal",{"to":{"$ne":1},"box":"AAAA"}]',
    '421["signal",{"to":"' + "a" * 100 + '","box":"AAAA"}]',
    '421["signal",{"to":"a","box":"not base64!"}]',
    '421["signal"]',
    '421["leave",{"topics":{"__proto__":[]}}]',
]


async def assert_answered_malformed(eve: RawSocket, frame: str) -> None:
    await eve.say(frame)
    assert (await eve.hear("431"))[0]["error"] == "malformed"


@pytest.mark.parametrize("frame", BAD_REQUESTS, ids=lambda frame: frame[4:36])
async def test_a_request_that_makes_no_sense_is_answered_malformed(url: str, frame: str) -> None:
    async with raw_device(url) as (eve, _):
        await assert_answered_malformed(eve, frame)

        assert await eve.ask("join", {"topics": [TOPIC64]}) == {}
    await assert_served(url)


async def test_a_topic_joined_by_nobody_can_be_announced_in_by_nobody(url: str) -> None:
    async with online(url) as eve:
        assert not await eve.client.announce(OTHER, b"box")

        assert (await eve.next(wire.Problem)).error is wire.Refusal.NOT_JOINED


async def test_too_many_topics_are_refused_and_the_connection_lives() -> None:
    with running_server("--topics", "2") as url:
        async with online(url) as ana:
            assert await ana.client.join([b"1" * 32, b"2" * 32])
            assert not await ana.client.join([b"3" * 32])
            assert (await ana.next(wire.Problem)).error is wire.Refusal.TOO_MANY_TOPICS
            assert await ana.client.leave([b"1" * 32])
            assert await ana.client.join([b"3" * 32])


async def test_a_full_topic_refuses_one_more() -> None:
    with running_server("--members", "1") as url:
        async with online(url) as ana, online(url) as bob:
            await ana.client.join([TOPIC])
            assert not await bob.client.join([TOPIC])
            assert (await bob.next(wire.Problem)).error is wire.Refusal.TOPIC_FULL


async def test_an_oversize_frame_is_named_too_large_and_a_huge_one_ends_the_connection(
    url: str,
) -> None:
    async with raw_device(url) as (eve, address):
        box = "A" * (limits.SIGNALING_MESSAGE_BYTES + 1)
        assert await eve.ask("signal", {"to": address, "box": box}) == {"error": "too-large"}
        await eve.say('421["signal",{"box":"' + "A" * 5 * limits.SIGNALING_MESSAGE_BYTES)
        end = await eve.ws.receive()
        assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, 1009)
    await assert_served(url)


async def test_a_box_as_large_as_permitted_is_relayed(url: str) -> None:
    async with online(url) as ana:
        box = bytes(limits.BOX_BYTES)
        assert await ana.client.signal(ana.address, box)
        assert (await ana.next(wire.Signaled)).box == box


async def test_a_flood_is_named_too_fast_and_slows_only_its_sender() -> None:
    with running_server("--messages-per-s", "50", "--messages-burst", "5") as url:
        async with raw_device(url) as (eve, _):
            for _ in range(20):
                await eve.say('421["ice",{}]')
            while "error" not in (answer := (await eve.hear("431"))[0]):
                pass

            assert answer["error"] == "too-fast"
            assert 0 < answer["wait_ms"] <= 20
            await assert_served(url)


async def test_websocket_pings_are_not_free_of_charge() -> None:
    with running_server("--messages-per-s", "1", "--messages-burst", "5") as url:
        async with raw_device(url) as (eve, _):
            for _ in range(10):
                await eve.ws.ping()

            assert (await eve.hear_event("problem"))["error"] == "too-fast"


async def test_a_reader_that_does_not_read_is_cut_off_and_others_are_served() -> None:
    flags = ("--send-queue-kb", "64", "--messages-burst", "100000", "--network-messages-burst")
    with running_server(*flags, "100000", "--network-relay-kb-burst", "1000000") as url:
        async with raw_device(url) as (_lazy, lazy_address), online(url) as ana:
            async with asyncio.timeout(20):
                while await ana.client.signal(lazy_address, bytes(limits.BOX_BYTES)):
                    pass
            assert ana.all(wire.Problem) == []
        await assert_served(url)


@pytest.mark.parametrize(
    ("flags", "headers", "status", "error"),
    [
        (("--token", "sesame"), {}, 401, "unauthorized"),
        (("--token", "sesame"), {"Authorization": "Bearer sesam"}, 401, "unauthorized"),
        (("--origin", "https://a.example"), {"Origin": "https://b.example"}, 403, "bad-origin"),
        ((), {"Origin": "https://b.example"}, 403, "bad-origin"),
        (("--token", "sesame"), {"Authorization": "Bearer \xff\xfe"}, 401, "unauthorized"),
    ],
)
async def test_who_may_not_connect_is_refused_before_the_upgrade(
    flags: tuple[str, ...], headers: dict[str, str], status: int, error: str
) -> None:
    with running_server(*flags) as url:
        async with (
            aiohttp.ClientSession() as http,
            http.get(url + QUERY, headers=headers) as answer,
        ):
            assert answer.status == status
            assert (await answer.json())["error"] == error


async def test_a_page_from_an_allowed_origin_may_connect() -> None:
    with running_server("--origin", "https://a.example") as url:
        async with raw_device(url, headers={"Origin": "https://a.example"}) as (page, _):
            assert await page.ask("join", {"topics": []}) == {}


async def test_connections_from_one_network_are_bounded() -> None:
    with running_server("--connections-per-network", "2") as url:
        async with online(url), raw_socket(url), aiohttp.ClientSession() as http:
            async with http.get(url + QUERY) as answer:
                assert answer.status in {400, 429}
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(url + QUERY)
            assert refused.value.status == 429


async def test_long_polling_is_not_served(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/socket.io/?EIO=4&transport=polling") as answer:
            assert answer.status == 400
        async with http.post(f"{url}/socket.io/?EIO=4&transport=polling", data="40") as answer:
            assert answer.status == 405


async def test_turn_credentials_verify_with_the_shared_secret() -> None:
    flags = ("--stun-url", "stun:s.example", "--turn-url", "turn:t.example", "--turn-secret", "x")
    with running_server(*flags, "--turn-lifetime-s", "60") as url:
        async with online(url) as ana:
            answer = await ana.client.ice()

    assert answer is not None
    assert answer.lifetime_s == 60
    stun, turn = answer.servers
    assert stun == wire.IceServer(("stun:s.example",))
    mac = hmac.new(b"x", turn.username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(turn.credential) == mac


async def test_health_and_readiness_are_told(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        for path in ("/healthz", "/readyz"):
            async with http.get(url + path) as answer:
                assert answer.status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_process_says_goodbye_and_exits_0(number: int) -> None:
    with server_process() as server:
        async with raw_device(server.url) as (device, _):
            server.process.send_signal(number)

            assert await device.hear_event("closing") == {"spread_ms": 2}
            end = await device.ws.receive()
            assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
        assert await asyncio.to_thread(server.process.wait, 10) == 0


async def test_a_port_in_use_is_said_plainly(url: str) -> None:
    port = url.rsplit(":", 1)[1]
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "peerstack_server", "--port", port),
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": _PATHS},
    )
    _, error = await command.communicate()

    assert command.returncode == 1
    assert b"--port" in error
    assert b"Traceback" not in error


async def test_logs_hold_no_topic_box_or_address() -> None:
    with server_process("--log-level", "debug") as server:
        async with online(server.url) as ana, raw_device(server.url) as (eve, _):
            await ana.client.join([TOPIC])
            await ana.client.announce(TOPIC, b"sealed box")
            for frame in HOSTILE:
                await eve.say(frame)
            await assert_answered_malformed(eve, '421["join",secretive')
            address = ana.address
        assert server.stop() == 0
        lines = server.log().splitlines()

    assert [json.loads(line)["event"] for line in lines] == ["listening", "closing"]
    assert not [line for line in lines if address in line or TOPIC64 in line or "secretive" in line]


async def test_garbage_instead_of_http_harms_nobody(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as garbage:
        garbage.sendall(b"\x16\x03\x01 not http\r\n\r\n" * 100)
        await assert_served(url)

"""Every bound, gone over by a raw client: it is told which, and all others are served as before."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from peerstack import limits
from peerstack.signaling.wire import Refusal
from tests.raw_socket import QUERY, RawSocket, raw_device
from tests.server.here import server_here
from tests.server.several import numbers, until
from tests.server_process import running_server

pytestmark = pytest.mark.asyncio

TOKEN, PAGE = "sesame", "https://app.example"
FLAGS: Final = (
    *("--proxy", "127.0.0.1", "--token", TOKEN, "--origin", PAGE),
    *("--topics", "8", "--members", "2", "--connections-per-network", "4"),
    *("--messages-per-s", "1", "--messages-burst", "20"),
    *("--network-messages-per-s", "1", "--network-messages-burst", "50"),
    *("--network-relay-kb-per-s", "1", "--network-relay-kb-burst", "64"),
)
NETWORKS = (f"192.0.2.{number}" for number in range(256))
"""One for each who is to share no bound with anybody else."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server(*FLAGS) as running:
        yield running


def at(network: str, **more: str) -> dict[str, str]:
    """What a connection from this network address says first."""
    return {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": network, **more}


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def topics(*names: int) -> dict[str, list[str]]:
    return {"topics": [b64(name.to_bytes(32, "big")) for name in names]}


@dataclass(frozen=True)
class Raw:
    """Somebody who says what they like, and where they are."""

    socket: RawSocket
    address: str

    async def ask(self, event: str, content: Any) -> Any:
        return await self.socket.ask(event, content)

    async def say(self, frame: str | bytes) -> Any:
        """What the server thinks of a frame that asks nothing."""
        await self.socket.say(frame)
        return await self.socket.hear_event("problem")

    async def question(self, frame: str) -> Any:
        """What the server answers to a frame that asks something, under the number 1."""
        await self.socket.say(frame)
        return (await self.socket.hear("431"))[0]


async def enter(stack: AsyncExitStack, url: str, network: str) -> Raw:
    return Raw(*await stack.enter_async_context(raw_device(url, headers=at(network))))


@asynccontextmanager
async def bystanders(url: str) -> AsyncIterator[None]:
    """Two who were there before, and who are served after all that is done meanwhile."""
    async with AsyncExitStack() as stack:
        network = next(NETWORKS)
        one, other = [await enter(stack, url, network) for _ in range(2)]
        yield
        box = b64(b"hello")
        assert await one.ask("signal", {"to": other.address, "box": box}) == {"delivered": True}
        assert await other.socket.hear_event("signal") == {"box": box, "sender": one.address}


# --- What may be said. --------------------------------------------------------------------------


async def enter_too_many_topics(raw: Raw) -> Any:
    assert await raw.ask("join", topics(*range(100, 108))) == {}
    return await raw.ask("join", topics(108))


async def announce_where_it_is_not(raw: Raw) -> Any:
    return await raw.ask("announce", {"topic": topics(99)["topics"][0], "box": b64(b"box")})


async def send_a_large_box(raw: Raw) -> Any:
    return await raw.ask("signal", {"to": "a", "box": b64(bytes(limits.BOX_BYTES + 1))})


async def flood(raw: Raw) -> Any:
    for _ in range(21):
        await raw.socket.say('421["ice",{}]')
    answers = [(await raw.socket.hear("431"))[0] for _ in range(21)]
    assert "error" not in answers[0]
    return next(answer for answer in answers if "error" in answer)


async def ask_for_many_topics_again(raw: Raw) -> Any:
    # Each time, they count as 16 messages more.
    many = topics(*range(256))
    assert (await raw.ask("join", many))["error"] == Refusal.TOO_MANY_TOPICS
    return await raw.ask("join", many)


async def have_much_relayed(raw: Raw) -> Any:
    own = {"to": raw.address, "box": b64(bytes(limits.BOX_BYTES))}
    for _ in range(2):
        assert await raw.ask("signal", own) == {"delivered": True}
    return await raw.ask("signal", own)


DEEP = "[" * 15_000 + "]" * 15_000
Act = Callable[[Raw], Awaitable[Any]]
SAID: Final[dict[str, tuple[Refusal, Act]]] = {
    "binary": (Refusal.MALFORMED, lambda raw: raw.say(b"\x00" * 100)),
    "an unknown event": (Refusal.MALFORMED, lambda raw: raw.say('421["list",{}]')),
    "an event without a question": (Refusal.MALFORMED, lambda raw: raw.say('42["ice",{}]')),
    "another namespace": (Refusal.MALFORMED, lambda raw: raw.say("40/admin,{}")),
    "an attachment": (Refusal.MALFORMED, lambda raw: raw.say('451-1["signal",{}]')),
    "deep JSON": (Refusal.MALFORMED, lambda raw: raw.question(f'421["join",{DEEP}]')),
    "no JSON": (Refusal.MALFORMED, lambda raw: raw.question('421["join",{]')),
    "more topics than a request takes": (
        Refusal.MALFORMED,
        lambda raw: raw.ask("join", topics(*range(limits.TOPICS_PER_CONNECTION + 1))),
    ),
    "a large frame": (Refusal.TOO_LARGE, lambda raw: raw.question(f'421["join",{" " * 65_536}')),
    "a large box": (Refusal.TOO_LARGE, send_a_large_box),
    "more topics than permitted": (Refusal.TOO_MANY_TOPICS, enter_too_many_topics),
    "a topic that was not joined": (Refusal.NOT_JOINED, announce_where_it_is_not),
    "a flood": (Refusal.TOO_FAST, flood),
    "many topics again": (Refusal.TOO_FAST, ask_for_many_topics_again),
    "much to relay": (Refusal.TOO_FAST, have_much_relayed),
}


@pytest.mark.parametrize("what", SAID)
async def test_what_may_not_be_said_is_named_and_nobody_else_notices(url: str, what: str) -> None:
    error, act = SAID[what]
    async with AsyncExitStack() as stack, bystanders(url):
        answer = await act(await enter(stack, url, next(NETWORKS)))

    assert answer["error"] == error
    assert (answer.get("wait_ms", 0) > 0) == (error is Refusal.TOO_FAST)


async def test_a_topic_that_is_full_is_named_and_its_members_are_served(url: str) -> None:
    async with AsyncExitStack() as stack, bystanders(url):
        one, other, third = [await enter(stack, url, next(NETWORKS)) for _ in range(3)]
        for raw in (one, other):
            assert await raw.ask("join", topics(1)) == {}

        assert (await third.ask("join", topics(2, 1)))["error"] == Refusal.TOPIC_FULL
        announced = {"topic": topics(1)["topics"][0], "box": b64(b"box")}
        assert await one.ask("announce", announced) == {}
        assert (await other.socket.hear_event("announce"))["sender"] == one.address
        assert await third.ask("join", topics(2)) == {}


async def test_thousands_of_topics_are_had_by_nobody_and_go_with_who_has_them() -> None:
    with running_server() as url:
        async with AsyncExitStack() as stack:
            greedy = await enter(stack, url, "")
            for first in range(0, 5_000, 1_000):
                await greedy.ask("join", topics(*range(first, first + 1_000)))
            assert (await numbers(url))["topics"] == 1_000
            await greedy.ask("join", topics(*range(5_000, 5_000 + 24)))
            assert (await numbers(url))["topics"] == limits.TOPICS_PER_CONNECTION

        assert (await until(url, lambda found: not found["connections"]))["topics"] == 0


async def test_many_connections_share_the_rate_of_their_network(url: str) -> None:
    network = next(NETWORKS)
    async with AsyncExitStack() as stack, bystanders(url):
        raws = [await enter(stack, url, network) for _ in range(4)]
        answers = 0
        while "error" not in (answer := await raws[answers % 4].ask("ice", {})):
            answers += 1

    assert answer["error"] == Refusal.TOO_FAST
    assert answers < 4 * 20, "of each alone, 20 would have been answered"


# --- Who may come in. ---------------------------------------------------------------------------


async def refusal(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """The status, and what is named, where somebody wants to connect; 101 is that they may."""
    upgrade = {"Host": "x", "Upgrade": "websocket", "Connection": "Upgrade"}
    upgrade |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": b64(bytes(16))}
    lines = [f"{name}: {value}" for name, value in {**upgrade, **headers}.items()]
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write("\r\n".join([f"GET {QUERY} HTTP/1.1", *lines, "", ""]).encode())
        status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
        content = b'{"error":""}' if status == 101 else await reader.readuntil(b"}")
        return status, json.loads(content)["error"]
    finally:
        writer.close()


OUTSIDE: Final[dict[str, tuple[int, Refusal, dict[str, str]]]] = {
    "without the token": (401, Refusal.UNAUTHORIZED, at("", Authorization="Bearer sesam")),
    "from another page": (403, Refusal.BAD_ORIGIN, at("", Origin="https://evil.example")),
    "without WebSocket": (400, Refusal.MALFORMED, at("", Upgrade="h2c")),
}


@pytest.mark.parametrize("what", OUTSIDE)
async def test_who_may_not_connect_is_told_why_and_nobody_else_notices(url: str, what: str) -> None:
    status, error, headers = OUTSIDE[what]
    async with bystanders(url):
        assert await refusal(url, headers) == (status, error)


async def test_a_network_with_its_connections_gets_no_more_and_others_do(url: str) -> None:
    network = next(NETWORKS)
    async with AsyncExitStack() as stack, bystanders(url):
        for _ in range(4):
            await enter(stack, url, network)

        assert await refusal(url, at(network)) == (429, Refusal.TOO_MANY_CONNECTIONS)
        await enter(stack, url, next(NETWORKS))


async def test_a_flood_of_connections_is_slowed_and_others_connect(url: str) -> None:
    network = next(NETWORKS)
    async with bystanders(url):
        for _ in range(500):
            told = await refusal(url, at(network))
            if told[0] not in {101, 429} or told[1] == Refusal.TOO_FAST:
                break
        assert told == (429, Refusal.TOO_FAST)


async def test_a_server_that_is_full_says_so_and_takes_the_next_when_one_has_left() -> None:
    with running_server("--connections", "3") as url:
        async with AsyncExitStack() as stack, bystanders(url):
            async with AsyncExitStack() as short:
                await enter(short, url, "")
                assert await refusal(url, {}) == (503, Refusal.FULL)
            await until(url, lambda found: found["connections"] == 2)
            await enter(stack, url, "")


async def test_a_server_that_goes_down_lets_nobody_in() -> None:
    async with server_here() as here:
        await here.carrier.drain()

        # One that the proxy had a connection for already, that is.
        assert await refusal(here.url, {}) == (503, Refusal.CLOSING)


async def test_every_refusal_is_brought_about_here() -> None:
    here = {error for error, _ in SAID.values()} | {error for _, error, _ in OUTSIDE.values()}
    by_itself = {
        *(Refusal.TOPIC_FULL, Refusal.TOO_MANY_CONNECTIONS, Refusal.FULL, Refusal.CLOSING),
        Refusal.UNAVAILABLE,  # in test_cluster.py, since it takes several processes
    }

    assert here | by_itself == set(Refusal)


# --- Who says nothing, or hears nothing. --------------------------------------------------------


@pytest.mark.parametrize("begin", [b"", b"GET /socket.io/ HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_that_never_says_what_it_wants_is_ended(begin: bytes) -> None:
    with running_server("--request-s", "1") as url:
        host, port = url.removeprefix("http://").split(":")
        async with bystanders(url):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(begin)

            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()


async def test_a_device_that_shows_no_sign_of_life_is_gone_and_one_that_does_stays() -> None:
    with running_server("--ping-s", "1") as url:
        async with AsyncExitStack() as stack:
            silent = await enter(stack, url, "")
            alive = await enter(stack, url, "")
            async with asyncio.timeout(20):
                while (await numbers(url))["connections"] == 2:
                    assert await alive.socket.ws.receive_str() == "2"
                    await alive.socket.say("3")

            gone = {"to": silent.address, "box": b64(b"box")}
            assert await alive.ask("signal", gone) == {"delivered": False}

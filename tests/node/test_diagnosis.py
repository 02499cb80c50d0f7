"""`Node.diagnose` says what works of all that devices need to connect: against real servers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web

import peerstack
from peerstack.node import diagnosis
from peerstack.node.asking import ask_server
from peerstack.node.ports import SystemEntropy
from peerstack.transport import probe
from peerstack.transport.probe import Gathered, Seen, ask_stun, ask_turn
from peerstack.transport.webrtc import IceServer, has_only_loopback
from tests.server_process import running_server
from tests.services import Coturn, running_coturn

NOBODY = "http://127.0.0.1:1"
SECRET = "north-of-the-river"


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    with running_coturn(tmp_path_factory.mktemp("coturn"), "127.0.0.1", SECRET) as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


async def diagnosed(path: Path, *servers: str) -> peerstack.Diagnosis:
    """What a device finds that meets nobody."""
    async with peerstack.open(path / "ana.db", "Ana", servers, network=False) as node:
        return await node.diagnose()


def said(found: peerstack.Diagnosis, what: str) -> tuple[bool | None, str]:
    """The one check of a kind."""
    (check,) = [each for each in found.checks if each.what == what]
    return check.passed, check.said


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def silence() -> Iterator[str]:
    """An address at which nothing ever answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{silent.getsockname()[1]}"


@asynccontextmanager
async def impostor(status: int, headers: Mapping[str, str]) -> AsyncIterator[str]:
    """A web server that answers everything alike."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


# --- Where all is well. -------------------------------------------------------------------------


@pytest.mark.services("turnserver")
async def test_where_all_is_well_each_check_passes_and_nothing_secret_is_said(
    coturn: Coturn, tmp_path: Path
) -> None:
    stun, turn = f"stun:{coturn.address}", f"turn:{coturn.address}"
    with running_server("--stun-url", stun, "--turn-url", turn, "--turn-secret", SECRET) as url:
        async with (
            peerstack.open(tmp_path / "ana.db", "Ana", url) as ana,
            peerstack.open(tmp_path / "ben.db", "Ben") as ben,
        ):
            family = await ana.create_group("Family")
            await ben.join(await family.invite(role="writer"))
            await ben.wait_synced()

            found = await ana.diagnose()
            (connection,) = ana.status().connections
            assert ana._network is not None
            given = [each.credential for each in ana._network._ice_servers() if each.credential]

    assert found.can_connect
    what = [check.what for check in found.checks]
    assert what == [
        *("server", "access", "version", "clock"),
        *("addresses", "stun", "nat", "turn", "device"),
    ]
    # Where these tests run there may be no network.
    assert said(found, "addresses")[0] is not has_only_loopback()
    failed = [check.said for check in found.checks if check.passed is not True]
    assert [each for each in failed if "loopback" not in each] == []
    assert connection.path == "direct"
    assert f"connected directly to {ben.user.device}; " in said(found, "device")[1]
    assert "host to host used" in said(found, "device")[1]
    assert "in 60 minutes" in said(found, "turn")[1]
    assert SECRET not in repr(found)
    assert len(given) == 1
    assert given[0] not in repr(found)


# --- Signaling servers. -------------------------------------------------------------------------


async def test_a_token_that_is_asked_for_is_no_way_in(tmp_path: Path) -> None:
    with running_server("--token", "open-sesame") as url:
        found = await diagnosed(tmp_path, url)

    assert not found.can_connect
    assert said(found, "server")[0]
    passed, text = said(found, "access")
    assert passed is False
    assert "wants another access token" in text
    assert said(found, "clock")[0]


async def test_without_any_server_nothing_can_work(tmp_path: Path) -> None:
    found = await diagnosed(tmp_path)

    assert not found.can_connect
    assert said(found, "server") == (False, "no signaling server is known: give --server URL")


async def test_one_server_of_two_is_enough(server: str, tmp_path: Path) -> None:
    found = await diagnosed(tmp_path, NOBODY, server)

    assert found.can_connect
    assert [check.passed for check in found.checks if check.what == "server"] == [False, True]


@pytest.mark.parametrize(("url", "step", "advice"), [
    (NOBODY, "TCP: ", "check the URL, the network, and that it runs"),
    ("http://nobody.invalid", "DNS: ", "check the URL, the network"),
])  # fmt: skip
async def test_who_is_not_there_is_told_with_the_step(
    url: str, step: str, advice: str, tmp_path: Path
) -> None:
    found = await diagnosed(tmp_path, url)

    assert not found.can_connect
    passed, text = said(found, "server")
    assert passed is False
    assert text.startswith(step)
    assert advice in text


async def test_a_server_without_tls_is_told_of(server: str, tmp_path: Path) -> None:
    found = await diagnosed(tmp_path, server.replace("http:", "https:"))

    assert said(found, "server")[1].startswith("TLS: no secure connection to https:")


async def test_what_is_no_signaling_server_is_told_of(tmp_path: Path) -> None:
    async with impostor(200, {}) as url:
        found = await diagnosed(tmp_path, url)

    assert said(found, "server")[1].startswith(f"HTTP: {url} is no signaling server (HTTP 200)")


async def test_what_only_begins_like_one_is_told_of(tmp_path: Path) -> None:
    async with impostor(400, {}) as url:
        found = await diagnosed(tmp_path, url)

    assert not found.can_connect
    passed, text = said(found, "server")
    assert passed is False
    assert "no signaling server (HTTP 400)" in text


# --- Clocks. ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("off_s", "words"), [
    (3_600, " s ahead of that of "),
    (-3_600, " s behind that of "),
])  # fmt: skip
async def test_a_wrong_clock_is_told(server: str, off_s: int, words: str) -> None:
    asked = await ask_server(server, SystemEntropy(), lambda: wall_ms() + off_s * 1000)

    (clock,) = [check for check in asked.checks if check.what == "clock"]
    assert clock.passed is False
    assert words in clock.said
    assert any(f"{abs(off_s) + off} s" in clock.said for off in range(-5, 6))


@pytest.mark.parametrize("date", ["", "soon", "Mon, 1 Jan 99999 0:0:0 GMT", "," * 5_000, "1 2 3 4"])
async def test_a_date_that_makes_no_sense_tells_nothing(date: str) -> None:
    async with impostor(403, {"Date": date}) as url:
        asked = await ask_server(url, SystemEntropy(), wall_ms)

    assert [check.what for check in asked.checks] == ["server"]


# --- STUN and TURN. -----------------------------------------------------------------------------


async def test_a_stun_server_that_is_silent_is_told_of_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "ANSWER_S", 0.5)
    with silence() as silent, running_server("--stun-url", f"stun:{silent}") as url:
        found = await diagnosed(tmp_path, url)

    assert found.can_connect
    passed, text = said(found, "stun")
    assert passed is False
    assert f"stun:{silent} does not answer" in text


@pytest.mark.services("turnserver")
async def test_a_turn_server_with_another_secret_is_told_of(coturn: Coturn, tmp_path: Path) -> None:
    flags = ("--turn-url", f"turn:{coturn.address}", "--turn-secret", "south")
    with running_server(*flags) as url:
        found = await diagnosed(tmp_path, url)

    assert found.can_connect
    passed, text = said(found, "turn")
    assert passed is False
    assert "refuses the credentials" in text
    assert "static-auth-secret" in text


@pytest.mark.parametrize(("form", "words"), [
    ("turn:127.0.0.1:1?transport=tcp", "cannot be reached"),
    ("turn:nobody.invalid", "has no address"),
    ("turns:127.0.0.1:1?transport=udp", "is no address of a TURN server"),
    ("turn", "is no address of a TURN server"),
])  # fmt: skip
async def test_a_turn_server_that_is_not_there_is_told_of(form: str, words: str) -> None:
    told = await ask_turn(IceServer(form, "user", "credential"))

    assert told.address is None
    assert words in told.problem


async def test_a_turn_server_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ANSWER_S", 0.5)
    with silence() as silent:
        told = await ask_turn(IceServer(f"turn:{silent}", "user", "credential"))

    assert "does not answer" in told.problem


class Liar(asyncio.DatagramProtocol):
    """Answers everything with what makes no sense to a client of STUN."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        success = b"\x01\x01"
        attributes = b"\x00\x20\x00\x01\x00\x00\x00\x00"
        short = success + len(attributes).to_bytes(2) + data[4:20] + attributes
        for answer in (b"", b"\x00", b"\xff" * 1500, data, data[:19], short):
            self.transport.sendto(answer, addr)
        self.transport.sendto(success + b"\x00\x00" + data[4:20], addr)


async def test_a_stun_server_that_talks_nonsense_is_told_of(
    quiet: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "ANSWER_S", 2.0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Liar, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    (seen,) = await ask_stun([IceServer(f"stun:{host}:{port}")])
    transport.close()

    assert seen.address is None
    assert "is no STUN server" in seen.problem
    assert quiet == []


@pytest.fixture
async def quiet() -> list[str]:
    """What the loop complains of."""
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(str(context)))
    return complaints


# --- Which kind of NAT. -------------------------------------------------------------------------

OWN = [Gathered("host", "10.0.0.2"), Gathered("srflx", "198.51.100.1")]
ONE, OTHER = ("203.0.113.1", 3478), ("203.0.113.1", 3479)
OUTSIDE = "198.51.100.1"


@pytest.mark.parametrize(("answers", "passed", "words"), [
    ({ONE: (OUTSIDE, 5000), OTHER: (OUTSIDE, 5000)}, True, "keeps its port"),
    ({ONE: (OUTSIDE, 5000), OTHER: (OUTSIDE, 5001)}, False, "symmetric"),
    ({ONE: (OUTSIDE, 5000), OTHER: None}, None, "takes a second STUN server"),
    ({ONE: ("10.0.0.2", 5000)}, True, "no NAT"),
])  # fmt: skip
def test_what_servers_see_tells_the_kind_of_nat(
    answers: Mapping[tuple[str, int], tuple[str, int] | None], passed: bool | None, words: str
) -> None:
    seen = [Seen("stun:", asked, address, "") for asked, address in answers.items()]

    (check,) = diagnosis._nat(seen, OWN)

    assert check.passed is passed
    assert words in check.said


def test_two_names_of_one_server_are_one_answer() -> None:
    seen = [Seen("stun:a", ONE, (OUTSIDE, 5000), ""), Seen("stun:b", ONE, (OUTSIDE, 5000), "")]

    (check,) = diagnosis._nat(seen, OWN)

    assert check.passed is None

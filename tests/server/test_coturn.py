"""A real coturn takes the credentials that this server makes, for as long as it says."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aioice.ice
import pytest
from aioice import stun, turn

from peerstack.transport.probe import Allocated, ask_turn, gather
from peerstack.transport.webrtc import IceServer
from peerstack_server.ice import IceSettings, ice_servers
from tests.server.several import certificate
from tests.services import Coturn, running_coturn

pytestmark = pytest.mark.services("turnserver")

SECRET = "north"
HOST = "127.0.0.1"
QUOTA = 2


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    folder = tmp_path_factory.mktemp("coturn")
    with running_coturn(folder, HOST, SECRET, f"--user-quota={QUOTA}") as running:
        yield running


def minted(
    coturn: Coturn, address: str, *, secret: str = SECRET, lifetime_s: int = 60, form: str = ""
) -> IceServer:
    return minted_for(f"turn:{coturn.address}{form}", address, secret, lifetime_s)


def minted_for(url: str, address: str, secret: str = SECRET, lifetime_s: int = 60) -> IceServer:
    settings = IceSettings((), (url,), secret, lifetime_s)
    (server,) = ice_servers(settings, address, int(time.time())).servers
    return IceServer(server.urls[0], server.username, server.credential)


@asynccontextmanager
async def allocated(server: IceServer) -> AsyncIterator[turn.TurnClientUdpProtocol]:
    host, port = server.url.removeprefix("turn:").split(":")
    place = (host, int(port))
    _, client = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: turn.TurnClientUdpProtocol(place, server.username, server.credential, 600, 500),
        remote_addr=place,
    )
    await client.connect()
    try:
        yield client
    finally:
        await client.delete()


@pytest.mark.parametrize("form", ["", "?transport=udp", "?transport=tcp"])
async def test_what_the_server_mints_coturn_takes(coturn: Coturn, form: str) -> None:
    told = await ask_turn(minted(coturn, f"ana{form}", form=form))

    assert told.problem == ""
    assert told.address is not None
    assert told.address[0] == HOST


async def test_where_udp_is_silent_one_by_tcp_relays_all_the_same(
    coturn: Coturn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where these tests run there may be no network: servers are not asked then.
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: [HOST])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        by_udp = IceServer(f"turn:{HOST}:{silent.getsockname()[1]}", "user", "credential")
        gathered = await gather([by_udp, minted(coturn, "dora", form="?transport=tcp")])

    assert [each.address for each in gathered if each.kind == "relay"] == [HOST]


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def by_tls(tmp_path_factory: pytest.TempPathFactory, certified: Path) -> Iterator[str]:
    """The URL of a coturn that is reached by TLS."""
    folder = tmp_path_factory.mktemp("coturn-tls")
    with running_coturn(folder, HOST, SECRET, certificate=certified) as running:
        yield f"turns:localhost:{running.address.split(':')[1]}"


async def test_one_by_tls_relays_where_its_certificate_is_trusted(
    by_tls: str, certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified / "chain.pem"))
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: [HOST])
    server = minted_for(by_tls, "eva")

    assert (await ask_turn(server)).problem == ""
    gathered = await gather([server])
    assert [each.address for each in gathered if each.kind == "relay"] == [HOST]


async def test_one_by_tls_whose_certificate_nobody_vouches_for_is_not_used(by_tls: str) -> None:
    told = await refused(minted_for(by_tls, "eva"))
    assert "shows a certificate that this device does not trust" in told.problem


async def refused(server: IceServer) -> Allocated:
    told = await ask_turn(server)
    assert told.address is None
    return told


async def test_what_has_ended_or_is_by_another_secret_coturn_refuses(coturn: Coturn) -> None:
    for server in (minted(coturn, "ana", lifetime_s=-1), minted(coturn, "ana", secret="south")):
        assert "refuses the credentials" in (await refused(server)).problem


async def test_a_connection_gets_no_more_by_asking_again(coturn: Coturn) -> None:
    async with AsyncExitStack() as stack:
        for ask in range(QUOTA):
            again = minted(coturn, "mallory", lifetime_s=60 + ask)
            await stack.enter_async_context(allocated(again))

        told = await refused(minted(coturn, "mallory", lifetime_s=99))

        assert "relays for too many already" in told.problem
        assert (await ask_turn(minted(coturn, "carl"))).problem == ""


async def test_what_was_begun_goes_on_when_the_credentials_end(coturn: Coturn) -> None:
    server = minted(coturn, "ben", lifetime_s=2)
    async with allocated(server) as client:
        # Until coturn's clock, which counts whole seconds, is past their end for sure.
        await asyncio.sleep(3)
        assert "refuses" in (await refused(server)).problem

        request = stun.Message(stun.Method.REFRESH, stun.Class.REQUEST)
        request.attributes["LIFETIME"] = 600
        answer, _ = await client.request_with_retry(request)

    assert answer.message_class is stun.Class.RESPONSE

"""Credentials for TURN on a device that stays connected: asked for again before they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from peerstack.node import network
from peerstack.node.network import Network
from peerstack.node.ports import SystemEntropy
from peerstack.signaling import wire
from peerstack.transport.webrtc import IceServer
from tests.server_process import running_server

WITHIN_S = 30.0
POLL_S = 0.02
TURN = ("--turn-url", "turn:192.0.2.1", "--turn-secret", "north", "--turn-lifetime-s", "60")


@asynccontextmanager
async def online(*flags: str) -> AsyncIterator[Network]:
    with running_server(*flags) as url:
        device = Network(lambda _event: None, SystemEntropy())
        device.meet_by([url])
        try:
            yield device
        finally:
            await device.close()


async def until(device: Network, wanted: Callable[[IceServer], bool]) -> IceServer:
    """The first server for ICE that is as wanted."""
    async with asyncio.timeout(WITHIN_S):
        while not (found := [each for each in device._ice_servers() if wanted(each)]):
            await asyncio.sleep(POLL_S)
    return found[0]


def ends_s(server: IceServer) -> int:
    """When its credential ends, as a Unix time in seconds."""
    assert server.username is not None
    return int(server.username.split(":")[0])


async def test_they_are_renewed_before_they_end_and_the_user_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "RENEWED_AT", 0.005)
    async with online(*TURN) as device:
        first = await until(device, lambda server: server.username is not None)
        then = await until(device, lambda server: ends_s(server) > ends_s(first))

    assert first.username is not None
    assert then.username is not None
    assert then.credential != first.credential
    assert then.username.split(":")[1] == first.username.split(":")[1]


async def test_where_there_are_none_nothing_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "RENEWED_AT", 0.0)
    async with online("--stun-url", "stun:192.0.2.1") as device:
        await until(device, lambda server: server.url == "stun:192.0.2.1")
        (server,) = device._servers.values()

        assert await server._ask_ice() is None


@pytest.mark.parametrize(("said_s", "within_s"), [("60", (29, 31)), ("86400", (43_199, 43_201))])
async def test_they_are_asked_for_at_half_of_their_life(
    said_s: str, within_s: tuple[int, int]
) -> None:
    async with online(*TURN[:-1], said_s) as device:
        await until(device, lambda server: server.username is not None)
        (server,) = device._servers.values()

        due_s = await server._ask_ice()

    assert due_s is not None
    least_s, most_s = within_s
    assert least_s < due_s - asyncio.get_running_loop().time() < most_s


async def test_a_server_that_lies_about_their_life_is_not_asked_all_the_time() -> None:
    async with online(*TURN) as device:
        await until(device, lambda server: server.username is not None)
        (server,) = device._servers.values()
        client = server._client

        async def lying() -> wire.IceServers:
            return wire.IceServers((wire.IceServer(("turn:192.0.2.1",), "0:u", "c"),), 0)

        client.ice = lying  # type: ignore[method-assign]
        due_s = await server._ask_ice()

    assert due_s is not None
    assert due_s - asyncio.get_running_loop().time() > 25

"""What whoever runs a server sees and does: numbers, logs, restarts that refuse nobody."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import aiohttp
import pytest

from peerstack.signaling import wire
from peerstack.signaling.client import Disconnected
from peerstack_server.carrier import Carrier
from peerstack_server.serve import serve
from peerstack_server.settings import Settings
from tests.server.several import numbers, ready, until
from tests.server_process import LINE, ROOT, ServerProcess, running_server, server_process
from tests.signaling_device import Device, online

pytestmark = pytest.mark.asyncio

TOPIC = b"t" * 32


# --- Numbers. -----------------------------------------------------------------------------------


async def test_the_numbers_are_those_of_what_happened() -> None:
    with running_server("--connections", "7") as url:
        before = await numbers(url)
        async with online(url) as ana, online(url) as ben:
            for device in (ana, ben):
                await device.client.join([TOPIC])
            await ana.client.announce(TOPIC, b"box")
            await ana.client.signal(ben.address, b"box")
            await ana.client.announce(bytes(32), b"box")
            during = await numbers(url)
        after = await until(url, lambda found: not found["connections"])

    names = ("connections", "connections_max", "topics", "opened_total", "relayed_total")
    assert [before[name] for name in names] == [0, 7, 0, 0, 0]
    assert [during[name] for name in names] == [2, 7, 1, 2, 2]
    assert [after[name] for name in names] == [0, 7, 0, 2, 2]
    assert during["refused_total:not-joined"] == 1
    assert {f"refused_total:{error.value}" for error in wire.Refusal} <= set(before)
    assert before["process_resident_memory_bytes"] > 0
    assert "redis_connected" not in before, "there is none"


async def test_the_numbers_are_for_who_has_the_token_where_there_is_one() -> None:
    with running_server("--metrics-token", "sesame") as url:
        async with aiohttp.ClientSession() as http:
            for token, status in (("", 401), ("Bearer sesam", 401), ("Bearer sesame", 200)):
                async with http.get(f"{url}/metrics", headers={"Authorization": token}) as answer:
                    assert answer.status == status
                    assert ("peerstack_connections" in await answer.text()) == (status == 200)


async def test_the_numbers_hold_no_topic_box_or_address() -> None:
    with running_server() as url:
        async with online(url) as ana:
            await ana.client.join([TOPIC])
            await ana.client.announce(TOPIC, b"sealed box")
            async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
                text = await answer.text()

            assert not [
                each for each in (ana.address, "tttt", "127.0.0.1", "sealed") if each in text
            ]


# --- Without Redis from the start. --------------------------------------------------------------


async def test_a_server_that_finds_no_redis_serves_and_says_so_without_its_password() -> None:
    with server_process("--redis", "redis://:opensesame@127.0.0.1:1/0") as server:
        assert await ready(server.url) == (200, {"status": "ready", "redis": "away"})
        async with online(server.url) as ana, online(server.url) as ben:
            assert await ana.client.signal(ben.address, b"box")
        server.stop()
        log = server.log()

    told = [json.loads(line) for line in log.splitlines()]
    assert [each["event"] for each in told][:2] == ["other processes out of reach", "listening"]
    assert told[0]["because"] == "ConnectionError"
    assert "opensesame" not in log


# --- Restarts. ----------------------------------------------------------------------------------

HANDED_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, "-m", "peerstack_server"])
"""


@contextmanager
def handed_over(listening: socket.socket) -> Iterator[ServerProcess]:
    """A server on a socket that this process keeps, as systemd does."""
    with subprocess.Popen(
        [sys.executable, "-c", HANDED_OVER, str(listening.fileno())],
        pass_fds=[listening.fileno()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'server'}"},
    ) as process:
        try:
            assert process.stdout is not None
            yield ServerProcess(process.stdout.readline().removeprefix(LINE).strip(), process)
        finally:
            process.kill()


async def test_a_restart_on_a_socket_that_was_handed_over_refuses_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with handed_over(listening) as first:
            assert first.url == url
            async with online(url) as ana:
                assert await asyncio.to_thread(first.stop) == 0
                (left,) = ana.all(Disconnected)
                assert "goes down" in left.reason
                with ExitStack() as stack:
                    # Nobody is there now, and who comes waits.
                    ben = Device(url)
                    ben.client.start()
                    await asyncio.to_thread(stack.enter_context, handed_over(listening))
                    await ben.next(wire.Welcome)
                    await ana.next(wire.Welcome, 2)

                    assert await ana.client.signal(ben.address, b"box")
                    assert ben.all(Disconnected) == []
                    assert len(ana.all(Disconnected)) == 1
                    await ben.client.close()


async def test_before_devices_are_sent_away_nobody_new_gets_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused: list[str] = []
    drain = Carrier.drain

    async def observed(carrier: Carrier) -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        refused.append(url)
        await drain(carrier)

    monkeypatch.setattr(Carrier, "drain", observed)
    serving = asyncio.create_task(serve(Settings(port=0)))
    async with asyncio.timeout(20):
        while not (line := capsys.readouterr().out):
            await asyncio.sleep(0.01)
        url = line.removeprefix(LINE).strip()
        signal.raise_signal(signal.SIGTERM)
        await serving

    # So a proxy asks the next process, and no device comes back to this one.
    assert refused == [url]

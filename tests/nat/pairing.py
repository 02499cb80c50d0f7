"""Which way two devices connect, by how their homes are connected: what was found, and is to be.

As a program, in a network namespace of its own, it says what it found of one pair, in JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.nat.lab import SERVERS, Home, Lab, Router, lab
from tests.own_network import own_network
from tests.server_process import ROOT, server_process
from tests.services import running_coturn

SECRET: Final = "north"
AT_ONCE: Final = 4
OPEN, CONE, SYMMETRIC, NO_UDP = Router


class Pairing(NamedTuple):
    """Two homes."""

    one: Router
    other: Router
    between: bool = True
    """Whether anything is passed on between them; servers are reached anyhow."""


class Ways(NamedTuple):
    """Which way two devices connected: `direct`, `relayed`, or `none`."""

    without_turn: str
    with_turn: str


EXPECTED: Final = {
    Pairing(OPEN, OPEN): Ways("direct", "direct"),
    Pairing(OPEN, CONE): Ways("direct", "direct"),
    Pairing(OPEN, SYMMETRIC): Ways("direct", "direct"),
    Pairing(CONE, CONE): Ways("direct", "direct"),
    Pairing(CONE, SYMMETRIC): Ways("none", "relayed"),
    Pairing(SYMMETRIC, SYMMETRIC): Ways("none", "relayed"),
    Pairing(NO_UDP, OPEN): Ways("none", "relayed"),
    Pairing(NO_UDP, NO_UDP): Ways("none", "relayed"),
    Pairing(OPEN, OPEN, between=False): Ways("none", "relayed"),
}


def found(pairings: Iterable[Pairing]) -> dict[Pairing, Ways]:
    """The ways that these pairs of homes take, each in a network of its own."""
    wanted = list(pairings)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(wanted, pool.map(_found, wanted), strict=True))


def _found(pairing: Pairing) -> Ways:
    return Ways(*json.loads(run_apart("tests.nat.pairing", json.dumps(pairing))))


def run_apart(module: str, *words: str) -> str:
    """What a program says on standard output that runs in a network of its own.

    Raises `RuntimeError` where it fails, or where there can be no such network.
    """
    enter = own_network()
    if not enter:
        raise RuntimeError("this system permits no network namespace (unshare --net)")
    done = subprocess.run(
        [*enter, sys.executable, "-m", module, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'server'}"},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module} {words}: {done.stderr}")
    return done.stdout


class _Device:
    """A `tests.nat.device` in a home, and what it was asked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = count()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """Take its answers in, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            self._answers.pop(answer.pop("number")).set_result(answer)
        for waiting in self._answers.values():
            waiting.set_exception(RuntimeError("a device ended"))

    async def ask(self, do: str, **about: str) -> dict[str, Any]:
        """Its answer."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        line = json.dumps({"number": number, "do": do, **about})
        self._process.stdin.write(f"{line}\n".encode())
        return await answer


@asynccontextmanager
async def _device(home: Home) -> AsyncIterator[_Device]:
    words = (*home.device.enter, sys.executable, "-m", "tests.nat.device")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
    device = _Device(process)
    listening = asyncio.create_task(device.listen())
    try:
        yield device
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening


async def _way(devices: Sequence[_Device], server: str) -> str:
    one, other = devices
    founded = await one.ask("found", server=server)
    joined = await other.ask("join", link=founded["link"])
    if joined["way"] != "none" and joined["notes"] != ["Milk"]:
        raise RuntimeError(f"they connected, and did not come level: {joined}")
    return str(joined["way"])


async def _ways(made: Lab, servers: Sequence[str]) -> Ways:
    async with AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(_device(home)) for home in made.homes]
        return Ways(*await asyncio.gather(*(_way(devices, server) for server in servers)))


def shipped_denials() -> list[str]:
    """What the coturn of compose.yaml sends nothing to."""
    text = (ROOT / "server/compose.yaml").read_text(encoding="utf-8")
    return [word for word in text.split() if word.startswith("--denied-peer-ip")]


def main() -> None:
    """Try the pairing that is named."""
    one, other, between = json.loads(sys.argv[1])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = stack.enter_context(lab())
        made.connect(Router(one), Router(other), between=between)
        coturn = stack.enter_context(running_coturn(folder, SERVERS, SECRET, *shipped_denials()))
        stun = ("--host", SERVERS, "--stun-url", f"stun:{coturn.address}")
        urls = (f"turn:{coturn.address}", f"turn:{coturn.address}?transport=tcp")
        turn = ("--turn-url", urls[0], "--turn-url", urls[1], "--turn-secret", SECRET)
        servers = [stack.enter_context(server_process(*stun, *more)).url for more in ((), turn)]
        print(json.dumps(asyncio.run(_ways(made, servers))))


if __name__ == "__main__":
    main()

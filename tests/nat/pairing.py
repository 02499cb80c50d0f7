"""Which way two devices connect, by how their homes are connected: what was found, and is to be.

As a program, in a network namespace of its own, it says what it found, a line of JSON each.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.nat.lab import SERVERS, Home, Lab, Router, lab
from tests.own_network import own_network
from tests.server_process import ROOT, server_process
from tests.services import running_coturn

SECRET: Final = "north"
OPEN, CONE, SYMMETRIC = Router


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
    Pairing(OPEN, OPEN, between=False): Ways("none", "relayed"),
}


def found(pairings: Iterable[Pairing]) -> dict[Pairing, Ways]:
    """The ways that these pairs of homes take, in a network of their own."""
    wanted = json.dumps([pairing for pairing in pairings])
    done = subprocess.run(
        [*own_network(), sys.executable, "-m", "tests.nat.pairing", wanted],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'server'}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {_pairing(line["pairing"]): Ways(*line["ways"]) for line in lines}


def _pairing(values: Sequence[Any]) -> Pairing:
    return Pairing(Router(values[0]), Router(values[1]), values[2])


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
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"number": number, "do": do, **about})
        self._process.stdin.write(f"{line}\n".encode())
        return await answer


@asynccontextmanager
async def _device(home: Home) -> AsyncIterator[_Device]:
    words = (*home.device.enter, sys.executable, "-m", "tests.nat.device")
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*words, **pipes)
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
    if joined["way"] == "none":
        print(joined["why"], file=sys.stderr)
    elif joined["notes"] != ["Milk"]:
        raise RuntimeError(f"they connected, and did not come level: {joined}")
    return str(joined["way"])


async def _try(made: Lab, servers: Sequence[str], pairings: Iterable[Pairing]) -> None:
    for pairing in pairings:
        made.connect(pairing.one, pairing.other, between=pairing.between)
        async with AsyncExitStack() as stack:
            devices = [await stack.enter_async_context(_device(home)) for home in made.homes]
            ways = await asyncio.gather(*(_way(devices, server) for server in servers))
        print(json.dumps({"pairing": pairing, "ways": ways}), flush=True)


def main() -> None:
    """Try the pairings that are named."""
    pairings = [_pairing(values) for values in json.loads(sys.argv[1])]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = stack.enter_context(lab())
        coturn = stack.enter_context(running_coturn(folder, SERVERS, SECRET))
        stun = ("--host", SERVERS, "--stun-url", f"stun:{coturn.address}")
        turn = ("--turn-url", f"turn:{coturn.address}", "--turn-secret", SECRET)
        servers = [
            stack.enter_context(server_process(*stun, *more)).url for more in ((), turn)
        ]
        asyncio.run(_try(made, servers, pairings))


if __name__ == "__main__":
    main()

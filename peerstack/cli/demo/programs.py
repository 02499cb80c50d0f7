"""The programs that the demo runs: a signaling server, and the commands of each device.

None outlives the demo, however it ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import click

LIMIT_S: Final = 60.0
"""No step takes nearly as long."""

_STOP_S: Final = 10.0
_LINE_BYTES: Final = 1024 * 1024
_READY: Final = "peerstack-server listening on "
_ERROR_CHARS: Final = 2_000

Event = dict[str, Any]


class DemoFailed(click.ClickException):
    """The demo did not come to its good end."""


class Program:
    """A running program that prints lines."""

    def __init__(
        self, words: tuple[str, ...], process: asyncio.subprocess.Process, log: Path
    ) -> None:
        self._words = words
        self._process = process
        self._log = log

    async def line(self) -> str:
        """The next line that it prints; raises `DemoFailed` if it ends instead."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(LIMIT_S):
                line = await self._process.stdout.readline()
                if not line:
                    await self._process.wait()
        except TimeoutError:
            raise DemoFailed(f"{self} says nothing any more{self._complaints()}") from None
        if not line:
            raise DemoFailed(f"{self} ended too early{self._complaints()}")
        return line.decode().rstrip("\n")

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The next of the JSON objects that it prints which is `wanted`; the others are dropped."""
        while True:
            event: Event = json.loads(await self.line())
            if wanted(event):
                return event

    async def all(self) -> list[Event]:
        """All JSON objects that it prints until it ends well."""
        try:
            async with asyncio.timeout(LIMIT_S):
                printed, _ = await self._process.communicate()
        except TimeoutError:
            raise DemoFailed(f"{self} does not end{self._complaints()}") from None
        if self._process.returncode != 0:
            raise DemoFailed(f"{self} failed{self._complaints()}")
        return [json.loads(line) for line in printed.splitlines()]

    async def stop(self) -> None:
        """Have it end; without effect if it has ended."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def __str__(self) -> str:
        return f"`{' '.join(self._words)}`"

    def _complaints(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return f":\n{said[-_ERROR_CHARS:]}" if said else ""


@asynccontextmanager
async def program(module: str, *words: str, log: Path) -> AsyncIterator[Program]:
    """`python -m module words...`, ended at the latest when the block is left."""
    with log.open("wb") as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            limit=_LINE_BYTES,
            env=_environment(),
            # So that Ctrl-C reaches the demo alone, which ends the others in order.
            start_new_session=True,
        )
    started = Program((module, *words), process, log)
    try:
        yield started
    except BaseException:
        started.kill()
        raise
    finally:
        await started.stop()


@asynccontextmanager
async def signaling_server(folder: Path) -> AsyncIterator[str]:
    """A signaling server on a free port; its URL."""
    log = folder / "server.log"
    async with program("peerstack_server", "--port", "0", log=log) as server:
        while not (line := await server.line()).startswith(_READY):
            pass
        yield line.removeprefix(_READY)


class Device:
    """A device: a profile of its own, used by the `peerstack` command."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._profile = folder / f"{name.lower()}.db"
        self._log = folder / f"{name.lower()}.log"

    async def do(self, *words: str) -> list[Event]:
        """Run a command; the JSON objects that it prints. Raises `DemoFailed`."""
        async with self.running(*words) as command:
            return await command.all()

    def running(self, *words: str) -> AbstractAsyncContextManager[Program]:
        """A command that goes on."""
        shared = ("--json", "--profile", str(self._profile))
        return program("peerstack", *words, *shared, log=self._log)


def _environment() -> dict[str, str]:
    """This one, without what would give the devices another profile, server or passphrase."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PEERSTACK_")}

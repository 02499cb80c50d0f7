"""The programs of the demo: a signaling server, and the app for each person. None outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

_START_S: Final = 60
_STOP_S: Final = 10
_COMPLAINT_CHARS: Final = 2_000


class DemoFailed(Exception):
    """A program of the demo did not start."""


@asynccontextmanager
async def program(ready: str, log: Path, *words: str) -> AsyncIterator[str]:
    """`python -m words...`, and what it prints behind the words `ready`; ended with the block.

    Raises `DemoFailed` where it ends, or says nothing for a minute.
    """
    with log.open("wb") as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            env=_environment(),
            # So that Ctrl-C reaches the demo alone, which ends the others in order.
            start_new_session=True,
        )
    try:
        yield await _said(process, ready, log)
    finally:
        await _end(process)


async def _said(process: asyncio.subprocess.Process, ready: str, log: Path) -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            while line := (await process.stdout.readline()).decode():
                if line.startswith(ready):
                    return line.removeprefix(ready).strip()
    except TimeoutError:
        pass
    complaint = log.read_text(encoding="utf-8", errors="replace")[-_COMPLAINT_CHARS:]
    raise DemoFailed(f"a program of the demo did not start:\n{complaint}")


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _environment() -> dict[str, str]:
    """This one, without what would have the programs use another profile or server."""
    foreign = ("PEERSTACK_", "FAMILY_NOTES_")
    return {name: text for name, text in os.environ.items() if not name.startswith(foreign)}

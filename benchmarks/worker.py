"""The loop of a process that is driven by another one: a JSON line in, a JSON line out.

Knows nothing of what the commands do. `benchmarks.processes` is the other end.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop

Command = Callable[..., Awaitable[Any]]

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_bytes() -> int:
    """The most memory that this process has held at once."""
    # Linux hands ru_maxrss down from the process that started this one.
    status = Path("/proc/self/status")
    if status.exists() and (found := _PEAK.search(status.read_text(encoding="ascii"))):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run(commands: Mapping[str, Command]) -> None:
    """Carry out commands from standard input, one after the other, until it ends."""
    uvloop.run(_serve(commands))


async def _serve(commands: Mapping[str, Command]) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        try:
            answer = {"result": await commands[asked.pop("do")](**asked)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)

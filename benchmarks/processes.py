"""Starts the processes that are measured, and drives them: the other end of `benchmarks.worker`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
_END_S: Final = 20.0
_READY: Final = "peerstack-server listening on "


class Worker:
    """A process of its own that does what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, do: str, **arguments: Any) -> None:
        """Have it begin something; `result` waits for the end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """What came of the command that was started first and not asked for yet."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with {self._process.wait(_END_S)}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have it do something, and wait for the result."""
        self.start(do, **arguments)
        return self.result()


@contextmanager
def worker(module: str) -> Iterator[Worker]:
    """A process that runs a module of this package, ended with the block."""
    with _process(f"benchmarks.{module}") as process:
        yield Worker(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(_END_S)


@contextmanager
def signaling_server() -> Iterator[str]:
    """The address of a signaling server."""
    with signaling_process() as (url, _):
        yield url


@contextmanager
def signaling_process(*flags: str) -> Iterator[tuple[str, int]]:
    """The address and the process id of a signaling server."""
    base = ("--port", "0", "--log-level", "warning")
    with _process("peerstack_server", *base, *flags) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(_READY):
            raise RuntimeError("the signaling server did not start; its reason stands above")
        yield line.removeprefix(_READY).strip(), process.pid
        process.terminate()
        process.wait(_END_S)


@contextmanager
def _process(module: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join([str(ROOT / each) for each in ("", "server", "demo_app")])
    with subprocess.Popen(
        [sys.executable, "-m", module, *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        try:
            yield process
        finally:
            process.kill()

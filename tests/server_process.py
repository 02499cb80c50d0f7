"""Starts real signaling servers for tests: `with running_server() as url: ...`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINE = "peerstack-server listening on "
STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that said it is ready."""

    url: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rsplit(":", 1)[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def log(self) -> str:
        """All of standard error, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def server_process(*flags: str, port: int = 0) -> Iterator[ServerProcess]:
    """A server with these flags, killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "peerstack_server", "--port", str(port), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'server'}"},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(LINE), f"no ready line but {line!r}"
            yield ServerProcess(line.removeprefix(LINE).strip(), process)
        finally:
            process.kill()


@contextmanager
def running_server(*flags: str) -> Iterator[str]:
    """The URL of a server with these flags, on a free port."""
    with server_process(*flags) as server:
        yield server.url

"""Runs rivals, each in an environment of its own, which is kept in a cache of the user."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

_IROH: Final = "iroh==0.35.0"
_NPM: Final = {"peer": "1.0.2", "y-webrtc": "10.3.0"}
_START_S: Final = 20.0
_SCRIPT: Final = Path(__file__).with_name("iroh_docs.py")


def iroh_per_s(count: int, *, content: bool) -> float:
    """Entries per second of iroh-docs' first sync, between two processes with disks."""
    uv = shutil.which("uv", path=Path(sys.executable).parent) or "uv"
    command = [uv, "run", "--quiet", "--no-project", "--python", sys.executable, "--with", _IROH]
    command += ["python", str(_SCRIPT), "measure", str(count), "content" if content else "entries"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return count / float(json.loads(done.stdout)["seconds"])


@contextmanager
def peerjs() -> Iterator[tuple[str, int]]:
    """The address and the process id of PeerJS's server."""
    flags = ("--host", "127.0.0.1", "--concurrent_limit", "20000")
    port = free_port()
    with _node("peer/dist/bin/peerjs.js", "--port", str(port), *flags, port=port) as running:
        yield running


@contextmanager
def y_webrtc() -> Iterator[tuple[str, int]]:
    """The address and the process id of y-webrtc's signaling server."""
    with _node("y-webrtc/bin/server.js", port=free_port()) as running:
        yield running


def has_node() -> bool:
    """Whether rivals that need Node can be run."""
    return all(map(shutil.which, ("node", "npm")))


@contextmanager
def _node(script: str, *flags: str, port: int) -> Iterator[tuple[str, int]]:
    with subprocess.Popen(
        ["node", str(_packages() / script), *flags],
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.kill()


def _packages() -> Path:
    folder = user_cache_path("peerstack-benchmarks")
    names = [f"{name}@{version}" for name, version in _NPM.items()]
    quiet = ("--silent", "--no-audit", "--no-fund", "--prefer-offline")
    subprocess.run(["npm", "install", *quiet, "--prefix", str(folder), *names], check=True)
    return folder / "node_modules"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Return once somebody listens there. Raises `ConnectionRefusedError` after a while."""
    until = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)

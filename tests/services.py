"""Programs that run beside the server, for tests: a real Redis, a real nginx, a real coturn.

Each has a folder of its own, and a port that the system gives to nobody by itself, so that it can
be stopped and come back there.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
PROGRAMS: Final = ("redis-server", "nginx", "turnserver", "nft", "systemd-analyze")
"""All that tests may ask for; `.ci/ensure-services` installs them."""

PORTS: Final = range(20_000, 30_000)
TRIES: Final = 20
STOP_S: Final = 10.0


def missing(*programs: str) -> list[str]:
    """Those of these programs that are not installed."""
    assert set(programs) <= set(PROGRAMS), f"{programs}: see PROGRAMS"
    return [name for name in programs if shutil.which(name, path=PATH) is None]


class Service:
    """A program that was started, and may be stopped and started again."""

    def __init__(self, words: Sequence[str], ready: str) -> None:
        """`ready` is in the line that it prints when it can be used."""
        self._words = words
        self._ready = ready
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> bool:
        """Start it; whether it works."""
        self._process = subprocess.Popen(
            self._words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": PATH},
        )
        assert self._process.stdout is not None
        if any(self._ready in line for line in self._process.stdout):
            return True
        self.stop()
        return False

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            with self._process as process:
                self.resume()
                process.terminate()
                process.wait(STOP_S)
            self._process = None

    def pause(self) -> None:
        """Have it keep its connections, and answer nothing on them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class Redis(Service):
    """A Redis that keeps nothing."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}"
        keeping = ("--save", "", "--appendonly", "no", "--dir", str(folder))
        where = ("--bind", "127.0.0.1", "--port", str(port))
        super().__init__(("redis-server", *where, *keeping), "Ready to accept connections")


class Nginx(Service):
    """An nginx with these settings."""

    def __init__(self, port: int, folder: Path, settings: str) -> None:
        self.port = port
        file = folder / "nginx.conf"
        file.write_text(settings.replace("PORT", str(port)), encoding="utf-8")
        own = f"daemon off; pid {folder}/pid; error_log stderr notice;"
        words = ("nginx", "-e", "stderr", "-p", str(folder), "-c", str(file), "-g", own)
        super().__init__(words, "start worker process ")


class Coturn(Service):
    """A coturn that takes this server's credentials, for UDP and TCP.

    On the same port by TLS too, where the folder `certificate` has chain.pem and key.pem.
    """

    def __init__(
        self,
        port: int,
        folder: Path,
        host: str,
        secret: str,
        *more: str,
        certificate: Path | None = None,
    ) -> None:
        self.address = f"{host}:{port}"
        where = (f"--listening-ip={host}", f"--listening-port={port}", f"--relay-ip={host}")
        own = (f"--pidfile={folder}/turn.pid", f"--userdb={folder}/turn.db", "--log-file=stdout")
        who = ("--use-auth-secret", f"--static-auth-secret={secret}", "--realm=peerstack")
        plain = ("-n", "--no-cli", "--no-dtls", "--relay-threads=1")
        tls = (
            (f"--cert={certificate}/chain.pem", f"--pkey={certificate}/key.pem")
            if certificate
            else ("--no-tls",)
        )
        words = ("turnserver", *plain, *tls, *where, *own, *who, *more)
        super().__init__(words, "DB connection success")


@contextmanager
def running_coturn(
    folder: Path, host: str, secret: str, *more: str, certificate: Path | None = None
) -> Iterator[Coturn]:
    """A coturn on a free port, with `more` settings."""
    with _running(
        Coturn(port, folder, host, secret, *more, certificate=certificate) for port in _ports()
    ) as coturn:
        yield coturn


@contextmanager
def running_redis(folder: Path) -> Iterator[Redis]:
    """A Redis on a free port."""
    with _running(Redis(port, folder) for port in _ports()) as redis:
        yield redis


@contextmanager
def running_nginx(folder: Path, settings: str) -> Iterator[Nginx]:
    """An nginx; `PORT` in its settings becomes a free port."""
    with _running(Nginx(port, folder, settings) for port in _ports()) as nginx:
        yield nginx


S = TypeVar("S", bound=Service)


@contextmanager
def _running(services: Iterator[S]) -> Iterator[S]:
    service = next(each for each in services if each.start())
    try:
        yield service
    finally:
        service.stop()


def _ports() -> Iterator[int]:
    return iter(random.sample(PORTS, TRIES))

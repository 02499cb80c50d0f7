"""The same crowd at this signaling server, at PeerJS's and at y-webrtc's, one process each.

What a server takes is read from its own process. The crowd is one process beside it, which takes
a fifth of a core while the server has all it can do.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from statistics import quantiles
from typing import Final

import click
import uvloop

from benchmarks import rivals
from benchmarks.crowd import Crowd
from benchmarks.dialects import Device, PeerJsDevice, PeerstackDevice, YWebrtcDevice
from benchmarks.figures import Size
from benchmarks.processes import signaling_process
from benchmarks.usage import cpu_s, memory_bytes

Values = Iterator[tuple[str, float]]
Starting = Callable[[], AbstractContextManager[tuple[str, int]]]

PROCESSES: Final = (1, 2, 4)
_FIRST: Final = 100
"""So many connections have been there before anything is measured: all is loaded then."""
_NO_BOUND: Final = "100000000"
_FLAGS: Final = (
    *("--connections", "20000", "--connections-per-network", "20000"),
    *("--messages-per-s", _NO_BOUND, "--messages-burst", _NO_BOUND),
    *("--network-messages-per-s", _NO_BOUND, "--network-messages-burst", _NO_BOUND),
    *("--network-relay-kb-per-s", _NO_BOUND, "--network-relay-kb-burst", _NO_BOUND),
)
_KB: Final = 1e3
_MB: Final = 1e6


def server(size: Size) -> Values:
    """Each server in turns, and this one as several processes."""
    _permit_files()
    servers: dict[str, tuple[type[Device], Starting]] = {"this": (PeerstackDevice, _this)}
    if size.rivals and rivals.has_node():
        servers["peerjs"] = PeerJsDevice, rivals.peerjs
        servers["y-webrtc"] = YWebrtcDevice, rivals.y_webrtc
    elif size.rivals:
        click.echo("server: PeerJS and y-webrtc are left out, since they need npm", err=True)
    for _ in range(size.repeat):
        for name, (kind, starting) in servers.items():
            with starting() as (url, pid):
                for key, value in uvloop.run(_measure(kind, url, pid, size)):
                    yield f"server.{name}.{key}", value
        if size.rivals:
            yield from _scaling(size)


def _this() -> AbstractContextManager[tuple[str, int]]:
    return signaling_process(*_FLAGS)


async def _measure(kind: type[Device], url: str, pid: int, size: Size) -> list[tuple[str, float]]:
    crowd, empty = Crowd(kind, [url]), memory_bytes(pid)
    await crowd.open(_FIRST)
    await crowd.rest()
    memory, cpu = memory_bytes(pid), cpu_s(pid)
    seconds = await crowd.open(size.idle)
    opening = cpu_s(pid) - cpu
    await crowd.rest()
    memory = memory_bytes(pid) - memory
    crowd.close(size.idle // 2)
    await crowd.rest()
    latencies = quantiles(await crowd.latencies_ms(size.latencies), n=100)
    await crowd.relay(size.relayed // 5)
    cpu = cpu_s(pid)
    relaying_s = await crowd.relay(size.relayed)
    relaying = cpu_s(pid) - cpu
    crowd.close()
    return [
        ("empty", empty / _MB),
        ("memory", memory / size.idle / _KB),
        ("opened", size.idle / seconds),
        ("opened-cpu", size.idle / opening),
        ("relayed", size.relayed / relaying_s),
        ("relayed-cpu", size.relayed / relaying),
        ("p50", latencies[49]),
        ("p99", latencies[98]),
    ]


def _scaling(size: Size) -> Values:
    if shutil.which("redis-server") is None:
        click.echo("server: several processes are left out, since they need redis-server", err=True)
        return
    for count in PROCESSES:
        with ExitStack() as stack:
            redis_url, redis_pid = stack.enter_context(_redis())
            flags = (*_FLAGS, "--redis", redis_url)
            running = [stack.enter_context(signaling_process(*flags)) for _ in range(count)]
            urls, pids = zip(*running, strict=True)
            seconds, cpu = uvloop.run(_relay_across(urls, (*pids, redis_pid), size))
            yield f"server.processes{count}.relayed", size.relayed / seconds
            yield f"server.processes{count}.relayed-cpu", size.relayed / cpu


async def _relay_across(
    urls: tuple[str, ...], pids: tuple[int, ...], size: Size
) -> tuple[float, float]:
    """Neighbours in the crowd are at different processes, if there are several."""
    crowd = Crowd(PeerstackDevice, urls)
    await crowd.open(2 * _FIRST)
    await crowd.relay(size.relayed // 5)
    cpu = sum(map(cpu_s, pids))
    seconds = await crowd.relay(size.relayed)
    cpu = sum(map(cpu_s, pids)) - cpu
    crowd.close()
    return seconds, cpu


@contextmanager
def _redis() -> Iterator[tuple[str, int]]:
    port = rivals.free_port()
    words = ("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            rivals.wait_for(port)
            yield f"redis://127.0.0.1:{port}", process.pid
        finally:
            process.kill()


def _permit_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

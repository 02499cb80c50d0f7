"""What is done to measure each figure, over real processes and a real signaling server.

Each scenario yields the keys of `benchmarks.figures` with values, once for each repetition.
"""

from __future__ import annotations

import random
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import limits, rivals, signaling
from benchmarks.figures import Size
from benchmarks.flights import Event, round_trips
from benchmarks.processes import Worker, signaling_server, worker
from peerstack.session.wire import decode_untrusted

Values = Iterator[tuple[str, float]]

_DELAY_MS: Final = 100
"""More than any turn takes that answers a message, on a machine that does nothing else."""
_NS_PER_MS: Final = 1e6
_MB: Final = 1e6
_US: Final = 1e6
_MS: Final = 1e3
_SEARCH: Final = {"note": ["title", "text", "tags"]}


def writes(size: Size) -> Values:
    """Sign and store, offline."""
    for _ in range(size.repeat):
        with TemporaryDirectory() as folder, worker("device") as ana:
            ana.ask("open", path=f"{folder}/ana.db", name="Ana")
            ana.ask("found")
            yield "writes.bulk", size.bulk / ana.ask("put_many", count=size.bulk)
            yield "writes.single", size.single / ana.ask("put_each", count=size.single)
            ana.ask("close")


def sync(size: Size) -> Values:
    """Bring a second device level: with everything, with nothing and with a little to bring."""
    with TemporaryDirectory() as folder, signaling_server() as server:
        yield from _first_syncs(Path(folder, "small"), server, "small", size.small, size)
        large = Path(folder, "large")
        yield from _first_syncs(large, server, "large", size.large, size)
        yield from _resyncs(large, server, size)


def _first_syncs(folder: Path, server: str, label: str, count: int, size: Size) -> Values:
    folder.mkdir()
    with worker("device") as ana:
        ana.ask("open", path=f"{folder}/ana.db", name="Ana")
        ana.ask("found")
        ana.ask("put_many", count=count)
        ana.ask("close")
    for turn in range(size.repeat):
        yield from _first_sync(folder, server, label, count, turn)


def _first_sync(folder: Path, server: str, label: str, count: int, turn: int) -> Values:
    with worker("device") as ana, worker("device") as ben:
        ana_base = ana.ask("open", path=f"{folder}/ana.db", name="Ana", server=server)
        ben_base = ben.ask("open", path=f"{folder}/ben{turn}.db", name="Ben", server=server)
        link, ana_s = ana.ask("invite"), ana.ask("cpu")
        done = ben.ask("first_sync", link=link, count=count)
        ana_s = ana.ask("wait_level") - ana_s
        yield f"sync.{label}.rate", count / done["seconds"]
        yield f"sync.{label}.bytes", done["bytes"] / done["seconds"] / _MB
        ben_peak, ana_peak = ben.ask("close"), ana.ask("close")
    if label == "large":
        yield "sync.large.record", done["bytes"] / count
        yield "sync.large.sender", ana_s / count * _US
        yield "sync.large.receiver", done["cpu_s"] / count * _US
        yield "sync.memory.sender", ana_peak / _MB
        yield "sync.memory.sender-base", ana_base / _MB
        yield "sync.memory.receiver", ben_peak / _MB
        yield "sync.memory.receiver-base", ben_base / _MB


def _resyncs(folder: Path, server: str, size: Size) -> Values:
    rng = random.Random(1)
    with worker("device") as ana:
        ana.ask("open", path=f"{folder}/ana.db", name="Ana", server=server)
        ana.ask("listen_in")
        # Since then, other devices have joined: what they said is news to the first.
        _resync(folder, server)
        for _ in range(size.repeat):
            yield "sync.noop.trips", _round_trips(folder, server, ana)
            done = _resync(folder, server)
            yield "sync.noop.bytes", done["group_bytes"]
            yield "sync.noop.all-bytes", done["all_bytes"]
            yield "sync.noop.ms", done["proven_ms"]
            yield "sync.noop.all-ms", done["open_ms"]

            ana.ask("edit", numbers=rng.sample(range(size.large), size.differences))
            yield "sync.diff.trips", _round_trips(folder, server, ana)
            ana.ask("edit", numbers=rng.sample(range(size.large), size.differences))
            done = _resync(folder, server)
            yield "sync.diff.bytes", done["group_bytes"]
            yield "sync.diff.overhead", done["group_bytes"] / done["lacked_bytes"]
            yield "sync.diff.ms", done["proven_ms"]
        ana.ask("close")


def _resync(folder: Path, server: str) -> dict[str, float]:
    with worker("device") as ben:
        path = f"{folder}/ben0.db"
        done: dict[str, float] = ben.ask("resync", path=path, name="Ben", server=server)
        ben.ask("close")
        return done


def _round_trips(folder: Path, server: str, ana: Worker) -> float:
    """What it takes over a link so slow that each message crosses what is said meanwhile."""
    ana.ask("slow_down", delay_ms=_DELAY_MS)
    ana.ask("overheard")
    with worker("device") as ben:
        ben.ask("slow_down", delay_ms=_DELAY_MS)
        ben.ask("resync", path=f"{folder}/ben0.db", name="Ben", server=server)
        said = [*_events("ana", "ben", ana), *_events("ben", "ana", ben)]
        ben.ask("close")
    ana.ask("slow_down", delay_ms=0)
    return round_trips(said, _DELAY_MS * _NS_PER_MS)


def _events(name: str, other: str, device: Worker) -> Iterator[Event]:
    for at_ns, is_sent, data in device.ask("overheard"):
        way = (name, other) if is_sent else (other, name)
        yield Event(at_ns, is_sent, *way, decode_untrusted(b64decode(data)))


def search(size: Size) -> Values:
    """What `writes` and `sync` measure, where the text of all notes is indexed; and searching."""
    with TemporaryDirectory() as folder, signaling_server() as server:
        for turn in range(size.repeat):
            with worker("device") as ana, worker("device") as ben:
                ana_db = f"{folder}/ana{turn}.db"
                ana.ask("open", path=ana_db, name="Ana", search=_SEARCH)
                ana.ask("found")
                yield "search.bulk", size.bulk / ana.ask("put_many", count=size.bulk)
                yield "search.find", ana.ask("search") * _MS
                yield "search.single", size.single / ana.ask("put_each", count=size.single)
                ana.ask("close")
                ana.ask("open", path=ana_db, name="Ana", server=server)
                ben_db = f"{folder}/ben{turn}.db"
                ben.ask("open", path=ben_db, name="Ben", server=server, search=_SEARCH)
                count = size.bulk + size.single
                done = ben.ask("first_sync", link=ana.ask("invite"), count=count)
                yield "search.sync", count / done["seconds"]
                yield "search.receiver", done["cpu_s"] / count * _US
                ben.ask("close")
                ana.ask("close")


def live(size: Size) -> Values:
    """From before `put` on one device to the change event on the other."""
    for _ in range(size.repeat):
        with TemporaryDirectory() as folder, signaling_server() as server:
            latencies_ms = sorted(_live_ms(folder, server, size))
        yield "live.p50", quantiles(latencies_ms, n=100)[49]
        yield "live.p99", quantiles(latencies_ms, n=100)[98]


def _live_ms(folder: str, server: str, size: Size) -> Iterator[float]:
    with worker("device") as ana, worker("device") as ben:
        ana.ask("open", path=f"{folder}/ana.db", name="Ana", server=server)
        ana.ask("found")
        ana.ask("put_many", count=1_000)
        ben.ask("open", path=f"{folder}/ben.db", name="Ben", server=server)
        ben.ask("first_sync", link=ana.ask("invite"), count=1_000)
        ana.ask("wait_level")
        ben.ask("subscribe")
        ben.start("watch", count=size.edits)
        began = ana.ask("edit_live", count=size.edits, pace_ms=size.pace_ms)
        for start_ns, end_ns in zip(began, ben.result(), strict=True):
            yield (end_ns - start_ns) / _NS_PER_MS
        ben.ask("close")
        ana.ask("close")


def app(size: Size) -> Values:
    """The pages of Family notes, in a family with many notes."""
    for _ in range(size.repeat):
        with TemporaryDirectory() as folder:
            with worker("app") as ana:
                ana.ask("open", folder=folder)
                ana.ask("found", count=size.notes)
                ana.ask("blocked")
                yield "app.import", size.notes / ana.ask("bring_in")
                yield "app.import-blocked", ana.ask("blocked") * _MS
                ana.ask("close")
            with worker("app") as ana:
                yield "app.open", ana.ask("open", folder=folder) * _MS
                ana.ask("page", path="")
                ana.ask("blocked")
                yield "app.list", ana.ask("page", path="") * _MS
                yield "app.older", ana.ask("older") * _MS
                yield "app.label", ana.ask("page", path="?label=garden") * _MS
                yield "app.search", ana.ask("search") * _MS
                yield "app.blocked", ana.ask("blocked") * _MS
                ana.ask("close")


def machine_limits(size: Size) -> Values:
    """What the parts could do if nothing else had to be done."""
    for _ in range(size.repeat):
        yield "limits.verify", limits.verifications_per_s(size.verifications)
        yield "limits.upsert", limits.upserts_per_s(size.upserts)
        yield "limits.pipe", _pipe_bytes_per_s(size.pipe_bytes) / _MB


def _pipe_bytes_per_s(size_bytes: int) -> float:
    with worker("pipe") as one, worker("pipe") as other:
        one.ask("accept", answer=other.ask("answer", offer=one.ask("offer")))
        _both(one, other, "connect")
        other.start("receive", size_bytes=size_bytes)
        one.ask("send", size_bytes=size_bytes)
        seconds: float = other.result()
        _both(one, other, "close")
    return size_bytes / seconds


def _both(one: Worker, other: Worker, do: str) -> None:
    one.start(do)
    other.ask(do)
    one.result()


def iroh(size: Size) -> Values:
    """The same job by a rival, as far as it does it."""
    for _ in range(size.repeat):
        yield "rivals.iroh", rivals.iroh_per_s(size.rival, content=False)
        yield "rivals.iroh-content", rivals.iroh_per_s(size.rival, content=True)


SCENARIOS: Final[dict[str, Callable[[Size], Values]]] = {
    "writes": writes,
    "sync": sync,
    "search": search,
    "live": live,
    "app": app,
    "server": signaling.server,
    "limits": machine_limits,
}

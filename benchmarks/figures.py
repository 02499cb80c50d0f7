"""Every figure that is measured: what it is called, its unit, and what the design aims at.

Knows not how they are measured.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from statistics import median
from typing import Final


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything is measured."""

    repeat: int
    bulk: int = 10_000
    single: int = 2_000
    small: int = 10_000
    large: int = 100_000
    differences: int = 100
    edits: int = 500
    pace_ms: int = 10
    notes: int = 10_000
    verifications: int = 20_000
    upserts: int = 100_000
    pipe_bytes: int = 128 * 1024 * 1024
    rival: int = 10_000
    idle: int = 2_000
    relayed: int = 20_000
    latencies: int = 500
    rivals: bool = False
    """Whether others' programs are measured too."""


QUICK: Final = Size(
    repeat=1,
    bulk=200,
    single=20,
    small=100,
    large=400,
    differences=10,
    edits=10,
    notes=100,
    verifications=200,
    upserts=2_000,
    pipe_bytes=4 * 1024 * 1024,
    rival=100,
    idle=200,
    relayed=500,
    latencies=20,
)
"""Shows that everything works; its figures mean nothing."""


class Better(enum.Enum):
    """In which direction a figure improves."""

    MORE = "at least"
    LESS = "at most"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. `title` names counts of `Size` in braces."""

    key: str
    title: str
    unit: str
    better: Better = Better.MORE
    aim: float | None = None

    @property
    def command(self) -> str:
        """What measures it."""
        return f"python -m benchmarks {self.key.split('.')[0]}"

    def reached(self, value: float) -> float | None:
        """How many times as good as the aim; None without an aim."""
        if self.aim is None or not value:
            return None
        return value / self.aim if self.better is Better.MORE else self.aim / value


_LESS: Final = Better.LESS


def _server(name: str, title: str, aim_kb: float | None = None) -> tuple[Figure, ...]:
    key = f"server.{name}"
    return (
        Figure(f"{key}.empty", f"{title}: memory with nobody connected", "MB", _LESS),
        Figure(f"{key}.memory", f"{title}: an idle connection, of {{idle:,}}", "kB", _LESS, aim_kb),
        Figure(f"{key}.opened", f"{title}: connections opened", "1/s"),
        Figure(f"{key}.opened-cpu", f"{title}: the same", "1/CPU s"),
        Figure(f"{key}.relayed", f"{title}: messages of 1.2 kB relayed", "1/s"),
        Figure(f"{key}.relayed-cpu", f"{title}: the same", "1/CPU s"),
        Figure(f"{key}.p50", f"{title}: a message among the idle, median", "ms", _LESS),
        Figure(f"{key}.p99", f"{title}: the same, 99th percentile", "ms", _LESS),
    )


def _processes(count: int) -> tuple[Figure, ...]:
    key, title = f"server.processes{count}", f"this server, {count} with Redis"
    return (
        Figure(f"{key}.relayed", f"{title}: messages of 1.2 kB relayed", "1/s"),
        Figure(f"{key}.relayed-cpu", f"{title}: the same, Redis counted too", "1/CPU s"),
    )


FIGURES: Final = (
    Figure("writes.bulk", "signed writes, {bulk:,} in one call", "records/s", aim=20_000),
    Figure("writes.single", "signed writes, one after the other", "records/s", aim=3_000),
    Figure("sync.small.rate", "first sync of {small:,}", "records/s", aim=20_000),
    Figure("sync.small.bytes", "first sync of {small:,}, on the wire", "MB/s"),
    Figure("sync.large.rate", "first sync of {large:,}", "records/s", aim=20_000),
    Figure("sync.large.bytes", "first sync of {large:,}, on the wire", "MB/s"),
    Figure("sync.large.record", "a record of it on the wire, all told", "bytes", _LESS),
    Figure("sync.large.sender", "the sender's work for a record of it", "us of CPU", _LESS),
    Figure("sync.large.receiver", "the receiver's work for a record of it", "us of CPU", _LESS),
    Figure("sync.memory.sender", "peak memory of the sender of {large:,}", "MB", _LESS, 150),
    Figure("sync.memory.sender-base", "of that, before it is connected", "MB", _LESS),
    Figure("sync.memory.receiver", "peak memory of the receiver of {large:,}", "MB", _LESS, 150),
    Figure("sync.memory.receiver-base", "of that, before it is connected", "MB", _LESS),
    Figure("sync.noop.trips", "no-op sync at {large:,}", "round trips", _LESS, 1),
    Figure("sync.noop.bytes", "no-op sync, both ways", "bytes", _LESS, 100),
    Figure("sync.noop.all-bytes", "the same with the handshake", "bytes", _LESS),
    Figure("sync.noop.ms", "no-op sync, from proof to level", "ms", _LESS, 5),
    Figure("sync.noop.all-ms", "the same from the open channel", "ms", _LESS),
    Figure("sync.diff.trips", "{differences} edits among {large:,}", "round trips", _LESS, 3),
    Figure("sync.diff.bytes", "the same, both ways", "bytes", _LESS),
    Figure("sync.diff.overhead", "the same, by the bytes of what differs", "times", _LESS, 2),
    Figure("sync.diff.ms", "the same, from proof to level", "ms", _LESS),
    Figure("search.bulk", "signed writes, {bulk:,} in one call, indexed for search", "records/s"),
    Figure("search.single", "the same, one after the other", "records/s"),
    Figure("search.sync", "first sync of all these, indexed by the receiver", "records/s"),
    Figure("search.receiver", "the receiver's work for a record of it", "us of CPU"),
    Figure("search.find", "a search in {bulk:,} notes while typing", "ms", _LESS),
    Figure("live.p50", "live edit, median of {edits}", "ms", _LESS, 5),
    Figure("live.p99", "live edit, 99th percentile", "ms", _LESS, 5),
    Figure("app.import", "Family notes: importing {notes:,} notes", "notes/s"),
    Figure("app.import-blocked", "the loop's longest pause in that", "ms", _LESS),
    Figure("app.open", "opening the app with these notes", "ms", _LESS),
    Figure("app.list", "the first page of them", "ms", _LESS),
    Figure("app.older", "a page of older ones", "ms", _LESS),
    Figure("app.label", "a page of those with a label", "ms", _LESS),
    Figure("app.search", "what a search finds in them, as a page", "ms", _LESS),
    Figure("app.blocked", "the loop's longest pause while all these pages are made", "ms", _LESS),
    *_server("this", "this server", aim_kb=25),
    Figure("limits.verify", "limit: PyNaCl verifies, one core", "1/s"),
    Figure("limits.upsert", "limit: SQLite alone, same table", "records/s"),
    Figure("limits.pipe", "limit: the transport alone", "MB/s"),
)
"""In the order of the table. The first part of a key is the name of the benchmark."""

RIVALS: Final = (
    Figure("rivals.iroh", "iroh-docs 0.35, first sync of {rival:,} entries", "entries/s"),
    Figure("rivals.iroh-content", "the same, with their contents", "entries/s"),
    *_server("peerjs", "PeerJS 1.0.2"),
    *_server("y-webrtc", "y-webrtc 10.3.0"),
    *(figure for count in (1, 2, 4) for figure in _processes(count)),
)
"""Measured where it is asked for, and where what they need is installed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and its values, one of each repetition."""

    figure: Figure
    title: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value that counts."""
        return median(self.values)

    @property
    def reached(self) -> float | None:
        """How many times as good as the aim it is; None without an aim."""
        return self.figure.reached(self.median)

"""Two devices in real processes that write and sync, and are killed at random moments.

A seed draws who is killed when, and what is written; how far a process has come by then is up to
the machine. The database of a device that was killed is opened by the next process of its profile.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import IO, Final

from tests.cli.person import Person, befriend
from tests.crashes.inspection import Database
from tests.server_process import ROOT, running_server

CHECK_EVERY: Final = 25
LONGEST_S: Final = 2.0
"""A process is killed within this time of its first write, or of the round's beginning."""

_WRITES_S: Final = 60
"""How long a busy machine may take to start a process and have it write."""

_LEVEL_S: Final = "100"


@dataclass
class Device:
    """One device: its profile, and all that its processes have acknowledged so far."""

    name: str
    person: Person
    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    """Id and hash (hex) of each version whose write has returned."""

    @property
    def database(self) -> Database:
        return Database(self.person.profile)


class Running:
    """A process of a device that writes and syncs."""

    def __init__(self, device: Device, group: str, seed: str) -> None:
        self._device = device
        self._log = device.person.profile.with_suffix(".log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.writer", device.person.profile, group, seed],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'server'}"},
        )
        assert self._process.stdout is not None
        self._wrote = threading.Event()
        self._listening = threading.Thread(target=self._listen, args=(self._process.stdout,))
        self._listening.start()

    def _listen(self, stdout: IO[str]) -> None:
        for line in stdout:
            # Death may cut the last line: that write was never acknowledged.
            if line.endswith("\n"):
                record_id, digest = line.split()
                self._device.acknowledged.add((record_id, digest))
                self._wrote.set()

    def wait_for_write(self) -> None:
        """Return once it has acknowledged a write."""
        assert self._wrote.wait(_WRITES_S), f"{self._device.name} does not write"

    def kill(self) -> None:
        """End it as `kill -9` does. Raises `AssertionError` where it complained, or had ended."""
        self._process.kill()
        code = self._process.wait()
        self._listening.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        with self._log:
            self._log.seek(0)
            complaints = self._log.read()
        assert code == -signal.SIGKILL, f"{self._device.name} ended by itself: {complaints}"
        assert not complaints, f"{self._device.name}: {complaints}"


@dataclass(frozen=True)
class Moment:
    """When a device is killed."""

    device: Device
    writing: bool
    """Whether the time counts from its first write; else it may not have started yet."""
    after_s: float

    def __str__(self) -> str:
        since = "its first write" if self.writing else "the start"
        return f"{self.device.name} {self.after_s:.2f} s after {since}"


@dataclass(frozen=True)
class Round:
    """What one round did."""

    number: int
    killed: Sequence[Moment]
    acknowledged: int
    """Versions, by both devices since the beginning."""
    checked: bool
    """Whether both were brought level after it, and all was found to be there."""

    def __str__(self) -> str:
        killed = ", ".join(map(str, self.killed))
        found = "; level, and nothing is missing" if self.checked else ""
        return f"killed {killed}; {self.acknowledged:,} acknowledged{found}"


class Rounds:
    """Two devices that share a group, and what is done to them."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.devices = [
            Device(name, Person(folder / f"{name.lower()}.db")) for name in ("Ana", "Ben")
        ]
        self._random = Random(seed)
        self._running: dict[str, Running] = {}

    def run(self, count: int) -> Iterator[Round]:
        """Kill and start again, `count` times; every 25th time, and at the end, check all.

        Raises `AssertionError` with what was found wrong.
        """
        with running_server() as server:
            ana, ben = (device.person for device in self.devices)
            befriend(ana, ben, server)
            (group,) = (each["id"] for each in ana.json("groups") if not each["personal"])
            try:
                for number in range(1, count + 1):
                    killed = self._kill_some(group)
                    checked = number % CHECK_EVERY == 0 or number == count
                    if checked:
                        self._kill_all()
                        self._check(group)
                    acknowledged = sum(len(each.acknowledged) for each in self.devices)
                    yield Round(number, killed, acknowledged, checked)
            finally:
                self._kill_all()

    def _kill_some(self, group: str) -> Sequence[Moment]:
        """Let both write, and kill one of them or both, each at a moment of its own."""
        victims = self._random.choice([self.devices[:1], self.devices[1:], self.devices])
        moments = [self._moment(device) for device in victims]
        for device in self.devices:
            seed = str(self._random.random())
            if device.name not in self._running:
                self._running[device.name] = Running(device, group, seed)
        # Who is killed while it starts is killed first: the other takes its time.
        for moment in sorted(moments, key=attrgetter("writing", "after_s")):
            running = self._running.pop(moment.device.name)
            if moment.writing:
                running.wait_for_write()
            time.sleep(moment.after_s)
            running.kill()
        return moments

    def _moment(self, device: Device) -> Moment:
        return Moment(device, self._random.random() < 0.7, self._random.random() * LONGEST_S)

    def _kill_all(self) -> None:
        while self._running:
            self._running.popitem()[1].kill()

    def _check(self, group: str) -> None:
        """Bring both level, and compare what is there with all that was ever acknowledged."""
        with ExitStack() as both:
            words = ("sync", "--timeout", _LEVEL_S)
            syncs = [both.enter_context(each.person.running(*words)) for each in self.devices]
            for sync in syncs:
                sync.until_event("level")
            assert [sync.process.wait() for sync in syncs] == [0, 0]
        for device in self.devices:
            device.database.check()
            missing = device.acknowledged - device.database.kept()
            assert not missing, f"{device.name} has acknowledged, and does not have, {missing}"
        ana, ben = (device.database.live(group) for device in self.devices)
        assert ana == ben

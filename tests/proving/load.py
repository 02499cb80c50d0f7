"""Load: many devices, many groups, much that waits, and peers that take more than their share.

`python -m tests.proving.load` (or `make load`) runs each case in a process of its own, in a
simulated world, and prints what it took. Memory is what the process grew by over an empty world,
databases included, since those of a world are in memory. Each case has bounds at any size, and one
for its memory at its full size; what is over one is said, and the run fails. Groups of 1,000,000
records on disk, over WebRTC: `python -m benchmarks sync --records 1000000 --repeat 1`.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_values
from typing import Final, NamedTuple

import click
from msgspec.structs import replace
from rich.console import Console

from peerstack import limits
from peerstack.groups.statements import Role
from peerstack.ids import GroupId, RecordId
from peerstack.record import Body, Signed, compose
from peerstack.session.wire import Batch, Gap, Kind, Level, Want, encode
from peerstack.testing.conditions import CALM
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.big import note
from tests.simulation.people import assert_level, family_of
from tests.simulation.scripted import Scripted, secret_of

Figures = Mapping[str, float]
_ONE_PEERS: Final = 3 * limits.WINDOW_BATCHES
"""Batches that one peer may have under way."""

_CHECK_MS: Final = 20
"""How long checking one batch takes, where it is told how long others wait for it."""

_FORGED_AT_ONCE: Final = 20
_MINUTE_MS: Final = 60_000


class Size(NamedTuple):
    """How much of everything."""

    devices: int = 50
    notes_each: int = 40
    groups: int = 1_000
    held: int = 10_000
    flood: int = 20_000
    asked: int = 20_000


SMALL: Final = Size(devices=8, notes_each=5, groups=30, held=300, flood=2_000, asked=600)


class OverError(AssertionError):
    """What a case took is over what it may take."""


class Case(NamedTuple):
    """What is done, and what it may take."""

    run: Callable[[Size], Figures]
    most: Figures
    """At any size."""
    most_mb: float
    """Memory at the full size."""

    def within_bounds(self, size: Size) -> Figures:
        """What it took. Raises `OverError` where that is more than it may."""
        figures = self.run(size)
        demand(figures, self.most)
        return figures


def demand(figures: Figures, most: Figures) -> None:
    """Raise `OverError` for figures that are over their bounds."""
    over = [
        f"{what} {figures[what]:,.1f}, over {bound:,.1f}"
        for what, bound in most.items()
        if figures[what] > bound
    ]
    if over:
        raise OverError(f"{'; '.join(over)} (of {shown(figures)})")


def shown(figures: Figures) -> str:
    """Figures in one line."""
    return ", ".join(f"{what} {value:,.1f}" for what, value in figures.items())


@dataclass
class Most:
    """The most that a device had under way, looked at after each thing that happened."""

    world: World
    device: Device
    checks: int = 0
    batches: int = 0
    wants: int = 0

    def run_until(self, condition: Callable[[], bool], within_ms: int = _MINUTE_MS) -> int:
        """Let time pass until something holds; how much that was."""
        begins_ms = self.world.now_ms
        self.world.run_until(lambda: self._look() or condition(), within_ms)
        return self.world.now_ms - begins_ms

    def run(self, for_ms: int) -> None:
        """Let time pass."""
        over: list[bool] = []
        self.world.later(for_ms, lambda: over.append(True))
        self.run_until(lambda: bool(over), for_ms)

    def _look(self) -> bool:
        queues = self.device.queues
        self.checks = max(self.checks, queues.checks)
        self.batches = max(self.batches, queues.batches)
        self.wants = max(self.wants, queues.wants)
        return False


def many_devices(size: Size) -> Figures:
    """As many devices in one group write at once, and all come level."""
    world = World("many devices")
    family, devices = family_of(world, *(f"d{n}" for n in range(size.devices)))
    before, begins_ms = len(world.sent), world.now_ms
    for device in devices:
        device.put_many(family, "note", [note(n) for n in range(size.notes_each)])
    world.run_until(lambda: all(_count(each, family) == _written(size) for each in devices))
    took_ms = world.now_ms - begins_ms
    world.settle()
    assert_level(family, devices)
    sent = world.sent[before:]
    links = sum(len(device.peers()) for device in devices) / size.devices
    total = sum(len(each.data) for each in sent)
    return {
        "virtual s until level": took_ms / 1000,
        "links a device": links,
        "kB sent a device": total / 1000 / size.devices,
        "times what was lacked": total / _lacked(size),
    }


def _written(size: Size) -> int:
    return size.devices * size.notes_each


def _lacked(size: Size) -> float:
    """What all devices lacked, in bytes, as it was written."""
    return (size.devices - 1) * _written(size) * 600


def _count(device: Device, family: GroupId) -> int:
    return device.read(lambda snapshot: snapshot.types(family).get("note", 0))


def many_groups(size: Size) -> Figures:
    """Two devices share as many groups, and meet again."""
    world = World("many groups")
    ana, ben = world.device("ana"), world.device("ben")
    groups = []
    for number in range(size.groups):
        group = ana.create_group(f"Group {number}")
        ben.join(ana.invite(group, uses=1))
        groups.append(group)
        world.run(200)
    world.settle()
    assert all(ben.role(group) is Role.WRITER for group in groups)
    ben.go_offline()
    world.settle()
    before, begins_ms, began_s = len(world.sent), world.now_ms, time.process_time()
    ben.go_online()
    world.settle()
    cpu_s = time.process_time() - began_s
    met = world.sent[before:]
    assert len(ben.peers()) == 1
    assert {each.kind for each in met} == {"Hello", "Proof", "Groups", "Level"}
    return {
        "virtual s to meet": (met[-1].at_ms - begins_ms) / 1000,
        "CPU s of both": cpu_s,
        "kB both ways": sum(len(each.data) for each in met) / 1000,
        "bytes a group": sum(len(each.data) for each in met) / size.groups,
    }


def much_held(size: Size) -> Figures:
    """A member sends as many records dated ahead; all of them are released in time."""
    world = World("much held")
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.skew_ms = 2 * limits.FUTURE_MS
    for _ in range(size.held // 500 + 1):
        ben.put_many(family, "note", [note(n) for n in range(500)])
        world.run(_MINUTE_MS // 10)
    held = ana.read(lambda snapshot: snapshot.counts(family)).held
    assert 0 < held <= limits.HELD_RECORDS_PER_GROUP
    began_s = time.process_time()
    ben.skew_ms = 0
    world.run(4 * limits.FUTURE_MS)
    cpu_s = time.process_time() - began_s
    world.settle()
    assert_level(family, [ana, ben])
    left = ana.read(lambda snapshot: snapshot.counts(family)).held
    return {"held": held, "still held": left, "CPU s to release": cpu_s}


def a_flood(size: Size) -> Figures:
    """A member sends as many garbage records at once as it may; another's note is there all the
    same. Then it sends more than it may."""
    world = World("a flood")
    family, (ana, ben, eve) = family_of(world, "ana", "ben", "eve")
    eve.go_offline()
    script = Scripted(world, ana, eve.user).shake_hands()
    script.name_groups(family, secret_of(eve, family))
    world.conditions = with_values(CALM, verify_ms=(_CHECK_MS, _CHECK_MS))
    most, waits_ms = Most(world, ana), list[int]()
    for first in range(0, size.flood // _FORGED_AT_ONCE, _ONE_PEERS):
        for number in range(first, first + _ONE_PEERS):
            script.plug.say(_garbage(eve, family, number))
        waits_ms.append(_wait_ms(most, ben, family))
        most.run(1_000)
        assert len(script.acknowledged) == first + _ONE_PEERS, "not all of the flood was looked at"
    for number in range(3 * _ONE_PEERS):
        script.plug.say(_garbage(eve, family, number))
    waits_ms.append(_wait_ms(most, ben, family))
    most.run(1_000)
    counts = ana.read(lambda snapshot: snapshot.counts(family))
    live = _count(ana, family) - len(waits_ms)
    return {
        "garbage kept": counts.held + counts.quarantined + live,
        "batches checked at once, at most": most.checks,
        "ms for another's note, at most": max(waits_ms),
        "senders of more than may be that stay": int(not script.is_cut_off),
    }


def _wait_ms(most: Most, writer: Device, family: GroupId) -> int:
    """How long it takes until a device has what another one writes."""
    wrote = writer.put(family, "note", {"n": 1})
    return most.run_until(lambda: most.device.get(family, wrote.id) is not None)


def _garbage(eve: Device, family: GroupId, number: int) -> bytes:
    begins = number * _FORGED_AT_ONCE
    forged = [_forged(eve, family, begins + n) for n in range(_FORGED_AT_ONCE)]
    bodies = tuple(each.body for each in forged)
    return encode(Batch(0, Kind.RECORDS, number, bodies, tuple(e.signature for e in forged)))


def _forged(eve: Device, family: GroupId, number: int) -> Signed:
    user, wall_ms = eve.user, eve.now().wall_ms
    body = Body(RecordId(f"{number:026}"), family, "note", wall_ms, user.id, user.device, {"n": 1})
    return replace(compose(user.device_key, body), signature=b"\1" + bytes(64))


def a_slow_reader(size: Size) -> Figures:
    """A member asks for everything as often as it may, and takes nothing; what waits for it stays
    in its window. Then it asks more often."""
    world = World("a slow reader")
    family, (ana, ben, eve) = family_of(world, "ana", "ben", "eve")
    for _ in range(size.asked // 1_000 + 1):
        ana.put_many(family, "note", [note(n) for n in range(1_000)])
        world.run(_MINUTE_MS)
    eve.go_offline()
    script = Scripted(world, ana, eve.user).shake_hands()
    script.name_groups(family, secret_of(eve, family))
    for _ in range(limits.WANTS_OPEN):
        script.plug.say(_want_all())
    most = Most(world, ana)
    most.run(1_000)
    sent = len(script.heard(Batch))
    wait_ms = _wait_ms(most, ben, family)
    assert script.heard(Level)
    for _ in range(limits.WANTS_OPEN):
        script.plug.say(_want_all())
    most.run(1_000)
    return {
        "batches sent": sent,
        "batches not acknowledged, at most": most.batches,
        "requests waiting, at most": most.wants,
        "ms for another's note": wait_ms,
        "senders of more than may be that stay": int(not script.is_cut_off),
    }


def _want_all() -> bytes:
    return encode(Want(0, Kind.RECORDS, (), (Gap(b"", None),)))


CASES: Final[Mapping[str, Case]] = {
    "many devices": Case(
        many_devices,
        {
            "virtual s until level": 2,
            "links a device": 3 * limits.PEERS_PER_GROUP,
            "times what was lacked": 1,
        },
        most_mb=600,
    ),
    "many groups": Case(many_groups, {"virtual s to meet": 5, "bytes a group": 250}, most_mb=180),
    "much held": Case(
        much_held, {"held": limits.HELD_RECORDS_PER_GROUP, "still held": 0}, most_mb=150
    ),
    "a flood": Case(
        a_flood,
        {
            "garbage kept": 0,
            # Of two peers.
            "batches checked at once, at most": 2 * _ONE_PEERS,
            # On its way, and checked: behind a flood it would be 50 times as much.
            "ms for another's note, at most": 5 * _CHECK_MS,
            "senders of more than may be that stay": 0,
        },
        most_mb=10,
    ),
    "a slow reader": Case(
        a_slow_reader,
        {
            "batches sent": _ONE_PEERS,
            "batches not acknowledged, at most": _ONE_PEERS,
            "requests waiting, at most": limits.WANTS_OPEN,
            "ms for another's note": 100,
            "senders of more than may be that stay": 0,
        },
        most_mb=160,
    ),
}


def measured(name: str, size: Size) -> dict[str, float]:
    """What a case took, in this process, within its bounds but for memory."""
    World("empty").device("nobody")
    empty_kb, began_s = _peak_kb(), time.process_time()
    figures = CASES[name].within_bounds(size)
    grown_mb = (_peak_kb() - empty_kb) / 1024
    return {"CPU s": time.process_time() - began_s, "MB": grown_mb, **figures}


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--small", is_flag=True, help="Only shows that everything works.")
def main(names: tuple[str, ...], small: bool) -> None:
    """Run the load cases, one after the other, print what each took, and fail over a bound."""
    console, failed = Console(), False
    with console.status("") as status:
        for name in names or CASES:
            status.update(name)
            # As soon as it is known: all of them take a quarter of an hour.
            try:
                figures = _measured_apart(name, small)
                console.print(f"{name}: {shown(figures)}", highlight=False, soft_wrap=True)
                demand(figures, {} if small else {"MB": CASES[name].most_mb})
            except OverError as error:
                failed = True
                console.print(f"[red]{name}[/]: {error}", highlight=False, soft_wrap=True)
    sys.exit(failed)


def _measured_apart(name: str, small: bool) -> dict[str, float]:
    """The same in a process of its own, since a process does not say what it grew by since when."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (name, SMALL if small else Size()))


if __name__ == "__main__":
    main()

"""Load: many devices, many groups, much that waits, and peers that take more than their share.

`python -m tests.proving.load` (or `make load`) runs each case in a process of its own, in a
simulated world, and prints what it took. Memory is what the process grew by over an empty world,
databases included, since those of a world are in memory. Groups of 1,000,000 records on disk, over
WebRTC: `python -m benchmarks sync --records 1000000 --repeat 1`.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import click
from msgspec.structs import replace
from rich.console import Console

from peerstack import limits
from peerstack.groups.statements import Role
from peerstack.ids import GroupId, RecordId
from peerstack.record import Body, Signed, compose
from peerstack.session.wire import Batch, Gap, Kind, Level, Want, encode
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.big import note
from tests.simulation.people import assert_level, family_of
from tests.simulation.scripted import Scripted, secret_of

Result = Mapping[str, float]
_MINUTE_MS: Final = 60_000


class Size(NamedTuple):
    """How much of everything."""

    devices: int = 50
    notes_each: int = 40
    groups: int = 1_000
    held: int = 10_000
    flood: int = 20_000
    asked: int = 20_000


SMALL: Final = Size(devices=8, notes_each=5, groups=30, held=300, flood=600, asked=600)


def many_devices(size: Size) -> Result:
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


def many_groups(size: Size) -> Result:
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
    }


def much_held(size: Size) -> Result:
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
    return {"held": held, "CPU s to release": cpu_s}


def a_flood(size: Size) -> Result:
    """A member sends as many garbage records as it can; another's note is there as soon as ever."""
    world = World("a flood")
    family, (ana, ben, eve) = family_of(world, "ana", "ben", "eve")
    eve.go_offline()
    script = Scripted(world, ana, eve.user).shake_hands()
    script.name_groups(family, secret_of(eve, family))
    waits_ms = []
    for number in range(size.flood // 100):
        forged = [_forged(eve, family, number * 100 + n) for n in range(100)]
        bodies = tuple(each.body for each in forged)
        signatures = tuple(each.signature for each in forged)
        script.say(Batch(0, Kind.RECORDS, number, bodies, signatures))
        if number % 10 == 0:
            wrote = ben.put(family, "note", {"n": number})
            begins_ms = world.now_ms
            while ana.get(family, wrote.id) is None:
                assert world.step()
            waits_ms.append(world.now_ms - begins_ms)
    counts = ana.read(lambda snapshot: snapshot.counts(family))
    kept = counts.held + counts.quarantined
    return {"garbage kept": kept, "ms for another's note, at most": max(waits_ms)}


def _forged(eve: Device, family: GroupId, number: int) -> Signed:
    user, wall_ms = eve.user, eve.now().wall_ms
    body = Body(RecordId(f"{number:026}"), family, "note", wall_ms, user.id, user.device, {"n": 1})
    return replace(compose(user.device_key, body), signature=b"\1" + bytes(64))


def a_slow_reader(size: Size) -> Result:
    """A member asks for everything and takes nothing; what waits for it stays in its window."""
    world = World("a slow reader")
    family, (ana, ben, eve) = family_of(world, "ana", "ben", "eve")
    for _ in range(size.asked // 1_000 + 1):
        ana.put_many(family, "note", [note(n) for n in range(1_000)])
        world.run(_MINUTE_MS)
    eve.go_offline()
    script = Scripted(world, ana, eve.user).shake_hands()
    script.name_groups(family, secret_of(eve, family))
    for _ in range(limits.WANTS_OPEN // 2):
        script.plug.say(_want_all())
    world.run(1_000)
    sent = len(script.heard(Batch))
    most = ana.queues.batches
    wrote = ben.put(family, "note", {"n": 1})
    world.run_until(lambda: ana.get(family, wrote.id) is not None, _MINUTE_MS)
    assert script.heard(Level)
    return {"batches sent": sent, "batches not acknowledged, at most": most}


def _want_all() -> bytes:
    return encode(Want(0, Kind.RECORDS, (), (Gap(b"", None),)))


CASES: Final[Mapping[str, Callable[[Size], Result]]] = {
    "many devices": many_devices,
    "many groups": many_groups,
    "much held": much_held,
    "a flood": a_flood,
    "a slow reader": a_slow_reader,
}


def measured(name: str, size: Size) -> dict[str, Any]:
    """What a case took, in this process."""
    World("empty").device("nobody")
    empty_kb, began_s = _peak_kb(), time.process_time()
    result = CASES[name](size)
    grown_mb = (_peak_kb() - empty_kb) / 1024
    return {"CPU s": time.process_time() - began_s, "MB": grown_mb, **result}


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--small", is_flag=True, help="Only shows that everything works.")
def main(names: tuple[str, ...], small: bool) -> None:
    """Run the load cases, one after the other, and print what each took."""
    console = Console()
    fresh = multiprocessing.get_context("spawn")
    with console.status("") as status:
        for name in names or CASES:
            status.update(name)
            with fresh.Pool(1) as pool:
                took = pool.apply(measured, (name, SMALL if small else Size()))
            figures = ", ".join(f"{what} {value:,.1f}" for what, value in took.items())
            # As soon as it is known: all of them take a quarter of an hour.
            console.print(f"{name}: {figures}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()

"""A wall clock that jumps by days, forward and back, while a device runs and while it does not."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest

from peerstack.ids import GroupId
from peerstack.record import Record
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of

DAY_MS: Final = 24 * 60 * 60 * 1000
FARTHEST: Final = 2 * DAY_MS
JUMPS: Final = 25


def write(device: Device, family: GroupId, random: Random, number: int) -> Record:
    """Something new, or an edit of what was there before."""
    live = [each for each in device.records(family).values() if each.type == "note"]
    over = random.choice(live) if live and random.random() < 0.5 else None
    return device.put(family, "note", {"number": number}, over=over)


@pytest.mark.parametrize("seed", range(3))
def test_after_jumps_of_the_clock_nothing_is_missing_and_all_become_level(seed: int) -> None:
    random = Random(seed)
    world = World(seed=seed)
    family, devices = family_of(world, "ana", "ben")
    written = []
    for number in range(JUMPS):
        jumper = random.choice(devices)
        jumper.skew_ms = random.randrange(-FARTHEST, FARTHEST)
        if random.random() < 0.4:
            jumper.restart()
        written += [(device, write(device, family, random, number)) for device in devices]
        world.run(random.randrange(60_000))
    for device in devices:
        device.skew_ms = 0

    world.run(FARTHEST)
    world.settle()

    assert_level(family, devices)
    for device, version in written:
        kept = [device.get(family, version.id), *device.history(family, version.id)]
        assert version in kept
        assert device.read(lambda snapshot: snapshot.counts(family)).held == 0


def test_who_wrote_in_the_future_and_came_back_can_still_edit_it() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.skew_ms = FARTHEST
    note = ana.put(family, "note", {"title": "Milk"})
    ana.skew_ms = 0
    ana.restart()

    edited = ana.put(family, "note", {"title": "Oat milk"}, over=note)
    assert ana.get(family, note.id) == edited
    world.run(FARTHEST)
    world.settle()

    assert ben.get(family, note.id) == edited
    assert_level(family, [ana, ben])

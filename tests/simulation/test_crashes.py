"""Whatever moment a device crashes at, it loses nothing that it had acknowledged or stored."""

from __future__ import annotations

import pytest

from peerstack.engine import Turn, writing
from peerstack.errors import StoreFull
from peerstack.ids import GroupId
from peerstack.testing.conditions import STORMY, Conditions
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of, live

SLOW = Conditions(verify_ms=(20, 20))


def conflicting_family(world: World) -> tuple[GroupId, Device, Device, Device]:
    """Two devices that have not met since both wrote, and a newcomer: much is to be done."""
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    ana.go_offline()
    ben.go_offline()
    for device in (ana, ben):
        device.put(family, "note", {"by": device.name}, over=note)
        device.put_many(family, "note", [{"by": device.name, "n": n} for n in range(20)])
    cleo = world.device("cleo", online=False)
    cleo.join(ana.invite(family))
    world.conditions = SLOW
    for device in (ana, ben, cleo):
        device.go_online()
    return family, ana, ben, cleo


@pytest.mark.parametrize("victim", ["ana", "ben", "cleo"])
@pytest.mark.parametrize("turns", [1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30])
def test_a_crash_right_behind_any_commit_loses_nothing(victim: str, turns: int) -> None:
    world = World()
    family, ana, ben, cleo = conflicting_family(world)
    before = {**live(ana, family), **live(ben, family)}.keys()
    world.devices[victim].crash_after(turns)
    world.settle()
    assert_level(family, [ana, ben, cleo])
    assert before <= live(cleo, family).keys()


def test_what_was_acknowledged_is_there_after_a_restart_with_nobody_else_around() -> None:
    for steps in range(0, 200, 25):
        world = World()
        family, ana, ben, cleo = conflicting_family(world)
        for _ in range(steps):
            world.step()
        stored = live(ben, family)
        ana.go_offline()
        cleo.go_offline()
        ben.restart()
        world.run(60_000)
        after = live(ben, family)
        assert after.keys() >= stored.keys()
        assert all(after[each] == stored[each] for each in stored)


def test_what_waited_for_a_statement_survives_a_crash_while_it_is_checked() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    cleo = world.device("cleo")
    cleo.join(ana.invite(family))
    world.settle()
    note = cleo.put(family, "note", {"title": "Hello"})
    signed = cleo.read(lambda snapshot: snapshot.get(family, note.id))
    assert signed is not None
    ben.perform(
        lambda turn: turn.tx.hold([signed], signed.device, turn.now.wall_ms, waits_for="statement")
    )
    world.conditions = SLOW
    cleo.go_offline()
    ben.go_online()
    world.run_until(lambda: cleo.user.id in ben.members(family))
    # Nobody is left to ask for it again.
    ana.go_offline()
    ben.restart()
    world.run(60_000)
    assert ben.get(family, note.id) == note


@pytest.mark.parametrize("seed", range(3))
def test_devices_that_crash_all_the_time_come_level_in_the_end(seed: int) -> None:
    world = World(seed, STORMY)
    family, devices = family_of(world, "ana", "ben", "cleo")
    for turn in range(60):
        writer, victim = (devices[world.dice.below(3)] for _ in range(2))
        writer.put(family, "note", {"turn": turn})
        victim.crash_after(1 + world.dice.below(20))
        world.run(world.dice.below(5_000))
    world.conditions = Conditions()
    world.settle()
    assert_level(family, devices)
    assert len(devices[0].find(family, "note")) == 60


def test_a_join_survives_a_crash_at_any_of_its_steps() -> None:
    for turns in (1, 2, 3, 4, 5, 7, 9):
        for victim in ("ana", "ben"):
            world = World()
            ana, ben = world.device("ana"), world.device("ben")
            family = ana.create_group("Family")
            ben.join(ana.invite(family))
            world.devices[victim].crash_after(turns)
            world.settle()
            assert_level(family, [ana, ben])


def test_nothing_is_sent_of_a_turn_that_was_not_committed() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    before = len(world.sent)

    def write_and_fail(turn: Turn) -> None:
        writing.put(turn, family, "note", {"title": "never"}, ())
        raise StoreFull("no room left")

    with pytest.raises(StoreFull):
        ana.perform(write_and_fail)
    world.run(10_000)
    assert world.sent[before:] == []
    assert ana.find(family, "note") == ben.find(family, "note") == []

"""The simulated world itself: repeatable, honest about time, and faithful to a pipe's contract."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from peerstack.testing.conditions import STORMY, Conditions
from peerstack.testing.dice import Dice
from peerstack.testing.world import World
from tests.simulation.people import family_of

PROGRAM = """
from peerstack.testing.conditions import STORMY
from peerstack.testing.world import World
import hashlib

world = World("one seed", STORMY)
ana, ben, cleo = (world.device(name) for name in ("ana", "ben", "cleo"))
family = ana.create_group("Family")
link = ana.invite(family)
ben.join(link)
cleo.join(link)
for number in range(10):
    world.run(5_000)
    ana.put(family, "note", {"number": number})
print(hashlib.sha256("\\n".join(world.trace).encode()).hexdigest(), len(world.trace))
"""


def test_one_seed_gives_one_run_in_every_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
    assert int(outputs.pop().split()[1]) > 100


def test_another_seed_gives_another_run() -> None:
    def trace(seed: int) -> list[str]:
        world = World(seed, STORMY)
        family_of(world, "ana", "ben")
        return world.trace

    assert trace(1) != trace(2)


def test_a_partition_is_told_the_same_in_whatever_order_its_sets_come() -> None:
    world = World()
    names = ["ana", "ben", "cleo", "dan", "eve", "finn"]
    devices = {world.device(name, online=False) for name in names}

    world.partition(devices)

    assert world.trace[-1].endswith(f"partition: {' '.join(names)}")


def test_a_pipe_keeps_its_order_whatever_the_latency() -> None:
    world = World(conditions=Conditions(latency_ms=(1, 1_000)))
    ana = world.device("ana")
    plug = world.plug(ana, dialled=True)
    other = plug.end.other
    assert other is not None
    for number in range(100):
        world.pipes.send(other, bytes([number]))
    world.run(2_000)
    # The first is the device's own hello.
    assert [data[0] for data in plug.heard[1:]] == list(range(100))


def test_a_cut_loses_all_that_is_under_way_and_is_noticed_by_both_sides() -> None:
    world = World(conditions=Conditions(latency_ms=(100, 100), notice_ms=(300, 300)))
    ana = world.device("ana")
    plug = world.plug(ana)
    world.pipes.cut(plug.end)
    world.run(299)
    assert plug.heard == []
    assert plug.hung_up is None
    world.run(1)
    assert plug.hung_up == "cut"
    assert ana.engine.peers == {}


@pytest.mark.parametrize("wait_ms", range(50, 1_500, 50))
def test_who_goes_offline_is_connected_to_nobody_even_where_it_was_about_to_be(
    wait_ms: int,
) -> None:
    world = World(conditions=Conditions(dial_ms=(1_000, 1_000)))
    _, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.settle()
    ben.go_online()
    world.run(wait_ms)
    ben.go_offline()
    world.run(60_000)

    assert (ana.peers(), ben.peers()) == ([], [])


def test_a_world_in_which_somebody_talks_for_ever_does_not_settle() -> None:
    world = World()
    ana = world.device("ana")

    def talk() -> None:
        world.plug(ana)
        world.later(60_000, talk)

    talk()
    with pytest.raises(AssertionError, match="no quiet"):
        world.settle(within_ms=60 * 60 * 1000)


def test_dice_are_fair_enough() -> None:
    dice = Dice("seed")
    assert {dice.between((3, 5)) for _ in range(100)} == {3, 4, 5}
    assert not any(dice.happens(0.0) for _ in range(100))
    assert all(dice.happens(1.0) for _ in range(100))
    assert 350 < sum(dice.happens(0.5) for _ in range(1_000)) < 650

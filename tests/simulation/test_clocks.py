"""Wrong clocks: what is held, for how long, and that everybody stays in quiet meanwhile."""

from __future__ import annotations

import pytest

from peerstack import limits
from peerstack.testing.conditions import Conditions
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of, live

HOUR_MS = 60 * 60 * 1000


@pytest.mark.parametrize("verify_ms", [0, 30, 100])
@pytest.mark.parametrize("writer", [0, 1])
def test_devices_know_that_they_are_level_though_one_holds_what_the_other_shows(
    verify_ms: int, writer: int
) -> None:
    world = World()
    family, devices = family_of(world, "ana", "ben")
    author, holder = devices[writer], devices[1 - writer]
    world.conditions = Conditions(verify_ms=(verify_ms, verify_ms))
    author.skew_ms = HOUR_MS
    note = author.put(family, "note", {"title": "Milk"})
    world.run(10_000)
    assert holder.get(family, note.id) is None
    assert author.is_level(family)
    assert holder.is_level(family)


def test_what_comes_from_the_future_is_held_until_its_time_comes() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.skew_ms = HOUR_MS
    note = ana.put(family, "note", {"title": "Milk"})
    world.run(HOUR_MS - limits.FUTURE_MS - 1)
    assert ben.get(family, note.id) is None
    assert ben.read(lambda snapshot: snapshot.counts(family)).held == 1
    world.run(1)
    assert ben.get(family, note.id) == note
    assert ben.read(lambda snapshot: snapshot.counts(family)).held == 0
    world.settle()
    assert_level(family, [ana, ben])


def test_what_is_held_is_asked_for_once_and_survives_a_restart() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.skew_ms = HOUR_MS
    note = ana.put(family, "note", {"title": "Milk"})
    world.run(10_000)
    before = len(world.sent)
    ben.restart()
    world.run(10_000)
    ana.restart()
    world.run(10_000)
    assert world.traffic(before)["Batch"] == 0
    ana.go_offline()
    world.run(HOUR_MS)
    assert ben.get(family, note.id) == note


def test_what_is_less_than_ten_minutes_ahead_is_not_held() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben", ana=limits.FUTURE_MS)
    note = ana.put(family, "note", {"title": "Milk"})
    world.run(1_000)
    assert ben.get(family, note.id) == note


def test_an_edit_on_a_slow_clock_beats_what_its_author_was_looking_at() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    world.run(1_000)
    ben.skew_ms = -365 * 24 * HOUR_MS
    edited = ben.put(family, "note", {"title": "Oat milk"}, over=note)
    world.settle()
    assert live(ana, family)[note.id] == live(ben, family)[note.id] == edited.hash


def test_a_clock_that_is_set_back_under_a_device_does_no_harm() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    for skew_ms in (3 * HOUR_MS, -3 * HOUR_MS, 0):
        ana.skew_ms = skew_ms
        ana.put(family, "note", {"skew": skew_ms})
        world.run(10_000)
        ana.restart()
        world.run(10_000)
    world.run(4 * HOUR_MS)
    world.settle()
    assert_level(family, [ana, ben])
    assert len(ben.find(family, "note")) == 3


def test_a_version_that_was_replaced_is_not_fetched_from_those_who_hold_the_new_one() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    ana.skew_ms = HOUR_MS
    ana.put(family, "note", {"title": "Oat milk"}, over=note)
    world.run(1_000)
    before = len(world.sent)
    for device in (ana, ben, ana, ben):
        device.restart()
        world.run(10_000)
    assert world.traffic(before)["Batch"] == 0
    assert ben.get(family, note.id) == note

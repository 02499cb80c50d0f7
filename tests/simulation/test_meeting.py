"""Devices meet by the server's rooms, let each other in, and bring their groups level."""

from __future__ import annotations

import pytest

from peerstack.engine.events import ServerUnheard
from peerstack.groups.statements import Role
from peerstack.testing.conditions import CALM, STORMY, Conditions
from peerstack.testing.rooms import URL
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of, live

NAMES = ("ana", "ben", "cleo", "dan", "eva")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_devices_meet_by_the_rooms_and_bring_their_group_level(count: int) -> None:
    world = World(seed=count)
    family, devices = family_of(world, *NAMES[:count])
    notes = [device.put(family, "note", {"by": device.name}) for device in devices]
    world.settle()
    assert_level(family, devices)
    for device in devices:
        assert [device.get(family, note.id) for note in notes] == notes
        assert device.hangups == []
        assert device.engine.refusals() == {}


@pytest.mark.parametrize("seed", range(3))
def test_devices_come_level_however_bad_the_network_was(seed: int) -> None:
    world = World(seed, STORMY)
    skews_ms = (0, -3_600_000, 300_000, -86_400_000)
    devices = [
        world.device(name, skew_ms=skew_ms)
        for name, skew_ms in zip(NAMES[:4], skews_ms, strict=True)
    ]
    family = devices[0].create_group("Family")
    link = devices[0].invite(family)
    for device in devices[1:]:
        device.join(link)
    for turn in range(40):
        world.run(20_000)
        for device in devices:
            if device.role(family):
                device.put(family, "note", {"by": device.name, "turn": turn})
    world.conditions = CALM
    # Until the slowest clock says that all was written in its past.
    world.run(25 * 60 * 60 * 1000)
    assert_level(family, devices)
    assert len(devices[0].records(family)) > 100


@pytest.mark.parametrize("told", [True, False])
def test_devices_whose_announcements_were_lost_meet_as_soon_as_the_server_asks_again(
    told: bool,
) -> None:
    world = World()
    _, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.run(60_000)
    # A server of several processes that do not see each other.
    world.conditions = Conditions(lost_signal_chance=1.0)
    ben.go_online()
    world.run(5_000)
    world.conditions = CALM
    for device in (ana, ben) if told else ():
        device.handle(ServerUnheard(URL, spread_ms=10_000))
    world.run(15_000)

    assert (ana.user.device in ben.peers()) == told


def test_records_go_down_a_chain_whose_ends_never_connect() -> None:
    world = World()
    family, (ana, _, cleo) = family_of(world, "ana", "ben", "cleo")
    world.partition({ana}, {cleo})
    world.settle()
    note = ana.put(family, "note", {"title": "Milk"})
    world.run(1_000)
    assert cleo.get(family, note.id) == note
    reply = cleo.put(family, "note", {"title": "Oat milk"}, over=note)
    world.run(1_000)
    assert ana.get(family, note.id) == reply
    assert ana.user.device not in cleo.peers()


def test_a_member_lets_a_newcomer_in_while_the_admin_is_offline() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    link = ana.invite(family, "reader")
    world.settle()
    ana.go_offline()
    cleo = world.device("cleo")
    cleo.join(link)
    world.settle()
    assert cleo.role(family) is Role.READER
    assert_level(family, [ben, cleo])
    ana.go_online()
    world.settle()
    assert_level(family, [ana, ben, cleo])


def test_only_an_admin_lets_an_admin_in() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    link = ana.invite(family, "admin")
    world.settle()
    ana.go_offline()
    cleo = world.device("cleo")
    cleo.join(link)
    world.settle()
    assert cleo.role(family) is None
    assert cleo.refused_joins == [(family, "no-role")]
    ana.go_online()
    world.settle()
    assert cleo.role(family) is Role.ADMIN


def test_a_join_waits_until_somebody_is_there() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    link = ana.invite(family)
    ana.go_offline()
    ben = world.device("ben")
    assert ben.join(link) == family
    world.run(24 * 60 * 60 * 1000)
    assert ben.role(family) is None
    ben.restart()
    ana.go_online()
    world.settle()
    assert ben.role(family) is Role.WRITER
    assert_level(family, [ana, ben])


def test_a_member_is_known_by_whoever_let_it_in_to_those_who_never_met_either() -> None:
    # Cleo was let in by ben while ana was away; now ben is away, and cleo shows ana why.
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    link = ana.invite(family)
    world.settle()
    ana.go_offline()
    cleo = world.device("cleo")
    cleo.join(link)
    world.settle()
    ben.go_offline()
    note = cleo.put(family, "note", {"title": "Hello"})
    ana.go_online()
    world.settle()
    assert ana.members(family)[cleo.user.id] is Role.WRITER
    assert ana.get(family, note.id) == note


def test_two_who_were_let_in_apart_vouch_for_each_other_while_all_others_are_away() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    link = ana.invite(family)
    world.settle()
    cleo, dan = world.device("cleo", online=False), world.device("dan", online=False)
    world.partition({ana, cleo}, {ben, dan})
    for device in (cleo, dan):
        device.join(link)
        device.go_online()
    world.settle()
    ana.go_offline()
    ben.go_offline()
    notes = [each.put(family, "note", {"by": each.name}) for each in (cleo, dan)]
    world.heal()
    world.settle()
    assert_level(family, [cleo, dan])
    assert [cleo.get(family, note.id) for note in notes] == notes


def test_an_ended_invite_lets_nobody_in_and_says_so() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    link = ana.invite(family, uses=1)
    ben = world.device("ben")
    ben.join(link)
    world.settle()
    cleo = world.device("cleo")
    cleo.join(link)
    world.settle()
    assert ben.role(family) is Role.WRITER
    assert cleo.role(family) is None
    assert live(cleo, family) == {}


def test_devices_find_each_other_again_when_the_server_comes_back() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    world.server.stop()
    ben.restart()
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    assert ben.get(family, note.id) is None
    world.server.start()
    world.settle()
    assert ben.get(family, note.id) == note


def test_a_connection_outlives_the_server_that_made_it() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    world.server.stop()
    note = ana.put(family, "note", {"title": "Milk"})
    world.run(1_000)
    assert ben.get(family, note.id) == note


def test_members_stay_in_touch_over_several_days() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    for _ in range(3):
        world.run(24 * 60 * 60 * 1000)
        ben.restart()
        note = ana.put(family, "note", {"title": "Milk"})
        world.settle()
        assert ben.get(family, note.id) == note


def test_a_device_of_a_slow_network_still_joins() -> None:
    world = World(conditions=Conditions(latency_ms=(2_000, 4_000), dial_ms=(10_000, 20_000)))
    family, devices = family_of(world, "ana", "ben", "cleo")
    assert_level(family, devices)


def test_a_newcomer_whose_connection_broke_while_its_join_was_checked_is_let_in_later() -> None:
    world = World(conditions=Conditions(verify_ms=(1_000, 1_000), notice_ms=(1, 1)))
    ana = world.device("ana")
    family = ana.create_group("Family")
    ben = world.device("ben")
    ben.join(ana.invite(family))
    world.run_until(lambda: any(each.kind == "Batch" for each in world.sent))
    world.run(20)
    world.partition({ana}, {ben})
    world.run(5_000)
    assert ben.role(family) is None
    world.heal()
    world.settle()
    assert ben.role(family) is Role.WRITER
    assert_level(family, [ana, ben])


def test_an_admin_who_has_heard_of_a_join_lets_in_whom_others_could_not() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    link = ana.invite(family, "admin")
    world.settle()
    cleo = world.device("cleo")
    world.partition({ana}, {cleo})
    cleo.join(link)
    world.settle()
    assert cleo.refused_joins == [(family, "no-role")]
    assert cleo.role(family) is None
    world.heal()
    world.settle()
    assert cleo.role(family) is Role.ADMIN


def test_newcomers_who_met_each_other_first_are_let_in_by_each_other() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    link = ana.invite(family)
    ana.go_offline()
    ben, cleo = world.device("ben"), world.device("cleo")
    ben.join(link)
    cleo.join(link)
    world.settle()
    assert len(ben.peers()) == len(cleo.peers()) == 1
    world.partition({ana}, {cleo})
    ana.go_online()
    world.settle()
    assert ben.role(family) is Role.WRITER
    assert cleo.role(family) is Role.WRITER
    assert_level(family, [ana, ben, cleo])


def test_a_newcomer_cut_off_before_the_groups_secret_came_still_finds_the_group() -> None:
    """In the original, a member whose device lacked the group record never discovered anyone."""
    world = World(seed=3)
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    ana.put(family, "note", {"title": "Milk"})
    ben.join(ana.invite(family, uses=1))
    world.run_until(lambda: ben.role(family) is not None)
    ben.go_offline()
    world.run(60_000)
    assert ben.find(family, "note") == []

    ben.go_online()
    world.settle()

    assert ben.records(family) == ana.records(family)
    assert len(ben.find(family, "note")) == 1

"""All devices of a user get all groups of that user, by way of the personal group."""

from __future__ import annotations

import pytest

from peerstack.engine import profile, writing
from peerstack.engine.kept_secrets import secret_of
from peerstack.engine.own_groups import awaited
from peerstack.engine.secrets import shared_secrets
from peerstack.groups.membership import Membership
from peerstack.groups.statements import Role
from peerstack.ids import GroupId, RecordId, as_group
from peerstack.record import OWN_GROUP_TYPE, Body, JsonObject, compose
from peerstack.signaling.wire import DAY_MS
from peerstack.testing.conditions import CALM, STORMY
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.ends import give
from tests.simulation.people import assert_level, at_another_device, family_of, rename, rotate

UNKNOWN = as_group("01J8Z0000000000000000000AB")


def told_id(group: GroupId) -> RecordId:
    return writing.data_id(OWN_GROUP_TYPE, group)


def told_of(device: Device, group: GroupId) -> JsonObject | None:
    """What the personal group says of a group, as a device has it."""
    told = device.get(device.user.id, told_id(group))
    return told.value if told else None


def versions_told(device: Device, group: GroupId) -> int:
    """How often anybody wrote of a group into the personal group."""
    changes = device.changes(device.user.id)
    return sum(change.record.id == told_id(group) for change in changes)


def say(device: Device, group: GroupId, value: JsonObject) -> None:
    """Write of a group into the personal group, as another version of this program might."""
    device.perform(lambda turn: writing.write_data(turn, OWN_GROUP_TYPE, group, value))


# --- What another device gets. ------------------------------------------------------------------


def test_a_linked_device_gets_the_groups_and_their_records_though_no_other_device_is_there() -> (
    None
):
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    work = ben.create_group("Work")
    ana.join(ben.invite(work, "reader"))
    notes = [ben.put(group, "note", {"title": "Milk"}) for group in (family, work)]
    world.settle()
    laptop = at_another_device(world, ana, "ana's laptop")
    # They meet for long enough to tell of the groups, and of nothing in them.
    world.run_until(lambda: laptop.get(ana.user.id, told_id(work)) is not None)
    ana.go_offline()
    assert laptop.find(family, "note") == []
    world.settle()

    assert [laptop.get(note.group, note.id) for note in notes] == notes
    assert (laptop.role(family), laptop.role(work)) == (Role.ADMIN, Role.READER)
    laptop.put(family, "note", {"by": "the laptop"})
    world.settle()
    assert_level(family, [ben, laptop])
    ana.go_online()
    world.settle()
    assert_level(family, [ana, ben, laptop])
    assert_level(work, [ana, ben, laptop])


def test_groups_of_later_come_to_all_devices_whichever_made_or_joined_them() -> None:
    world = World()
    ana, ben = world.device("ana"), world.device("ben")
    laptop = at_another_device(world, ana, "ana's laptop")
    world.settle()
    assert_level(ana.user.id, [ana, laptop])
    mine = laptop.create_group("Mine")
    his = ben.create_group("His")
    ana.join(ben.invite(his))
    world.settle()

    assert_level(mine, [ana, laptop])
    assert_level(his, [ana, laptop, ben])
    assert ana.role(mine) is Role.ADMIN
    assert laptop.role(his) is Role.WRITER
    assert told_of(ana, his) == told_of(laptop, his) != told_of(ana, mine)


def test_a_device_that_was_told_an_old_secret_finds_the_group_by_it() -> None:
    world = World()
    family, (ben, ana) = family_of(world, "ben", "ana")
    ana.go_offline()
    old = rotate(ben, family)
    rotate(ben, family)
    note = ben.put(family, "note", {"title": "Milk"})
    ben.go_offline()
    world.run(60 * DAY_MS)
    ana.go_online()
    laptop = at_another_device(world, ana, "ana's laptop")
    world.run_until(lambda: told_of(laptop, family) is not None)
    ana.go_offline()
    assert (told_of(laptop, family) or {})["secret"] == old.hex()

    ben.go_online()
    world.run(DAY_MS // 24)
    assert laptop.get(family, note.id) == note
    assert_level(family, [ben, laptop])


def test_a_linked_device_is_a_member_to_those_who_never_heard_of_its_user() -> None:
    # Cleo joined while ben was away; ben meets her laptop before anybody else.
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    cleo = world.device("cleo")
    cleo.join(ana.invite(family))
    world.settle()
    laptop = at_another_device(world, cleo, "cleo's laptop")
    world.run_until(lambda: told_of(laptop, family) is not None)
    world.partition({ana, cleo}, {ben})
    note = laptop.put(cleo.user.id, "note", {"title": "Mine"})
    ben.go_online()
    world.settle()
    assert_level(family, [ana, cleo, laptop, ben])
    assert cleo.get(cleo.user.id, note.id) == note


@pytest.mark.parametrize("seed", range(3))
def test_groups_come_to_a_linked_device_however_bad_the_network_was(seed: int) -> None:
    world = World(seed, STORMY)
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    ben.join(ana.invite(family))
    laptop = at_another_device(world, ana, "ana's laptop")
    for turn in range(20):
        world.run(30_000)
        rotate(ana, family)
        rename(ana, family, f"Family {turn}")
        if laptop.role(family):
            laptop.put(family, "note", {"turn": turn})
        laptop.crash_after(world.dice.between((1, 9)))
    world.conditions = CALM
    world.run(DAY_MS // 12)
    assert_level(family, [ana, ben, laptop])
    assert_level(ana.user.id, [ana, laptop])


# --- What is written, and how often. ------------------------------------------------------------


def test_a_group_is_told_of_when_it_is_made_and_when_its_name_or_secret_changes() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    secret = ana.perform(lambda turn: secret_of(turn, family))
    assert secret is not None
    assert told_of(ana, family) == {"secret": secret.hex(), "name": "Family", "servers": []}
    rename(ana, family, "Relatives")
    assert (told_of(ana, family) or {})["name"] == "Relatives"
    rotate(ana, family)
    assert (told_of(ana, family) or {})["secret"] != secret.hex()
    assert versions_told(ana, family) == 3
    ana.put(family, "note", {"title": "Milk"})
    ana.restart()
    world.settle()
    assert versions_told(ana, family) == 3


def test_a_join_that_waits_is_not_told_of() -> None:
    world = World()
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    link = ana.invite(family)
    ana.go_offline()
    ben.join(link)
    world.settle()
    assert told_of(ben, family) is None
    ana.go_online()
    world.settle()
    assert told_of(ben, family) == told_of(ana, family)


def test_devices_that_see_the_same_change_write_it_once() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    others = [at_another_device(world, ana, f"ana's {number}") for number in range(3)]
    world.settle()
    assert_level(family, [ana, *others])
    before = versions_told(ana, family)
    rename(others[0], family, "Relatives")
    world.settle()
    rotate(others[1], family)
    world.settle()
    assert_level(ana.user.id, [ana, *others])
    assert versions_told(ana, family) - before == 2
    told = [told_of(device, family) for device in (ana, *others)]
    assert told == [told[0]] * 4
    assert (told[0] or {})["name"] == "Relatives"


def test_what_somebody_else_changed_is_told_by_one_of_the_devices_that_heard_of_it() -> None:
    world = World()
    family, (ben, ana) = family_of(world, "ben", "ana")
    others = [at_another_device(world, ana, f"ana's {number}") for number in range(2)]
    world.settle()
    assert_level(family, [ben, ana, *others])
    before = versions_told(ana, family)
    rotate(ben, family)
    world.settle()
    assert versions_told(ana, family) - before == 1
    # Whichever of them is there.
    for device in sorted((ana, *others), key=lambda each: each.user.device)[:2]:
        device.go_offline()
    rename(ben, family, "Relatives")
    world.settle()
    (last,) = sorted((ana, *others), key=lambda each: each.user.device)[2:]
    assert (told_of(last, family) or {})["name"] == "Relatives"


def test_devices_that_see_different_things_each_say_so_once() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    laptop = at_another_device(world, ana, "ana's laptop")
    world.settle()
    for device in (ana, laptop):
        device.go_offline()
    rotate(ana, family)
    rename(ana, family, "Relatives")
    rotate(laptop, family)
    # Each of them has the other's word on the group long before the group itself.
    before = versions_told(ana, family) + versions_told(laptop, family)
    for device in (ana, laptop):
        device.go_online()
    world.settle()
    assert_level(family, [ana, laptop])
    assert_level(ana.user.id, [ana, laptop])
    after = versions_told(ana, family) + versions_told(laptop, family)
    assert after - before <= 4
    secret = ana.perform(lambda turn: secret_of(turn, family))
    assert secret is not None
    assert told_of(laptop, family) == {"secret": secret.hex(), "name": "Relatives", "servers": []}


def test_servers_that_one_device_knows_are_learned_by_the_others() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    laptop = at_another_device(world, ana, "ana's laptop")
    world.settle()
    urls = ["https://one.example", "https://two.example"]
    ana.perform(lambda turn: profile.add_servers(turn, urls))
    world.settle()
    assert laptop.perform(profile.servers) == urls
    assert (told_of(laptop, family) or {})["servers"] == urls


def test_a_servers_new_access_token_takes_the_old_ones_place_on_all_of_a_users_devices() -> None:
    world = World()
    ana = world.device("ana")
    ana.create_group("Family")
    laptop = at_another_device(world, ana, "ana's laptop")
    ana.perform(lambda turn: profile.add_servers(turn, ["https://old@one.example"]))
    world.settle()
    now = ["https://new@one.example"]
    ana.perform(lambda turn: profile.add_servers(turn, now, instead=True))
    world.settle()
    assert ana.perform(profile.servers) == now
    assert laptop.perform(profile.servers) == now


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"secret": "ab", "name": "Family", "servers": []},
        {"secret": 7, "name": "Family", "servers": []},
        {"secret": "ab" * 32, "name": 7, "servers": []},
        {"secret": "ab" * 32, "name": "Family", "servers": "https://one.example"},
        {"secret": "ab" * 32, "name": "Family"},
    ],
)
def test_what_is_not_well_formed_is_passed_over(value: JsonObject) -> None:
    ana = World().device("ana")
    say(ana, UNKNOWN, value)
    assert ana.perform(awaited) == {}
    assert ana.perform(profile.servers) == []


def test_what_a_later_version_adds_is_kept() -> None:
    ana = World().device("ana")
    family = ana.create_group("Family")
    say(ana, family, {**(told_of(ana, family) or {}), "colour": "red"})
    rename(ana, family, "Relatives")
    told = told_of(ana, family) or {}
    assert (told["name"], told["colour"]) == ("Relatives", "red")


def test_what_stands_in_shared_groups_tells_of_nothing() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    value = {"secret": "ab" * 32, "name": "Trap", "servers": ["https://trap.example"]}
    forged = compose(
        ben.user.device_key,
        Body(
            told_id(UNKNOWN),
            family,
            OWN_GROUP_TYPE,
            ben.now().wall_ms,
            ben.user.id,
            ben.user.device,
            value,
        ),
    )
    give(ben, forged)
    world.settle()
    assert ana.get(family, told_id(UNKNOWN)) is not None
    assert ana.perform(awaited) == {}
    assert ana.perform(profile.servers) == []


# --- Groups that the user is in no more. --------------------------------------------------------


def test_a_group_that_the_user_left_is_looked_for_no_more_and_told_of_no_more() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    laptop = at_another_device(world, ben, "ben's laptop")
    world.settle()
    assert_level(family, [ana, ben, laptop])
    ben.leave(family)
    world.settle()
    before = world.server.announced.copy()
    ben.restart()
    world.settle()
    state = ben.perform(lambda turn: turn.state(family))
    assert state.membership(ben.user.id) is Membership.LEFT
    assert not [each for each in ben.perform(shared_secrets) if each.group == family]
    where = {topic for name, topic in world.server.announced - before if name == "ben"}
    assert len(where) == 1, "the personal group's"
    assert told_of(ben, family) is told_of(laptop, family) is None
    phone = at_another_device(world, ben, "ben's phone")
    world.settle()
    assert_level(ben.user.id, [ben, laptop, phone])
    assert phone.perform(awaited) == {}

"""The secret of a group changes: who slept meanwhile is met, and nobody else learns more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from peerstack import limits
from peerstack.engine import Engine, Turn
from peerstack.engine.ending import end_invite
from peerstack.engine.events import StoreChanged
from peerstack.engine.kept_secrets import remember, secret_id, secret_of, secrets_of
from peerstack.engine.secrets import shared_secrets
from peerstack.engine.writing import write_new_secret
from peerstack.groups.membership import Membership
from peerstack.ids import GroupId, as_group
from peerstack.keys import Secret
from peerstack.record import SECRET_TYPE
from peerstack.session.replica import SecretKind
from peerstack.signaling.rendezvous.boxes import topic_of
from peerstack.signaling.wire import DAY_MS
from peerstack.store import Change, Head
from peerstack.testing.device import Device
from peerstack.testing.invariants import records_in
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.simulation.people import assert_level, at_another_device, family_of, rotate
from tests.simulation.scripted import Scripted, stranger

HOUR_MS = 60 * 60 * 1000


def present_of(device: Device, group: GroupId) -> Secret:
    secret = device.perform(lambda turn: secret_of(turn, group))
    assert secret is not None
    return secret


def old_of(device: Device, group: GroupId) -> list[Secret]:
    shared = device.perform(shared_secrets)
    return [s.secret for s in shared if s.group == group and s.kind is SecretKind.OLD]


def kinds_at(device: Device, group: GroupId) -> Counter[SecretKind]:
    """How many secrets of each kind a device meets others of a group by."""
    return Counter(each.kind for each in device.perform(shared_secrets) if each.group == group)


def pairs_of(device: Device, group: GroupId) -> list[Secret]:
    shared = device.perform(shared_secrets)
    return [s.secret for s in shared if s.group == group and s.kind is SecretKind.PAIR]


def topics(world: World, *secrets: Secret) -> set[bytes]:
    """Where these secrets lead to, on any day of the world."""
    begin, now = world.wall_ms - world.now_ms, world.wall_ms
    days = range(begin // DAY_MS - 1, now // DAY_MS + 2)
    return {topic_of(secret, day) for secret in secrets for day in days}


def present_in(world: World, secret: Secret) -> int:
    """How many devices are in the most crowded of a secret's topics."""
    rooms = world.server.rooms
    return max(rooms.members(topic) for topic in topics(world, secret))


class Watch:
    """Who announces themselves under a secret from now on."""

    def __init__(self, world: World, secret: Secret) -> None:
        self._world = world
        self._secret = secret
        self._before = world.server.announced.copy()

    @property
    def heard(self) -> set[str]:
        since = self._world.server.announced - self._before
        where = topics(self._world, self._secret)
        return {name for name, topic in since if topic in where}


# --- Who slept while the secret changed. --------------------------------------------------------


def test_a_member_that_sleeps_through_three_rotations_in_as_many_months_finds_the_group() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    cleo.go_offline()
    watches: list[Watch] = []
    for _ in range(3):
        watches.append(Watch(world, rotate(ana, family)))
        world.settle()
        for device in (ana, ben):
            device.go_offline()
        world.run(30 * DAY_MS)
        for device in (ana, ben):
            device.restart()
            device.go_online()
        world.settle()
    note = ben.put(family, "note", {"title": "Milk"})
    world.settle()
    ana.go_offline()

    # Whoever is there did not write the secret itself, and began anew since.
    cleo.go_online()
    world.run(5_000)
    assert cleo.get(family, note.id) == note
    assert present_of(cleo, family) == present_of(ana, family)
    # Each of them said so under the oldest secret, and cleo alone by announcing itself there.
    assert [watch.heard for watch in watches] == [{"cleo"}, set(), set()]
    ana.go_online()
    world.settle()
    assert_level(family, [ana, ben, cleo])


def test_two_that_slept_and_found_each_other_first_are_found_by_one_that_only_listens() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    ana.go_offline()
    watch = Watch(world, rotate(ana, family))
    world.settle()
    assert len(ben.peers()) == len(cleo.peers()) == 1
    ana.restart()
    ana.go_online()
    note = ana.put(family, "note", {"title": "Milk"})
    world.run_until(lambda: cleo.get(family, note.id) is not None, within_ms=2 * HOUR_MS)
    world.settle()
    assert_level(family, [ana, ben, cleo])
    assert "ana" not in watch.heard


def test_when_everybody_has_the_present_secret_the_old_places_are_left() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    cleo.go_offline()
    old = rotate(ana, family)
    world.settle()
    assert present_in(world, old) == 2
    assert old_of(ana, family) == old_of(ben, family) == [old]

    cleo.go_online()
    world.settle()
    assert old_of(ana, family) == old_of(ben, family) == old_of(cleo, family) == []
    assert present_in(world, old) == 0
    assert present_in(world, present_of(ana, family)) == 3


def test_who_has_which_secret_is_still_known_after_a_restart() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    cleo.go_offline()
    old = rotate(ana, family)
    world.settle()
    ben.go_offline()
    ana.restart()
    cleo.go_online()
    world.settle()
    # Of ben, ana knows it from before.
    assert old_of(ana, family) == []
    # Cleo has not met ben, who may have slept like herself.
    assert old_of(cleo, family) == [old]


def test_for_a_device_that_was_removed_no_place_is_kept() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    cleo.go_offline()
    ana.remove(family, cleo.user.id)
    world.settle()
    assert cleo.user.id not in ben.members(family)
    assert old_of(ana, family) == old_of(ben, family) == []


def test_whoever_was_removed_gets_nothing_by_an_old_secret() -> None:
    world = World()
    family, (ana, ben, cleo, dan) = family_of(world, "ana", "ben", "cleo", "dan")
    for device in (cleo, dan):
        device.go_offline()
    ana.remove(family, dan.user.id)
    note = ana.put(family, "note", {"title": "Dan is gone"})
    world.settle()
    dan.go_online()
    world.run(HOUR_MS)

    # Cleo is waited for under the secret that dan knows too, so dan is met there.
    assert dan.membership(family) is Membership.REMOVED
    assert dan.get(family, note.id) is None
    assert present_of(dan, family) != present_of(ana, family)
    assert ana.is_level(family), ana.engine.levels.why_not(family)
    cleo.go_online()
    world.settle()
    assert cleo.get(family, note.id) == note
    assert_level(family, [ana, ben, cleo])


def test_a_member_with_several_devices_is_waited_for_until_all_of_them_were_met() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    other = at_another_device(world, ben, "ben's other")
    world.settle()
    assert_level(family, [ana, ben, other])
    other.go_offline()
    old = rotate(ana, family)
    world.settle()
    assert old_of(ana, family) == [old]
    ben.go_offline()
    ana.put(family, "note", {"title": "Milk"})
    other.go_online()
    world.settle()
    assert_level(family, [ana, other])
    assert old_of(ana, family) == []


# --- What counts as old. ------------------------------------------------------------------------


def test_a_secret_that_lost_to_another_before_everybody_had_it_is_old_everywhere() -> None:
    world = World()
    ana, ben, cleo = (world.device(name) for name in ("ana", "ben", "cleo"))
    family = ana.create_group("Family")
    ben.join(ana.invite(family, "admin", uses=1))
    cleo.join(ana.invite(family, uses=1))
    world.settle()
    # Two admins change the secret at once, and cleo sleeps with the one that loses.
    world.partition({ana, cleo}, {ben})
    rotate(ana, family)
    world.run(1_000)
    rotate(ben, family)
    lost = present_of(cleo, family)
    assert lost == present_of(ana, family)
    cleo.go_offline()
    world.heal()
    world.settle()
    assert present_of(ana, family) == present_of(ben, family) != lost
    assert lost in old_of(ana, family)
    assert lost in old_of(ben, family)

    ana.go_offline()
    ben.go_offline()
    world.run(60 * DAY_MS)
    for device in (ben, cleo):
        device.go_online()
    world.settle()
    assert_level(family, [ben, cleo])


def test_a_secret_that_is_live_again_is_present_and_the_one_that_fell_is_old() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    first = present_of(ana, family)
    world.server.stop()
    ana.go_offline()
    rotate(ana, family)
    second = present_of(ana, family)
    fell = ana.perform(lambda turn: turn.tx.get(family, secret_id(family)))
    (earlier,) = ana.read(lambda snapshot: snapshot.history(family, secret_id(family)))
    assert fell is not None

    def fall(turn: Turn) -> None:
        head = Head(fell.modified, fell.hash, fell.device)
        turn.tx.apply([Change(earlier, head, "local", False)], turn.now.wall_ms)
        turn.records_changed(family)
        turn.reserved_changed(family, {SECRET_TYPE}, by_me=False)

    ana.tampered = True
    ana.perform(fall)
    # That ben has the first one was known; not that he did not let go of it.
    secrets = ana.perform(lambda turn: secrets_of(turn, [family])[family])
    assert (secrets.present, secrets.old) == (first, [second])


def test_what_a_turn_that_fails_would_have_been_met_by_is_not() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    before = ana.perform(shared_secrets)

    def act(turn: Turn) -> None:
        write_new_secret(turn, family)
        assert shared_secrets(turn) != before
        raise RuntimeError("in the middle of it")

    with pytest.raises(RuntimeError, match="in the middle"):
        ana.perform(act)
    ana.create_group("Another")
    assert set(before) < set(ana.perform(shared_secrets))


def test_a_secret_that_another_process_made_is_met_by() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    other = Engine(ana.store, ana.user, SeededEntropy("other process"))
    other.perform(lambda turn: write_new_secret(turn, family), ana.now())

    ana.handle(StoreChanged())

    met = [each.secret for each in ana.perform(shared_secrets) if each.kind is SecretKind.MEMBER]
    assert present_of(ana, family) in met


def test_an_invite_that_has_expired_is_met_less_within_an_hour() -> None:
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    ana.invite(family, expires_ms=world.wall_ms + HOUR_MS)
    assert kinds_at(ana, family)[SecretKind.INVITE] == 1

    world.run(2 * HOUR_MS + 60_000)
    ana.create_group("Another")

    assert kinds_at(ana, family)[SecretKind.INVITE] == 0
    assert kinds_at(ana, family)[SecretKind.ENDED_INVITE] == 1


def test_without_a_live_secret_the_group_is_looked_for_by_the_newest_that_is_known() -> None:
    world = World()
    ana = world.device("ana")
    unknown = as_group("01J8Z0000000000000000000AB")
    secrets = [Secret(bytes([number]) * 32) for number in range(3)]
    ana.perform(lambda turn: turn.tx.add_group(unknown, 0))
    ana.perform(lambda turn: remember(turn, unknown, secrets))
    ana.go_offline()
    before = world.server.announced.copy()
    ana.restart()
    ana.go_online()
    world.run(10_000)

    where = {topic for _, topic in world.server.announced - before}
    assert where & topics(world, secrets[2])
    assert not where & topics(world, secrets[0], secrets[1])
    assert present_in(world, secrets[0]) == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_an_admin_who_changes_the_secret_very_often_strands_nobody_who_sleeps(
    restarts: bool,
) -> None:
    """The one that a sleeping member is known to have had last is kept, however many came since."""
    world = World()
    family, (ana, mallory, ben, cleo) = family_of(world, "ana", "mallory", "ben", "cleo")
    ana.set_role(family, mallory.user.id, "admin")
    [(invite, _)] = ana.perform(lambda turn: list(turn.state(family).invites()))
    ana.perform(lambda turn: end_invite(turn, family, invite.hash))
    world.settle()
    # Not even by the meeting place of the invite by which it came.
    for device in (ana, mallory, ben, cleo):
        device.go_offline()
    world.run(limits.NEWCOMER_MS + HOUR_MS)
    for device in (ana, mallory, ben, cleo):
        device.go_online()
    world.settle()
    slept_with = present_of(ben, family)
    ben.go_offline()
    world.settle()
    for _ in range(limits.OLD_SECRETS + 5):
        rotate(mallory, family)
        world.run(5_000)
    mallory.go_offline()
    ana.remove(family, mallory.user.id)
    world.settle()
    for device in (ana, cleo):
        assert slept_with in old_of(device, family)
        assert len(old_of(device, family)) == limits.OLD_SECRETS
        if restarts:
            device.restart()
    note = ana.put(family, "note", {"while": "ben slept"})
    ben.go_online()
    world.settle()

    assert ben.get(family, note.id) == note
    assert_level(family, [ana, ben, cleo])


def test_of_very_many_rotations_the_newest_are_remembered_and_what_a_member_sleeps_with() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    old = [rotate(ana, family) for _ in range(limits.OLD_SECRETS + 5)]
    assert old_of(ana, family) == [*old[: -limits.OLD_SECRETS : -1], old[0]]


def test_a_group_of_more_devices_than_are_remembered_keeps_its_old_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SECRET_HOLDERS", 1)
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    old = rotate(ana, family)
    world.settle()
    assert_level(family, [ana, ben, cleo])
    assert old_of(ana, family) == [old]


def test_who_names_a_member_whose_key_it_has_not_makes_nothing_known_of_it() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    old = rotate(ana, family)
    world.settle()
    present = present_of(ana, family)
    mallory = stranger(world)
    claimed = replace(ben.user, device_key=mallory.device_key)
    Scripted(world, ana, claimed).shake_hands().name_groups(family, present)
    world.run(1_000)
    assert old_of(ana, family) == [old]

    Scripted(world, ana, ben.user).shake_hands().name_groups(family, present)
    world.run(1_000)
    assert old_of(ana, family) == []


# --- Admins who changed the secret apart. -------------------------------------------------------


def admins_apart(world: World) -> tuple[GroupId, Device, Device]:
    """Two admins, each alone for long: no invite's meeting place is left."""
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    ben.join(ana.invite(family, "admin", uses=1))
    world.settle()
    for device in (ana, ben):
        device.go_offline()
    world.run(2 * limits.NEWCOMER_MS)
    for device in (ana, ben):
        device.restart()
    return family, ana, ben


def test_admins_who_changed_the_secret_apart_find_each_other_though_both_only_listen() -> None:
    world = World()
    family, ana, ben = admins_apart(world)
    watches = [Watch(world, rotate(device, family)) for device in (ana, ben)]
    rotate(ben, family)
    note = ben.put(family, "note", {"title": "Milk"})
    ana.go_online()
    world.run(HOUR_MS)
    ben.go_online()
    world.run(HOUR_MS)

    assert ana.get(family, note.id) == note
    assert_level(family, [ana, ben])
    assert [watch.heard for watch in watches] == [set(), set()]
    assert old_of(ana, family) == old_of(ben, family) == []
    assert not pairs_of(ana, family)


def test_who_followed_an_admin_that_was_removed_meanwhile_is_met_by_another() -> None:
    world = World()
    family, ana, ben = admins_apart(world)
    cleo, dan = world.device("cleo"), world.device("dan")
    for device in (ana, ben):
        device.go_online()
    for device in (cleo, dan):
        device.join(ana.invite(family, uses=1))
    world.settle()
    for device in (ana, cleo):
        device.go_offline()
    ana.remove(family, ben.user.id)
    ben.remove(family, cleo.user.id)
    world.settle()
    assert present_of(dan, family) == present_of(ben, family) != present_of(ana, family)
    for device in (ben, dan):
        device.go_offline()
    world.run(2 * limits.NEWCOMER_MS)
    note = ana.put(family, "note", {"title": "Ben is gone"})
    for device in (ana, dan):
        device.restart()
        device.go_online()
    world.run(HOUR_MS)
    assert dan.get(family, note.id) == note
    assert_level(family, [ana, dan])
    assert present_of(dan, family) == present_of(ana, family)


def test_places_of_two_are_kept_with_admins_and_only_while_somebody_may_lack_the_secret() -> None:
    world = World()
    family, ana, ben = admins_apart(world)
    for device in (ana, ben):
        device.go_online()
    cleo, dan = world.device("cleo"), world.device("dan")
    for device in (cleo, dan):
        device.join(ana.invite(family))
    world.settle()
    assert [pairs_of(each, family) for each in (ana, ben, cleo, dan)] == [[], [], [], []]
    for device in (ben, cleo):
        device.go_offline()
    rotate(ana, family)
    world.settle()
    # Ana looks for both, dan for ben alone, and those who know of nothing look for nobody.
    assert [len(pairs_of(each, family)) for each in (ana, ben, cleo, dan)] == [2, 0, 0, 1]
    for device in (ben, cleo):
        device.go_online()
    world.settle()
    assert [pairs_of(each, family) for each in (ana, ben, cleo, dan)] == [[], [], [], []]


def test_with_very_many_admins_a_device_keeps_few_places_of_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PAIRS_MET", 2)
    world = World()
    ana = world.device("ana")
    family = ana.create_group("Family")
    link = ana.invite(family, "admin")
    others = [world.device(f"admin {number}") for number in range(4)]
    for device in others:
        device.join(link)
    world.settle()
    for device in others:
        device.go_offline()
    rotate(ana, family)
    for device in others:
        rotate(device, family)
    met = [(device, secret) for device in (ana, *others) for secret in pairs_of(device, family)]
    assert len(met) == 2 * 5
    # They choose alike, so that who is chosen mostly chooses as well.
    assert len({secret for _, secret in met}) < len(met)


@pytest.mark.parametrize("behind_ms", [0, 8 * 60_000])
def test_who_was_removed_has_no_present_secret_although_that_of_the_removal_lost(
    behind_ms: int,
) -> None:
    """Two admins change it apart, and the one that removed somebody has the slower clock."""
    world = World()
    family, (ana, cleo, ben, dora) = family_of(world, "ana", "cleo", "ben", "dora")
    ana.set_role(family, cleo.user.id, "admin")
    world.settle()
    world.partition({ana}, {cleo, ben, dora})
    ana.skew_ms = -behind_ms
    ana.remove(family, ben.user.id)
    world.run(1_000)
    cleo.remove(family, dora.user.id)
    world.run(60_000)
    assert present_of(ben, family) == present_of(cleo, family)
    world.heal()
    world.settle()

    present = present_of(ana, family)
    assert present == present_of(cleo, family)
    assert present not in {present_of(ben, family), present_of(dora, family)}
    assert_level(family, [ana, cleo])


def test_where_who_removed_somebody_is_heard_of_no_more_another_admin_changes_the_secret() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    ana.set_role(family, cleo.user.id, "admin")
    world.settle()
    known = present_of(ben, family)
    # The device is gone before it has given anybody the secret that it made.
    ana.tongue = lambda _, data: [] if any(records_in(data)) else [data]
    ana.remove(family, ben.user.id)
    world.run(30_000)
    ana.go_offline()
    assert ben.user.id not in cleo.members(family)
    assert present_of(cleo, family) == known

    world.run(HOUR_MS // 2)
    assert present_of(cleo, family) == known
    world.run(2 * HOUR_MS)
    changed = present_of(cleo, family)
    assert changed != known
    assert present_of(ben, family) == known
    world.run(5 * HOUR_MS)
    assert present_of(cleo, family) == changed

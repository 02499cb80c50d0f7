"""Devices that share a secret find each other and connect, once, whoever comes when."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerstack import limits
from peerstack.keys import Secret
from peerstack.signaling.rendezvous import AcceptAnswer, Announce
from peerstack.signaling.rendezvous.beacon import ROUND_MS
from peerstack.signaling.rendezvous.contacts import RETRY_MOST_MS
from tests.signaling.insider import FAMILY
from tests.signaling.meeting import DAY, Device, Secrets, World, assert_all_linked, make_me, secret

HOUR_MS = 60 * 60 * 1000


def assert_one_call_per_pair(world: World, devices: Sequence[Device]) -> None:
    peers = sorted((device.me.peer for device in devices), key=lambda peer: peer.rank)
    assert sorted(world.calls, key=str) == sorted(combinations(peers, 2), key=str)


@given(
    arrival=st.integers(2, 5).flatmap(lambda count: st.permutations(range(count))),
    data=st.data(),
)
@settings(max_examples=60)
def test_all_find_each_other_with_one_call_per_pair_in_whatever_order_they_come(
    arrival: list[int], data: st.DataObject
) -> None:
    world = World()

    def choose(count: int) -> int:
        return data.draw(st.integers(0, count - 1)) if count > 1 else 0

    for number in arrival:
        world.add(make_me(number), FAMILY)
        for _ in range(data.draw(st.integers(0, 8))):
            world.step(choose)
    world.drain(choose)

    assert_all_linked(world.devices)
    assert_one_call_per_pair(world, world.devices)
    assert all(not device.rendezvous.refused for device in world.devices)


@given(seed=st.integers(0, 2**32), count=st.integers(2, 4))
@settings(max_examples=40)
def test_what_arrives_twice_late_or_out_of_order_changes_nothing_in_the_end(
    seed: int, count: int
) -> None:
    world = World(seed)
    for number in range(count):
        world.add(make_me(number), FAMILY)
    for _ in range(400):
        for (_, server), queue in world.queues.items():
            if server and queue and world.random.random() < 0.3:
                queue.append(queue[0])
                world.random.shuffle(queue)
        world.step()
    world.pass_time(HOUR_MS)

    assert_all_linked(world.devices)
    assert all(caller.rank < callee.rank for caller, callee in world.calls)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_what_is_lost_on_the_way_is_made_up_for_later(seed: int) -> None:
    world = World(seed)
    devices = [world.add(make_me(number), FAMILY) for number in range(3)]
    for _ in range(30):
        for (_, server), queue in world.queues.items():
            if server and queue and world.random.random() < 0.3:
                queue.popleft()
        world.step()
    world.add(make_me(9), FAMILY)
    for device in devices:
        world.disconnect(device)
        world.connect(device)
    world.pass_time(HOUR_MS)

    assert_all_linked(world.devices)


def test_where_all_are_linked_about_one_announces_itself_in_each_round_and_that_is_all() -> None:
    world = World()
    for number in range(5):
        world.add(make_me(number), FAMILY)
    world.drain()
    # Whoever is heard for the first time is greeted once.
    world.pass_time(24 * HOUR_MS)
    asked = len(world.asked)
    world.pass_time(24 * HOUR_MS)

    assert {type(effect) for effect in world.asked[asked:]} == {Announce}
    rounds = 24 * HOUR_MS // (ROUND_MS * 3 // 4)
    assert rounds / 2 < len(world.asked) - asked < rounds * 2
    assert_one_call_per_pair(world, world.devices)


def test_a_pair_that_shares_secrets_and_servers_makes_one_link() -> None:
    world = World()
    shared: Secrets = {"family": secret(1), "work": secret(2), "me": secret(3)}
    devices = [world.add(make_me(number, user=7), shared, "a", "b") for number in (1, 2)]
    world.pass_time(HOUR_MS)

    assert_all_linked(devices)
    assert_one_call_per_pair(world, devices)


def test_devices_on_several_servers_meet_on_the_one_that_they_share() -> None:
    world = World()
    one = world.add(make_me(1), FAMILY, "a", "b")
    two = world.add(make_me(2), FAMILY, "b", "c")
    world.add(make_me(3), FAMILY, "d")
    world.drain()

    assert one.linked == [two.me.peer]
    assert two.linked == [one.me.peer]


def test_devices_without_a_common_secret_never_meet() -> None:
    world = World()
    world.add(make_me(1), {"family": secret(1)})
    world.add(make_me(2), {"family": secret(2)})
    world.pass_time(HOUR_MS)

    assert world.calls == []
    assert world.seen == []


def test_a_device_that_reaches_one_server_by_two_names_ignores_itself() -> None:
    world = World()
    device = world.add(make_me(1), FAMILY)
    announce = next(effect for effect in world.asked if isinstance(effect, Announce))
    device.rendezvous.welcomed("alias", "another-address", DAY, world.now_ms)

    effects = device.rendezvous.announced(
        "alias", announce.topic, announce.box, device.addresses["a"], world.now_ms
    )

    assert effects == []
    assert not device.rendezvous.refused


# --- What ends, and what comes back. ------------------------------------------------------------


def test_a_link_that_broke_is_made_again() -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY) for number in (1, 2))
    world.pass_time(HOUR_MS)
    world.cut(one, two)
    world.pass_time(5_000)

    assert_all_linked([one, two])
    assert len(world.calls) == 2


def test_who_lost_a_link_is_heard_again_within_two_seconds() -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY) for number in (1, 2))
    world.drain()
    before = len(world.asked)
    world.cut(one, two)
    world.drain()
    assert not any(isinstance(effect, Announce) for effect in world.asked[before:])
    world.pass_time(2_000)

    assert sum(isinstance(effect, Announce) for effect in world.asked[before:]) == 2


def test_losing_links_often_does_not_fill_the_topic() -> None:
    world = World()
    one, *others = (world.add(make_me(number), FAMILY) for number in range(1, 9))
    world.pass_time(HOUR_MS)
    before = len(world.seen)
    for other in others:
        world.cut(one, other)
        world.pass_time(2_500)

    announced = {
        seen.box for seen in world.seen[before:] if seen.topic and seen.sender == "address-1"
    }
    assert 1 <= len(announced) <= 2


def test_a_device_that_comes_back_to_the_server_keeps_its_link() -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY) for number in (1, 2))
    world.drain()
    world.disconnect(two)
    world.connect(two)
    world.pass_time(HOUR_MS)

    assert_all_linked([one, two])
    assert len(world.calls) == 1


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_a_link_that_breaks_after_a_reconnection_is_made_by_the_new_address(
    numbers: tuple[int, int],
) -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY) for number in numbers)
    world.drain()
    world.disconnect(two)
    world.connect(two)
    world.drain()
    world.cut(one, two)
    world.pass_time(10_000)

    assert_all_linked([one, two])


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_a_device_that_restarts_is_linked_at_once_though_its_peer_believes_in_the_old_link(
    numbers: tuple[int, int],
) -> None:
    world = World()
    staying, crashing = (world.add(make_me(number), FAMILY) for number in numbers)
    world.drain()
    world.crash(crashing)
    restarted = world.add(crashing.me, FAMILY)
    world.drain()

    assert_all_linked([staying, restarted])


def test_a_link_that_is_being_opened_outlives_the_server() -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY) for number in (1, 2))
    while not any(isinstance(effect, AcceptAnswer) for effect in world.asked):
        world.step()
    for device in (one, two):
        world.disconnect(device)
    world.drain()

    assert_all_linked([one, two])


def test_a_peer_that_failed_often_and_restarts_is_called_at_once() -> None:
    world = World()
    world.is_cut = lambda one, other: True
    one, two = (world.add(make_me(number), FAMILY) for number in (1, 2))
    world.pass_time(HOUR_MS)
    world.is_cut = lambda one, other: False
    world.disconnect(two)
    world.connect(two)
    world.drain()

    assert_all_linked([one, two])


def test_who_cannot_be_reached_is_tried_less_and_less_often() -> None:
    world = World()
    world.is_cut = lambda one, other: True
    for number in (1, 2):
        world.add(make_me(number), FAMILY)
    world.pass_time(10 * 60 * 1000)
    first = len(world.calls)
    world.pass_time(HOUR_MS)
    later = len(world.calls) - first
    world.is_cut = lambda one, other: False
    world.pass_time(2 * RETRY_MOST_MS)

    assert 5 <= first <= 20
    assert later <= 2 * HOUR_MS // RETRY_MOST_MS * 2
    assert_all_linked(world.devices)


def test_an_offer_that_nobody_answers_is_abandoned_and_repeated() -> None:
    world = World()
    one = world.add(make_me(1), FAMILY)
    two = world.add(make_me(2), FAMILY)
    while len(world.calls) == 0:
        world.step()
    while world.step():
        world.queues[two.number, "a"].clear()
    assert one.linked == []
    world.pass_time(limits.DIAL_MS + 10_000)

    assert_all_linked([one, two])
    assert len(world.calls) == 2


def test_a_peer_that_is_gone_is_forgotten_and_not_called_again() -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY) for number in (1, 2))
    world.drain()
    world.vanish(two)
    world.cut(one, two)
    world.pass_time(HOUR_MS)

    assert one.linked == []
    assert len(world.calls) == 2


def test_a_peer_gone_from_one_server_is_called_by_another() -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY, "a", "b") for number in (1, 2))
    world.drain()
    world.vanish(two, "b")
    world.cut(one, two)
    world.pass_time(HOUR_MS)

    assert_all_linked([one, two])


def test_secrets_stay_out_of_what_is_printed() -> None:
    world = World()
    hidden = Secret(b"\x5e" * 32)
    devices = [world.add(make_me(number), {"family": hidden}) for number in (1, 2)]
    world.drain()

    shown = repr(world.asked) + "".join(
        repr(contact) for device in devices for contact in device.rendezvous._contacts
    )
    assert repr(hidden)[2:-1] not in shown

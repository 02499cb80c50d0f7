"""Where devices listen and announce themselves: by which secrets, on which days, how often."""

from __future__ import annotations

from collections import Counter

import pytest

from peerstack.signaling.rendezvous import Announce, JoinTopics, LeaveTopics
from peerstack.signaling.rendezvous.beacon import ROUND_MS
from peerstack.signaling.rendezvous.boxes import topic_of
from tests.signaling.insider import FAMILY
from tests.signaling.meeting import DAY, World, assert_all_linked, make_me, secret

HOUR_MS = 60 * 60 * 1000


# --- Secrets. -----------------------------------------------------------------------------------


def test_secrets_behind_the_first_are_listened_under_and_not_announced_under() -> None:
    world = World()
    rotated = world.add(make_me(1), {"family": [secret(2), secret(1)]})
    behind = world.add(make_me(2), {"family": [secret(1)]})
    world.drain()
    assert_all_linked([rotated, behind])
    world.cut(rotated, behind)
    world.pass_time(10_000)

    assert_all_linked([rotated, behind])
    told = Counter(effect.topic for effect in world.asked if isinstance(effect, Announce))
    assert told == {topic_of(secret(2), DAY): 1, topic_of(secret(1), DAY): 2}


def test_who_is_alone_is_found_in_the_end_by_those_who_only_listen() -> None:
    world = World()
    behind = world.add(make_me(2), {"family": [secret(1)]})
    rotated = world.add(make_me(1), {"family": [secret(2), secret(1)]})
    world.drain()
    assert world.calls == []
    world.pass_time(ROUND_MS + 10_000)

    assert_all_linked([rotated, behind])


def test_a_secret_that_went_and_comes_back_is_announced_under_again() -> None:
    device = World().add(make_me(1), FAMILY)
    assert not any(isinstance(effect, Announce) for effect in device.rendezvous.set_secrets({}, 0))

    effects = device.rendezvous.set_secrets(FAMILY, 0)

    assert [type(effect) for effect in effects] == [JoinTopics, Announce]


def test_a_secret_that_comes_later_is_joined_and_announced_at_once() -> None:
    world = World()
    devices = [world.add(make_me(number), {}) for number in (1, 2)]
    world.drain()
    assert world.calls == []

    for device in devices:
        world.do(device, device.rendezvous.set_secrets(FAMILY, world.now_ms))
    world.drain()

    assert_all_linked(devices)


def test_a_secret_that_goes_is_left_and_who_was_met_by_it_is_not_called_again() -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY) for number in (1, 2))
    world.drain()

    effects = one.rendezvous.set_secrets({}, world.now_ms)
    world.do(one, effects)
    world.cut(one, two)
    world.pass_time(HOUR_MS)

    assert effects == [LeaveTopics("a", tuple(topic_of(secret(1), DAY + n) for n in (-1, 0, 1)))]
    assert len(world.calls) == 1
    assert one.linked == two.linked == []


def test_a_server_that_allows_few_topics_gets_the_most_important_ones() -> None:
    device = World().add(make_me(1), {place: [secret(place)] for place in range(1, 5)})

    effects = device.rendezvous.welcomed("small", "address", DAY, 0, topics_max=8)

    joined = next(effect for effect in effects if isinstance(effect, JoinTopics))
    assert set(joined.topics) == {
        topic_of(secret(place), DAY + n) for place in (1, 2) for n in (-1, 0, 1)
    }
    assert [effect.topic for effect in effects if isinstance(effect, Announce)] == [
        topic_of(secret(1), DAY),
        topic_of(secret(2), DAY),
    ]


# --- Days. --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_devices_meet_while_the_day_changes_for_one_before_the_other(ahead: int) -> None:
    world = World()
    world.days["a"] = DAY
    first = world.add(make_me(1), FAMILY)
    world.days["a"] = DAY + ahead
    second = world.add(make_me(2), FAMILY)
    world.drain()

    assert_all_linked([first, second])


def test_a_new_day_changes_topics_and_newcomers_are_met_in_them() -> None:
    world = World()
    first = world.add(make_me(1), FAMILY)
    for day in (DAY + 1, DAY + 2):
        effects = first.rendezvous.day_changed("a", day, world.now_ms)
        world.do(first, effects)
        assert effects == [
            LeaveTopics("a", (topic_of(secret(1), day - 2),)),
            JoinTopics("a", (topic_of(secret(1), day + 1),)),
        ]
    world.days["a"] = DAY + 2
    second = world.add(make_me(2), FAMILY)
    world.drain()

    assert_all_linked([first, second])


def test_the_first_days_of_1970_have_topics_too() -> None:
    device = World().add(make_me(1), FAMILY)

    effects = device.rendezvous.welcomed("old", "address", 0, 0)

    assert effects[0] == JoinTopics("old", tuple(topic_of(secret(1), day) for day in (0, 1)))

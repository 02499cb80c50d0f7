"""Where devices listen and announce themselves: by which secrets, on which days, how often."""

from __future__ import annotations

import pytest

from peerstack.signaling.rendezvous import Announce, JoinTopics, LeaveTopics
from peerstack.signaling.rendezvous.beacon import AGAIN_PAUSE_MS, ROUND_MS, UNHEARD_MAX_MS
from peerstack.signaling.rendezvous.boxes import topic_of
from peerstack.signaling.rendezvous.contacts import LINKS_PER_PLACE
from tests.signaling.insider import FAMILY, Insider, lone
from tests.signaling.meeting import (
    DAY,
    OldSecrets,
    Secrets,
    World,
    assert_all_linked,
    make_me,
    secret,
)

HOUR_MS = 60 * 60 * 1000


# --- Secrets. -----------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_under_old_secrets_a_device_listens_answers_and_is_never_announced(
    numbers: tuple[int, int],
) -> None:
    world = World()
    rotated = world.add(make_me(numbers[0]), {"family": secret(2)}, old={"family": [secret(1)]})
    behind = world.add(make_me(numbers[1]), {"family": secret(1)})
    world.drain()
    assert_all_linked([rotated, behind])
    world.cut(rotated, behind)
    world.disconnect(rotated)
    world.connect(rotated)
    world.pass_time(HOUR_MS)

    assert_all_linked([rotated, behind])
    told = {topic for device, topic in world.announced if device is rotated}
    assert told == {topic_of(secret(2), DAY)}


@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_who_listens_is_met_by_those_who_came_before_whether_they_are_linked_or_not(
    count: int,
) -> None:
    world = World()
    behind = [world.add(make_me(10 * number), FAMILY) for number in range(1, count + 1)]
    world.pass_time(HOUR_MS)
    rotated = world.add(make_me(15), {"family": secret(2)}, old={"family": [secret(1)]})
    world.drain()
    assert rotated.linked == []
    world.pass_time(3 * ROUND_MS)

    assert set(rotated.linked) & {device.me.peer for device in behind}


def test_nobody_who_is_linked_with_a_device_keeps_it_from_being_heard() -> None:
    device = lone()
    for key in range(1, 1 + LINKS_PER_PLACE):
        Insider(5, key=key).link_up(device)
    announced = 0
    while (due_ms := device.rendezvous.next_wake_ms or 0) < 48 * HOUR_MS:
        effects = device.rendezvous.wake(due_ms)
        announced += sum(isinstance(effect, Announce) for effect in effects)

    assert 10 < announced < 48 * HOUR_MS // ROUND_MS


@pytest.mark.parametrize(("spread_ms", "within_ms"), [(0, 2_000), (9_000, 9_000), (2**40, 60_000)])
def test_a_server_that_lost_announcements_is_told_again_within_what_it_asks_for(
    spread_ms: int, within_ms: int
) -> None:
    moments = set()
    for seed in range(30):
        device = World(seed).add(make_me(1), FAMILY)
        device.rendezvous.unheard("a", spread_ms, 0)
        moments.add(due_ms := device.rendezvous.next_wake_ms or 0)

        announced = device.rendezvous.wake(due_ms)

        assert [each.topic for each in announced if isinstance(each, Announce)] == [
            topic_of(secret(1), DAY)
        ]
    assert len(moments) > 20
    assert max(moments) <= within_ms <= UNHEARD_MAX_MS


def test_a_server_that_asks_again_and_again_is_told_no_more_often_than_anybody() -> None:
    device = lone()
    announced = []
    for now_ms in range(0, 100_000, 100):
        device.rendezvous.unheard("a", 0, now_ms)
        announced += [
            now_ms for each in device.rendezvous.wake(now_ms) if isinstance(each, Announce)
        ]

    assert 5 < len(announced) <= 1 + 100_000 // AGAIN_PAUSE_MS


def test_a_server_that_is_not_connected_is_told_nothing_again() -> None:
    device = lone()
    due_ms = device.rendezvous.next_wake_ms

    assert device.rendezvous.unheard("b", 0, 0) == []
    assert device.rendezvous.next_wake_ms == due_ms


def test_a_secret_that_was_old_and_is_current_again_is_announced_under_anew() -> None:
    world = World()
    device = world.add(make_me(1), FAMILY)
    rotated: Secrets = {"family": secret(2)}
    old: OldSecrets = {"family": [secret(1)]}
    world.do(device, device.rendezvous.set_secrets(rotated, old, world.now_ms))
    world.do(device, device.rendezvous.set_secrets(FAMILY, {}, world.now_ms))

    topics = [topic for _, topic in world.announced]
    assert topics == [topic_of(secret(number), DAY) for number in (1, 2, 1)]


def test_a_secret_that_one_place_has_and_another_had_is_announced_under() -> None:
    world = World()
    world.add(make_me(1), {"work": secret(2), "family": secret(1)}, old={"work": [secret(1)]})

    assert {topic for _, topic in world.announced} == {
        topic_of(secret(number), DAY) for number in (1, 2)
    }


def test_a_secret_that_went_and_comes_back_is_announced_under_again() -> None:
    device = World().add(make_me(1), FAMILY)
    assert not any(
        isinstance(effect, Announce) for effect in device.rendezvous.set_secrets({}, {}, 0)
    )

    effects = device.rendezvous.set_secrets(FAMILY, {}, 0)

    assert [type(effect) for effect in effects] == [JoinTopics, Announce]


def test_a_secret_that_comes_later_is_joined_and_announced_at_once() -> None:
    world = World()
    devices = [world.add(make_me(number), {}) for number in (1, 2)]
    world.drain()
    assert world.calls == []

    for device in devices:
        world.do(device, device.rendezvous.set_secrets(FAMILY, {}, world.now_ms))
    world.drain()

    assert_all_linked(devices)


def test_a_secret_that_goes_is_left_and_who_was_met_by_it_is_not_called_again() -> None:
    world = World()
    one, two = (world.add(make_me(number), FAMILY) for number in (1, 2))
    world.drain()

    effects = one.rendezvous.set_secrets({}, {}, world.now_ms)
    world.do(one, effects)
    world.cut(one, two)
    world.pass_time(HOUR_MS)

    assert effects == [LeaveTopics("a", tuple(topic_of(secret(1), DAY + n) for n in (-1, 0, 1)))]
    assert len(world.calls) == 1
    assert one.linked == two.linked == []


def test_a_server_that_allows_few_topics_gets_the_most_important_ones() -> None:
    device = World().add(make_me(1), {place: secret(place) for place in range(1, 5)})

    effects = device.rendezvous.welcomed("small", "address", DAY, 0, topics_max=8)

    joined = next(effect for effect in effects if isinstance(effect, JoinTopics))
    assert set(joined.topics) == {
        topic_of(secret(place), DAY + n) for place in (1, 2) for n in (-1, 0, 1)
    }
    assert [effect.topic for effect in effects if isinstance(effect, Announce)] == [
        topic_of(secret(1), DAY),
        topic_of(secret(2), DAY),
    ]


def test_where_few_topics_are_allowed_current_secrets_come_before_all_old_ones() -> None:
    current: Secrets = {"family": secret(1), "work": secret(2)}
    old: OldSecrets = {"family": [secret(11), secret(12)], "work": [secret(21)]}
    device = World().add(make_me(1), current, old=old)

    effects = device.rendezvous.welcomed("small", "address", DAY, 0, topics_max=3 * 4)

    joined = next(effect for effect in effects if isinstance(effect, JoinTopics))
    assert set(joined.topics) == {
        topic_of(secret(number), DAY + n) for number in (1, 2, 11, 21) for n in (-1, 0, 1)
    }


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

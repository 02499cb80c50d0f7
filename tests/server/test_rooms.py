"""`rooms`: who may do what, in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack.signaling.wire import Problem, Refusal
from peerstack_server.bucket import Rate
from peerstack_server.rooms import TOPICS_PER_MESSAGE, Counts, Refused, RoomLimits, Rooms

T1, T2, T3 = (bytes([n]) * 32 for n in (1, 2, 3))
NET = "192.0.2.1"


def rooms_with(*addresses: str, **bounds: object) -> Rooms:
    rooms = Rooms(RoomLimits(**bounds))  # type: ignore[arg-type]
    for address in addresses:
        rooms.connect(address, NET, 0)
    return rooms


def refusal(act: Callable[[], object]) -> Problem:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.problem


def test_an_announcement_goes_to_everyone_else_in_the_topic_in_order_of_arrival() -> None:
    rooms = rooms_with("a", "b", "c", "d")
    for address in ("c", "a", "b"):
        rooms.join(address, [T1])
    rooms.join("d", [T2])

    assert rooms.announce("a", T1, b"box", 0) == ("c", "b")


def test_only_who_joined_a_topic_can_announce_in_it() -> None:
    rooms = rooms_with("a", "b")
    rooms.join("b", [T1])

    assert refusal(lambda: rooms.announce("a", T1, b"box", 0)).error is Refusal.NOT_JOINED


def test_after_leaving_nothing_arrives() -> None:
    rooms = rooms_with("a", "b")
    rooms.join("a", [T1])
    rooms.join("b", [T1])
    rooms.leave("b", [T1, T1, T2])

    assert rooms.announce("a", T1, b"box", 0) == ()


def test_a_signal_reaches_an_address_until_it_disconnects() -> None:
    rooms = rooms_with("a", "b")

    assert rooms.signal("a", "b", b"box", 0)
    rooms.disconnect("b")
    assert not rooms.signal("a", "b", b"box", 0)


def test_an_address_in_use_cannot_be_taken_over() -> None:
    rooms = rooms_with("a")
    rooms.join("a", [T1])

    with pytest.raises(ValueError, match="taken"):
        rooms.connect("a", "198.51.100.9", 0)
    assert rooms.announce("a", T1, b"box", 0) == ()


def test_disconnecting_twice_or_late_touches_nobody_else() -> None:
    rooms = rooms_with("old", "new")
    rooms.join("new", [T1])
    rooms.disconnect("old")
    rooms.disconnect("old")

    assert rooms.counts() == Counts(connections=1, topics=1, networks=1)


def test_too_many_topics_are_refused_whole() -> None:
    rooms = rooms_with("a", topics_per_connection=2)
    rooms.join("a", [T1, T1])

    assert refusal(lambda: rooms.join("a", [T2, T3])).error is Refusal.TOO_MANY_TOPICS
    assert rooms.counts().topics == 1
    rooms.join("a", [T1, T2])


def test_a_full_topic_is_refused_whole_and_others_stay_open() -> None:
    rooms = rooms_with("a", "b", members_per_topic=1)
    rooms.join("a", [T1])

    assert refusal(lambda: rooms.join("b", [T2, T1])).error is Refusal.TOPIC_FULL
    rooms.join("b", [T2])


def test_connections_are_bounded_in_all() -> None:
    rooms = rooms_with("a", connections=1)

    assert refusal(lambda: rooms.connect("b", "198.51.100.9", 0)).error is Refusal.FULL
    rooms.disconnect("a")
    rooms.connect("b", "198.51.100.9", 0)


def test_connections_are_bounded_per_network_and_others_are_not_affected() -> None:
    rooms = rooms_with("a", connections_per_network=1)

    assert refusal(lambda: rooms.connect("b", NET, 0)).error is Refusal.TOO_MANY_CONNECTIONS
    rooms.connect("c", "198.51.100.9", 0)


def test_messages_are_bounded_per_connection_and_come_back_with_time() -> None:
    rooms = rooms_with("a", "b", messages=Rate(per_second=10, burst=1))
    rooms.spend("a", 0)

    assert refusal(lambda: rooms.spend("a", 0)).wait_ms == 100
    rooms.spend("b", 0)
    rooms.spend("a", 100)


def test_topics_that_are_entered_count_for_their_connection_and_its_network() -> None:
    rates = {"messages": Rate(10, burst=2), "network_messages": Rate(1, burst=2 + 3)}
    rooms = rooms_with("a", "b", **rates)
    rooms.spend_topics("a", 2 * TOPICS_PER_MESSAGE, 0)

    assert refusal(lambda: rooms.spend_topics("a", TOPICS_PER_MESSAGE, 0)).wait_ms == 100
    rooms.spend_topics("b", TOPICS_PER_MESSAGE, 0)
    assert refusal(lambda: rooms.spend_topics("b", TOPICS_PER_MESSAGE, 0)).wait_ms == 1_000


def test_many_connections_of_one_network_share_its_rate() -> None:
    rooms = rooms_with("a", "b", network_messages=Rate(per_second=1, burst=4))
    rooms.connect("far", "198.51.100.9", 0)
    rooms.spend("a", 0)
    rooms.spend("b", 0)

    assert refusal(lambda: rooms.spend("b", 0)).error is Refusal.TOO_FAST
    rooms.spend("far", 0)


def test_reconnecting_does_not_refill_the_bucket_of_a_network() -> None:
    rooms = rooms_with("a", network_messages=Rate(per_second=1, burst=2))
    rooms.spend("a", 0)
    rooms.disconnect("a")

    assert refusal(lambda: rooms.connect("b", NET, 0)).error is Refusal.TOO_FAST


def test_one_network_can_make_the_server_send_only_so_much() -> None:
    rate = Rate(per_second=1_000, burst=2_000)
    rooms = rooms_with("a", "b", "c", network_relayed_bytes=rate)
    for address in ("a", "b", "c"):
        rooms.join(address, [T1])
    rooms.announce("a", T1, bytes(1_000), 0)

    assert refusal(lambda: rooms.announce("a", T1, bytes(1_000), 0)).wait_ms == 2_000
    assert rooms.announce("a", T1, bytes(1_000), 2_000) == ("b", "c")


def test_what_goes_to_another_process_counts_once_however_many_it_reaches_there() -> None:
    rooms = rooms_with("a", network_relayed_bytes=Rate(per_second=1_000, burst=2_000))
    rooms.join("a", [T1])
    rooms.announce("a", T1, bytes(1_000), 0, copies=1)
    assert not rooms.signal("a", "nobody here", bytes(1_000), 0, copies=1)

    assert refusal(lambda: rooms.announce("a", T1, bytes(1), 0, copies=1)).wait_ms == 1


def test_a_network_makes_no_process_send_more_from_elsewhere_than_from_here() -> None:
    rooms = rooms_with("b", "c", network_relayed_bytes=Rate(per_second=1_000, burst=3_000))
    for address in ("b", "c"):
        rooms.join(address, [T1])

    assert rooms.announce_from_elsewhere("198.51.100.9", T1, bytes(1_000), 0) == ("b", "c")
    assert rooms.announce_from_elsewhere("198.51.100.9", T2, bytes(1_000), 0) == ()
    again = refusal(lambda: rooms.announce_from_elsewhere("198.51.100.9", T1, bytes(1_000), 0))
    assert (again.error, again.wait_ms) == (Refusal.TOO_FAST, 1_000)
    assert rooms.announce_from_elsewhere("203.0.113.1", T1, bytes(1_000), 0) == ("b", "c")
    rooms.connect("d", "198.51.100.9", 0)
    rooms.join("d", [T1])
    assert refusal(lambda: rooms.announce("d", T1, bytes(1_000), 0)).error is Refusal.TOO_FAST


def test_who_leaves_a_topic_to_nobody_is_told_which() -> None:
    rooms = rooms_with("a", "b")
    rooms.join("a", [T1, T2, T3])
    rooms.join("b", [T2])

    assert rooms.leave("a", [T1, T2, T1]) == [T1]
    assert rooms.disconnect("a") == [T3]
    assert rooms.disconnect("a") == []
    assert rooms.disconnect("b") == [T2]


def test_a_box_over_the_bound_is_refused() -> None:
    rooms = rooms_with("a", "b", box_bytes=10)

    assert refusal(lambda: rooms.signal("a", "b", bytes(11), 0)).error is Refusal.TOO_LARGE
    assert rooms.signal("a", "b", bytes(10), 0)


def test_networks_that_went_away_are_forgotten_once_their_buckets_are_full() -> None:
    rooms = Rooms()
    for number in range(3_000):
        rooms.connect("a", f"network {number}", number * 1_000)
        rooms.disconnect("a")

    assert rooms.counts().networks <= 1_024


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["connect", "disconnect", "join", "leave"]),
        st.sampled_from("abc"),
        st.sets(st.sampled_from([T1, T2, T3])),
    ),
    max_size=40,
)


@given(_STEPS)
def test_membership_equals_a_naive_model(steps: list[tuple[str, str, set[bytes]]]) -> None:
    rooms, model = Rooms(), dict[str, set[bytes]]()
    for action, address, topics in steps:
        if action == "connect" and address not in model:
            rooms.connect(address, NET, 0)
            model[address] = set()
        elif action == "disconnect":
            rooms.disconnect(address)
            model.pop(address, None)
        elif action == "join" and address in model:
            rooms.join(address, topics)
            model[address] |= topics
        elif action == "leave" and address in model:
            rooms.leave(address, topics)
            model[address] -= topics

    assert rooms.counts().topics == len(set().union(*model.values()))
    for address, joined in model.items():
        for topic in joined:
            others = {a for a, t in model.items() if topic in t} - {address}
            assert set(rooms.announce(address, topic, b"box", 0)) == others

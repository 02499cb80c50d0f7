"""What bringing a large group level costs: round trips, bytes, SQL statements."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from benchmarks.flights import Event, round_trips
from peerstack.ids import GroupId
from peerstack.record import Record, Signed
from peerstack.session.wire import TAG_BYTES, Groups, Message, decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.world import Sent, World
from tests.simulation.big import large_family, take_away
from tests.store.watching import trace

LATENCY_MS = 10
MARK_MS = 4_000
"""Earlier than that after they came to be level, no device says in its mark that it is."""

ITEM_BYTES = 32 + 32
"""A key, 6 bytes of time and an id, and a hash."""

NAME_BYTES = TAG_BYTES + 2
"""How a side names a group, or an open invite into it."""

Family = tuple[World, GroupId, Device, Device]


@pytest.fixture(scope="module")
def family() -> Family:
    large = world, _, ana, ben = large_family(100_000)
    meet(world, ana, ben)  # They say in their marks that they are level, once.
    return large


def meet(world: World, ana: Device, ben: Device) -> list[Sent]:
    """Have two devices connect and come level; what they said behind the handshake."""
    before = len(world.sent)
    ana.go_online()
    ben.go_online()
    world.run(30_000)
    said = [sent for sent in world.sent[before:] if sent.kind not in ("Hello", "Proof")]
    ana.go_offline()
    ben.go_offline()
    world.run(30_000)
    return said


def before_marks(said: Sequence[Sent]) -> list[Sent]:
    """What brought them level: that they are is said some seconds later, and costs of its own."""
    shown_ms = min(sent.at_ms for sent in said if sent.kind == "Level")
    return [sent for sent in said if sent.at_ms < shown_ms + MARK_MS]


def messages(said: Sequence[Sent]) -> list[Message]:
    return [decode_untrusted(sent.data) for sent in said]


def bytes_of(said: Sequence[Sent]) -> int:
    return sum(len(sent.data) for sent in said)


def events_of(said: Sequence[Sent]) -> Iterator[Event]:
    """Each message twice: when it was sent, and when it came."""
    for sent, message in zip(said, messages(said), strict=True):
        yield Event(sent.at_ms, True, sent.sender, sent.receiver, message)
        yield Event(sent.at_ms + LATENCY_MS, False, sent.sender, sent.receiver, message)


def round_trips_by_the_clock(said: Sequence[Sent]) -> float:
    """From the first level sent to the last record delivered."""
    shown_ms = min(sent.at_ms for sent in said if sent.kind == "Level")
    delivered_ms = max(sent.at_ms for sent in said if sent.kind == "Batch") + LATENCY_MS
    return (delivered_ms - shown_ms) / (2 * LATENCY_MS)


def differing_bytes(versions: Sequence[Signed]) -> int:
    return sum(len(each.body) + len(each.signature) + ITEM_BYTES for each in versions)


def test_level_devices_find_that_out_in_one_round_trip_and_200_bytes(family: Family) -> None:
    world, _, ana, ben = family
    said = meet(world, ana, ben)
    assert sorted(sent.kind for sent in said) == ["Groups", "Groups", "Level", "Level"]
    assert round_trips(events_of(said), LATENCY_MS) == 1
    # The user's own group, the family, and the invite into it, which is open.
    named = [len(message.tags) for message in messages(said) if isinstance(message, Groups)]
    assert named == [3, 3]
    assert bytes_of(said) - 2 * NAME_BYTES < 200


def test_a_hundred_records_that_one_lacks_take_three_round_trips(family: Family) -> None:
    _, group, ana, ben = family
    lacking = random.Random(1).sample(ana.find(group, "note"), 100)
    take_away(ben.store, group, lacking)
    check_the_costs(family, lacking)


def test_a_hundred_edits_on_one_side_take_three_round_trips(family: Family) -> None:
    _, group, ana, ben = family
    chosen = random.Random(2).sample(ana.find(group, "note"), 100)
    edited = [ben.update(group, each.id, {"title": "new"}) for each in chosen]
    check_the_costs(family, edited)


def test_fifty_edits_on_either_side_take_three_round_trips(family: Family) -> None:
    _, group, ana, ben = family
    chosen = random.Random(3).sample(ana.find(group, "note"), 100)
    edited = [ana.update(group, each.id, {"title": "new"}) for each in chosen[:50]]
    edited += [ben.update(group, each.id, {"title": "new"}) for each in chosen[50:]]
    check_the_costs(family, edited)


def check_the_costs(family: Family, differing: Sequence[Record]) -> None:
    world, group, ana, ben = family
    said = before_marks(meet(world, ana, ben))
    ids = [each.id for each in differing]
    versions = list(ana.read(lambda snapshot: snapshot.live(group, ids)).values())
    assert {each.hash for each in versions} == {each.hash for each in differing}
    assert versions == list(ben.read(lambda snapshot: snapshot.live(group, ids)).values())
    trips = round_trips(events_of(said), LATENCY_MS)
    assert trips == round_trips_by_the_clock(said) <= 3
    assert bytes_of(said) <= 2.5 * differing_bytes(versions)


def test_the_number_of_sql_statements_of_a_no_op_does_not_grow_with_the_group(
    family: Family,
) -> None:
    def statements(world: World, group: GroupId, ana: Device, ben: Device) -> tuple[int, int]:
        for device in (ana, ben):
            device.put(group, "note", {"title": f"by {device.name}"})
        meet(world, ana, ben)  # What is kept in memory is the same in both worlds from here on.
        traces = trace(ana.store._writer), trace(ben.store._writer)
        meet(world, ana, ben)
        return len(traces[0]), len(traces[1])

    assert statements(*family) == statements(*large_family(1_000))

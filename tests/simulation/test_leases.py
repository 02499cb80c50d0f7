"""What several peers have comes from one of them, and none keeps the others waiting for long."""

from __future__ import annotations

from collections import Counter

import pytest

from peerstack.engine.leases import Leases
from peerstack.ids import GroupId, as_group
from peerstack.ports import Instant
from peerstack.signaling.rendezvous import Link
from peerstack.testing.device import Device
from peerstack.testing.invariants import records_in
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of, live

NAMES = ("ana", "ben", "cy", "di", "eva", "fay")


def came_to(world: World, receiver: Device, since: int) -> Counter[bytes]:
    """How often each version was sent to a device."""
    return Counter(
        signed.hash
        for sent in world.sent[since:]
        if sent.receiver == receiver.name
        for signed in records_in(sent.data)
    )


@pytest.mark.parametrize("count", [3, 200, 3_000])
def test_a_device_that_comes_back_is_sent_what_it_lacks_once_though_many_have_it(
    count: int,
) -> None:
    world = World(count)
    family, devices = family_of(world, *NAMES)
    ana, fay = devices[0], devices[-1]
    ana.put(family, "note", {"before": True})
    world.settle()
    fay.go_offline()
    ana.put_many(family, "note", [{"n": n} for n in range(count)])
    world.settle()
    since = len(world.sent)
    fay.go_online()
    world.settle()

    assert_level(family, devices)
    assert len(fay.peers()) == len(devices) - 1
    came = came_to(world, fay, since)
    assert set(came.values()) == {1}
    # The others' marks came too, once each.
    assert len(came.keys() & {note.hash for note in ana.find(family, "note")}) == count


def test_peers_that_bring_nothing_keep_the_others_waiting_for_seconds() -> None:
    world = World(1)
    family, (ana, *liars, fay) = family_of(world, *NAMES)
    fay.go_offline()
    ana.put_many(family, "note", [{"n": n} for n in range(200)])
    world.settle()
    for liar in liars:
        liar.tongue = lambda _, data: [] if any(records_in(data)) else [data]
    fay.go_online()
    world.run_until(lambda: len(fay.peers()) == 5)
    world.run((len(liars) + 1) * 5_000)

    assert live(fay, family) == live(ana, family)


def test_when_the_peer_that_was_bringing_a_group_level_is_gone_another_goes_on() -> None:
    world = World(2)
    family, (ana, ben, cy) = family_of(world, *NAMES[:3])
    cy.go_offline()
    ana.put_many(family, "note", [{"n": n} for n in range(2_000)])
    world.settle()
    since = len(world.sent)
    cy.go_online()
    world.run_until(lambda: len(came_to(world, cy, since)) > 500)
    (first,) = {sent.sender for sent in world.sent[since:] if any(records_in(sent.data))}
    world.devices[first].go_offline()
    other = next(each for each in (ana, ben) if each.name != first)
    world.settle()

    assert_level(family, [other, cy])
    assert cy.engine.refusals() == {}


def test_a_peer_that_drips_keeps_the_others_waiting_for_a_minute_at_most() -> None:
    leases, group = Leases(), as_group("0" * 26)
    dripping, waiting = Link(1), Link(2)
    assert leases.take(group, dripping, at(0))
    for second in range(1, 60):
        leases.renew(dripping, at(second))
        assert not leases.take(group, waiting, at(second))
        assert leases.pass_on(at(second), is_brought=always) == []
    assert leases.next_wake_ms == at(60).mono_ms
    leases.renew(dripping, at(60))
    assert leases.pass_on(at(60), is_brought=always) == [group]
    assert leases.next_wake_ms is None
    assert leases.take(group, waiting, at(60))
    assert not leases.take(group, dripping, at(61))


def at(second: int) -> Instant:
    return Instant(mono_ms=1_000 * second, wall_ms=0)


def always(link: Link, group: GroupId) -> bool:
    return True

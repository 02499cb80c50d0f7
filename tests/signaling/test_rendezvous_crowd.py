"""Where many meet, each has a few links, all hang together, and nobody is crowded out."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from peerstack import limits
from peerstack.errors import Reason
from peerstack.signaling.rendezvous import Abandon, Link, MakeAnswer, MakeOffer, Me, Peer, SignalTo
from peerstack.signaling.rendezvous.boxes import Echo
from peerstack.signaling.rendezvous.contacts import LINKS_PER_PLACE
from tests.signaling.insider import FAMILY, Insider
from tests.signaling.meeting import Device, Secrets, World, make_me, secret

HOUR_MS = 60 * 60 * 1000


def is_connected(devices: Sequence[Device]) -> bool:
    links = {device.me.peer: device.linked for device in devices}
    reached: set[Peer] = set()
    waiting = [devices[0].me.peer]
    while waiting:
        peer = waiting.pop()
        if peer not in reached:
            reached.add(peer)
            waiting += links[peer]
    return len(reached) == len(devices)


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_hangs_together_with_few_links_each(seed: int) -> None:
    world = World(seed)
    numbers = world.random.sample(range(1, 1_000), 40)
    for number in numbers:
        world.add(make_me(number), FAMILY)
        for _ in range(world.random.randrange(100)):
            world.step()
    world.pass_time(HOUR_MS)

    assert is_connected(world.devices)
    assert all(1 <= len(device.linked) <= LINKS_PER_PLACE for device in world.devices)
    assert all(len(set(device.linked)) == len(device.linked) for device in world.devices)
    calls = len(world.calls)
    world.pass_time(HOUR_MS)
    assert len(world.calls) == calls, "a crowd at rest makes no calls"


def test_a_newcomer_to_a_crowd_is_let_in_whatever_its_place_in_the_order() -> None:
    world = World()
    for number in range(2, 32):
        world.add(make_me(number), FAMILY)
    world.pass_time(60_000)
    for number in (1, 99):
        newcomer = world.add(make_me(number), FAMILY)
        world.pass_time(60_000)
        assert len(newcomer.linked) >= limits.PEERS_PER_GROUP // 2


def test_own_devices_come_first_in_a_crowd() -> None:
    world = World()
    for number in range(30):
        world.add(make_me(number), FAMILY)
    world.pass_time(60_000)
    own: list[Me] = [make_me(number, user=5) for number in (40, 50, 60, 70)]
    devices = [world.add(me, FAMILY) for me in own]
    world.pass_time(60_000)

    for device in devices:
        assert {me.peer for me in own} - {device.me.peer} <= set(device.linked)


def test_halves_of_a_crowd_that_met_apart_become_one() -> None:
    world = World()
    halves = {"a": range(20, 0, -2), "b": range(1, 20, 2)}
    for server, numbers in halves.items():
        for number in numbers:
            world.add(make_me(number), FAMILY, server)
    world.pass_time(60_000)
    for device in world.devices[10:]:
        world.connect(device, "a")
        world.drain()
    world.pass_time(HOUR_MS)

    assert is_connected(world.devices)


@pytest.mark.parametrize("bridge", [0, 50, 999])
def test_crowds_on_two_servers_hang_together_by_one_device_on_both(bridge: int) -> None:
    world = World()
    between = world.add(make_me(bridge), FAMILY, "a")
    for number in range(1, 25):
        world.add(make_me(number), FAMILY, "a")
        world.add(make_me(100 + number), FAMILY, "b")
    world.pass_time(60_000)
    world.connect(between, "b")
    world.pass_time(HOUR_MS)

    assert is_connected(world.devices)


# --- Bounds. --------------------------------------------------------------------------------------


def hub_with(world: World, *numbers: int) -> tuple[Device, dict[int, Link]]:
    """A device, number 50 of user 7, and its links with others."""
    hub = world.add(make_me(50, user=7), FAMILY)
    return hub, {number: Insider(number).link_up(hub) for number in numbers}


@pytest.mark.parametrize(("number", "is_let_in"), [(49, True), (5, False)])
def test_a_device_with_all_links_that_fit_makes_way_for_its_neighbour_in_the_order_alone(
    number: int, is_let_in: bool
) -> None:
    hub, links = hub_with(World(), 80, *range(20, 19 + LINKS_PER_PLACE))
    newcomer = Insider(number)
    newcomer.announce(hub)

    effects = newcomer.describe(hub)

    # 80 is the oldest, but follows 50 in the order; 20 follows 80 and is nothing to 50.
    assert [each for each in effects if isinstance(each, Abandon)] == (
        [Abandon(links[20])] if is_let_in else []
    )
    assert any(isinstance(each, MakeAnswer) for each in effects) is is_let_in
    assert hub.rendezvous.refused == ({} if is_let_in else {Reason.TOO_MANY: 1})


def test_a_device_with_all_links_that_fit_makes_way_for_who_sees_it_alone_on_a_server() -> None:
    world = World()
    hub, links = hub_with(world, 80, *range(20, 19 + LINKS_PER_PLACE))
    world.connect(hub, "b")
    newcomer = Insider(5, server="b")

    effects = newcomer.announce(hub) + newcomer.describe(hub)

    assert [type(effect) for effect in effects] == [Abandon, SignalTo, MakeAnswer]
    assert effects[0] == Abandon(links[20])


def test_a_device_with_all_links_that_fit_still_renews_one_that_it_has() -> None:
    hub, links = hub_with(World(), 80, *range(20, 19 + LINKS_PER_PLACE))
    restarted = Insider(22)

    link = restarted.link_up(hub)

    assert link not in links.values()
    assert not hub.rendezvous.refused


def test_a_device_that_asked_for_a_call_has_room_for_it() -> None:
    hub, _ = hub_with(World(), *range(20, 19 + LINKS_PER_PLACE))
    late = Insider(5)
    nonce = late.learn(late.announce(hub)).nonce
    late.greet(hub, Echo(nonce, 1, wants=True))
    assert hub.rendezvous.next_wake_ms is not None

    assert [type(effect) for effect in late.describe(hub, number=2)] == [MakeAnswer]


@pytest.mark.parametrize(("user", "is_called"), [(7, True), (8, False)])
def test_a_device_with_links_enough_calls_own_devices_alone(user: int, is_called: bool) -> None:
    hub, _ = hub_with(World(), *range(51, 51 + limits.PEERS_PER_GROUP))

    effects = Insider(90, user=user).announce(hub)

    assert any(isinstance(effect, MakeOffer) for effect in effects) is is_called


def test_a_flood_of_made_up_devices_crowds_out_nobody_of_another_place() -> None:
    world = World()
    places: Secrets = {"family": secret(1), "work": secret(2)}
    victim = world.add(make_me(10), places)
    colleague = world.add(make_me(20), {"work": secret(2)})
    world.drain()
    world.cut(victim, colleague)
    world.drain()
    for number in range(limits.KNOWN_PEERS + 10):
        insider = Insider(1_000 + number)
        insider.announce(victim)

    known = [contact.peer for contact in victim.rendezvous._contacts]
    assert len(known) == limits.KNOWN_PEERS
    assert colleague.me.peer in known


def test_a_flood_of_offers_begins_only_so_many_links() -> None:
    victim = World().add(make_me(5_000), FAMILY)
    answers = 0
    for number in Random(1).sample(range(1_000, 4_000), 100):
        insider = Insider(number)
        insider.announce(victim)
        answers += sum(isinstance(effect, MakeAnswer) for effect in insider.describe(victim))

    under_way = [contact for contact in victim.rendezvous._contacts if contact.attempt]
    assert 1 <= answers <= len(under_way) + 4
    assert len(under_way) <= 2 * limits.PEERS_PER_GROUP


def test_no_more_links_are_under_way_over_all_places_than_the_bound() -> None:
    numbers = range(1, 120)
    places: Secrets = {number: secret(number) for number in numbers}
    world = World()
    victim = world.add(make_me(10), places)
    for number in numbers:
        world.add(make_me(100 + number), {number: secret(number)})
    most = 0
    # The queue that began last goes first, so that links are begun before others are finished.
    while world.step(choose=lambda count: count - 1):
        most = max(most, victim.rendezvous._contacts.under_way())

    assert most == limits.LINKS_UNDER_WAY
    assert len(victim.linked) == len(places)

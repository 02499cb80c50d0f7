"""What it costs two devices that are level to find that out: SQL statements, by groups."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from peerstack.engine import Engine, effects, events
from peerstack.groups.membership import Membership
from peerstack.keys import Hash
from peerstack.ports import Instant
from peerstack.session.wire import Proof, decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.ends import remove
from tests.simulation.people import family_of
from tests.store.watching import trace


class Ran(NamedTuple):
    """How many SQL statements both devices ran."""

    at_proof: int
    """In the two turns in which each learns who the other is, and names its groups."""
    after: int
    """In all turns behind those, in which further messages came."""


def no_op(groups: int, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Have two devices meet that share some groups, and are level in all of them."""
    world = World(seed=7)
    ana, ben = world.device("ana"), world.device("ben")
    shared = [ana.create_group(f"Group {number}") for number in range(groups)]
    for group in shared:
        ben.join(ana.invite(group))
        ana.put_many(group, "note", [{"n": n} for n in range(10)])
    world.settle()
    ben.go_offline()
    world.run(1_000)
    ben.restart()
    # What the world asks of stores, to check its invariants, is no cost of a device.
    ran = {device.engine: trace(device.store._writer) for device in (ana, ben)}
    at_proof: list[int] = []
    after: list[int] = []
    handle = Engine.handle

    def counting(engine: Engine, event: events.Event, now: Instant) -> list[effects.Effect]:
        before = len(ran[engine])
        wanted = handle(engine, event, now)
        if isinstance(event, events.PeerSent):
            is_proof = isinstance(decode_untrusted(event.data), Proof)
            (at_proof if is_proof else after).append(len(ran[engine]) - before)
        return wanted

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "handle", counting)
        ben.go_online()
        world.settle()

    assert all(device.is_level(group) for device in (ana, ben) for group in shared)
    assert len(at_proof) == 2
    return Ran(sum(at_proof), sum(after))


def test_a_no_op_costs_a_few_statements_for_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = no_op(1, monkeypatch), no_op(9, monkeypatch)

    assert many.at_proof == few.at_proof <= 20
    assert few.after <= 24
    assert many.after - few.after <= 8 * 20


def test_what_a_message_costs_does_not_grow_with_other_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    four, eight = no_op(4, monkeypatch), no_op(8, monkeypatch)

    # Twice as many messages, each of which costs what it did.
    assert eight.after <= 2 * four.after


def to_share_one_more(groups: int) -> int:
    """SQL statements of two devices that share some groups, and then one more."""
    world = World(seed=7)
    ana, ben = world.device("ana"), world.device("ben")
    for number in range(groups):
        ben.join(ana.invite(ana.create_group(f"Group {number}")))
    world.settle()
    ran = [trace(device.store._writer) for device in (ana, ben)]
    ben.join(ana.invite(ana.create_group("One more")))
    world.settle()
    return sum(map(len, ran))


def test_what_a_further_group_costs_does_not_grow_with_the_groups_that_are_there() -> None:
    # When all is quiet, the world looks at each group of each device once, by ten statements.
    looked_at = (12 - 4) * 2 * 10
    assert to_share_one_more(12) <= to_share_one_more(4) + looked_at


def asked_of_ends(device: Device) -> int:
    """How often a device that is told nothing new in ten turns looks at ends."""
    ran = trace(device.store._writer)
    for _ in range(10):
        device.handle(events.Woke())
    return sum("ends heard of" in sql for sql in ran)


def test_an_end_whose_seal_never_comes_costs_nothing_in_turns_that_bring_no_statements() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    ana.set_role(family, cleo.user.id, "admin")
    world.settle()

    remove(ana, family, ben.user.id, [Hash(bytes(32))], sealed=False)
    world.run(10_000)

    assert cleo.membership(family) is Membership.MEMBER
    assert ben.user.id not in cleo.members(family)
    assert asked_of_ends(cleo) == 0


def test_an_end_that_an_earlier_one_replaced_costs_nothing_either() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    ana.set_role(family, cleo.user.id, "admin")
    world.settle()
    cleo.go_offline()
    world.run(1_000)
    remove(cleo, family, ben.user.id)
    world.run(1_000)
    remove(ana, family, ben.user.id, [Hash(bytes(32))], sealed=False)
    world.run(1_000)
    cleo.go_online()
    world.run(10_000)

    assert asked_of_ends(ana) == 0

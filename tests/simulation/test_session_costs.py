"""What it costs two devices that are level to find that out: SQL statements, by groups."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from peerstack.engine import events
from peerstack.session.wire import Proof, decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.world import World
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
    ran = {device: trace(device.store._writer) for device in (ana, ben)}
    at_proof: list[int] = []
    after: list[int] = []
    handle = Device.handle

    def counting(device: Device, event: events.Event) -> None:
        before = len(ran[device])
        handle(device, event)
        if isinstance(event, events.PeerSent):
            is_proof = isinstance(decode_untrusted(event.data), Proof)
            (at_proof if is_proof else after).append(len(ran[device]) - before)

    with monkeypatch.context() as patch:
        patch.setattr(Device, "handle", counting)
        ben.go_online()
        world.settle()

    assert all(device.is_level(group) for device in (ana, ben) for group in shared)
    assert len(at_proof) == 2
    return Ran(sum(at_proof), sum(after))


def test_a_no_op_costs_a_few_statements_for_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = no_op(1, monkeypatch), no_op(9, monkeypatch)

    assert few.at_proof <= 25
    assert many.at_proof - few.at_proof <= 8 * 5
    assert few.after <= 24
    assert many.after - few.after <= 8 * 20


def test_what_a_message_costs_does_not_grow_with_other_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    four, eight = no_op(4, monkeypatch), no_op(8, monkeypatch)

    # Twice as many messages, each of which costs what it did.
    assert eight.after <= 2 * four.after

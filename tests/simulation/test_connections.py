"""What becomes of connections that idle, fall silent, or are replaced."""

from __future__ import annotations

from peerstack import limits
from peerstack.ids import GroupId
from peerstack.testing.conditions import Conditions
from peerstack.testing.device import Device
from peerstack.testing.world import World


def family_of_two(world: World) -> tuple[Device, Device, GroupId]:
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    ben.join(ana.invite(family))
    world.settle()
    return ana, ben, family


def test_an_edit_after_hours_of_silence_goes_over_the_same_connection() -> None:
    world = World()
    ana, ben, family = family_of_two(world)
    world.run(3 * 60 * 60 * 1000)
    before = len(world.sent)
    note = ana.put(family, "note", {"title": "Milk"})
    world.run(1_000)
    assert ben.get(family, note.id) == note
    assert world.traffic(before)["Hello"] == 0
    assert ana.hangups == ben.hangups == []


def test_a_peer_that_never_answers_is_hung_up_on_when_its_time_is_over() -> None:
    world = World()
    ana, _, family = family_of_two(world)
    world.run(limits.ANSWER_MS)
    world.conditions = Conditions(latency_ms=(10 * limits.ANSWER_MS, 10 * limits.ANSWER_MS))
    ana.put(family, "note", {"title": "Milk"})
    world.run(limits.ANSWER_MS - 1)
    assert ana.hangups == []
    ana.put(family, "note", {"title": "Oat milk"})
    world.run(1)
    assert ana.hangups == ["timeout: the peer fell silent"]


def test_a_connection_that_a_newer_one_replaced_is_forgotten() -> None:
    world = World()
    ana, ben, family = family_of_two(world)
    world.conditions = Conditions(notice_ms=(1, 600_000))
    for _ in range(5):
        world.partition({ana}, {ben})
        world.run(30_000)
        world.heal()
        world.run(60_000)
    world.settle()
    assert len(ana.engine.peers) == len(ben.engine.peers) == 1
    assert ana.is_level(family)
    assert ben.is_level(family)

"""What two who are not both members say to each other of a group: each statement once."""

from __future__ import annotations

from collections import Counter

import pytest

from peerstack import limits
from peerstack.groups.membership import Membership
from peerstack.keys import Hash
from peerstack.testing.device import Device
from peerstack.testing.invariants import statements_in
from peerstack.testing.world import Sent, World
from tests.simulation.people import family_of


def between(world: World, one: Device, other: Device, since: int) -> list[Sent]:
    both = {one.name, other.name}
    return [sent for sent in world.sent[since:] if {sent.sender, sent.receiver} == both]


def told(messages: list[Sent]) -> Counter[Hash]:
    """How often each statement was said, by either side."""
    return Counter(each.hash for sent in messages for each in statements_in(sent.data))


def test_who_was_away_is_told_once_why_it_is_in_no_more() -> None:
    world = World(1)
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    ana.remove(family, ben.user.id)
    world.settle()
    since = len(world.sent)
    ben.go_online()
    world.settle()

    assert ben.membership(family) is Membership.REMOVED
    said = told(between(world, ana, ben, since))
    assert said
    assert set(said.values()) == {1}


def test_who_has_left_is_shown_that_it_is_known() -> None:
    """Though it has shown its leave itself: before, it goes on looking for somebody to tell."""
    world = World(1)
    family, (ana, ben) = family_of(world, "ana", "ben")
    since = len(world.sent)
    ben.leave(family)
    world.settle()

    assert ben.membership(family) is Membership.LEFT
    leave = max(ana.perform(lambda turn: turn.state(family)).log.closes())[0].hash
    said = [sent.sender for sent in between(world, ana, ben, since) if leave in told([sent])]
    assert said == ["ben", "ana"]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_newcomer_is_told_once_who_let_it_in_and_shown_each_level_once(seed: int) -> None:
    """Whichever of the two calls the other, and so begins comparisons."""
    world = World(seed)
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    ben.join(ana.invite(family))
    world.settle()

    messages = between(world, ana, ben, 0)
    assert messages[0].sender == [ben.name, ana.name][seed]
    by_ana = [sent for sent in messages if sent.sender == ana.name]
    assert set(told(by_ana).values()) == {1}
    shown = Counter((sent.at_ms, sent.data) for sent in by_ana if sent.kind == "Level")
    assert set(shown.values()) == {1}


def test_who_wrote_more_than_a_window_of_seals_can_name_is_shown_them_by_and_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the limits as they are, these are seals of some 70,000 notes."""
    world = World(1)
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.put_many(family, "note", [{"title": f"Note {number}"} for number in range(100)])
    world.settle()
    ben.go_offline()
    monkeypatch.setattr(limits, "WINDOW_BATCHES", 1)
    monkeypatch.setattr(limits, "BATCH_RECORDS", 2)
    monkeypatch.setattr(limits, "SEAL_PART_HASHES", 5)
    ana.remove(family, ben.user.id)
    world.settle()
    since = len(world.sent)
    ben.go_online()
    world.settle()

    seals = ana.perform(lambda turn: turn.state(family)).log.seals()
    said = told(between(world, ana, ben, since))
    assert {said[signed.hash] for signed, _ in seals} == {1}
    assert said.total() > 3 * limits.WINDOW_BATCHES * limits.BATCH_RECORDS
    assert ben.membership(family) is Membership.REMOVED
    assert ben.engine.refusals() == {}

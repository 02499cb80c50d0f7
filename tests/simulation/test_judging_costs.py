"""What judging again costs: as much as there is to be judged, whatever else the group holds."""

from __future__ import annotations

import pytest

from peerstack import limits
from peerstack.engine.events import Woke
from peerstack.testing.world import World
from tests.simulation.ends import hand_over, pass_on, remove
from tests.simulation.people import family_of
from tests.store.watching import trace

JUDGED = 10


def statements_to_judge(others: int, judged: int = JUDGED) -> list[str]:
    """The SQL statements that it takes until one signer's records have left a group."""
    world = World()
    group, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    for device in (ana, ben, cleo):
        device.go_offline()
    cleo.put_many(group, "note", [{"n": n} for n in range(others)])
    world.run(1_000)
    notes = ben.put_many(group, "note", [{"by": "ben", "n": n} for n in range(judged)])
    remove(ana, group, ben.user.id)
    pass_on(ben, cleo, notes)
    ran = trace(cleo.store._writer)

    hand_over(ana, cleo, group)
    while cleo.read(lambda snapshot: snapshot.next_judging()) is not None:
        cleo.handle(Woke())

    taken = list(ran)
    assert len(cleo.find(group, "note")) == others
    return taken


def test_judging_one_signer_costs_the_same_in_a_group_of_any_size() -> None:
    small, large = statements_to_judge(1_000), statements_to_judge(10_000)

    # Where records leave a block of sums, it may become so small that it joins its neighbour.
    sums = [sum("blocks" in each for each in taken) for taken in (small, large)]
    assert len(small) - sums[0] == len(large) - sums[1]
    assert max(sums) <= JUDGED * JUDGED


def test_judging_more_costs_in_proportion_to_what_is_judged() -> None:
    few, more, most = (len(statements_to_judge(1_000, n)) for n in (10, 110, 210))

    assert most - more <= (more - few) * 1.1
    assert (more - few) / 100 < 10


def test_each_slice_judges_no_more_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for size in (25, 50):
        monkeypatch.setattr(limits, "SLICE_RECORDS", size)
        counts.append(len(statements_to_judge(1_000, 40)))

    # The same work, in more turns.
    assert counts[0] > counts[1]

"""Judged again: what falls when a right ends, what returns for it, and what comes back."""

from __future__ import annotations

import pytest

from peerstack import limits
from tests.simulation.ends import (
    Family,
    apart,
    aside,
    conflicts,
    give,
    remove,
    spare,
    stored,
    three,
    together,
    told,
)
from tests.simulation.people import live


@pytest.fixture
def family() -> Family:
    return three()


# --- What falls. --------------------------------------------------------------------------------


def test_what_a_seal_leaves_out_falls_and_what_it_had_replaced_returns(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    edit = ben.put(group, "note", {"title": "mine"}, over=note)
    world.settle()
    assert cleo.get(group, note.id) == edit
    closed = remove(ana, group, ben.user.id)

    together(world, ben)

    assert cleo.get(group, note.id) == note
    assert live(cleo, group) == live(ana, group)
    assert [(each.record.hash, each.why) for each in aside(cleo, group)] == [
        (edit.hash, closed.hex())
    ]
    assert cleo.is_level(group)
    assert ana.is_level(group)


def test_apps_are_told_of_what_left_and_of_what_returned(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    edit = ben.put(group, "note", {"title": "mine"}, over=note)
    world.settle()
    seen = cleo.changes(group)[-1].seq
    remove(ana, group, ben.user.id)

    together(world, ben)

    left, returned = cleo.changes(group, since=seen)
    assert (left.record.hash, left.previous, left.withdrawn) == (edit.hash, None, True)
    assert returned.record.hash == note.hash
    assert returned.previous is not None
    assert returned.previous.hash == edit.hash
    assert (returned.withdrawn, returned.conflict, left.conflict) == (False, False, False)
    assert "local" not in (left.origin, returned.origin)


def test_a_record_that_nothing_stood_under_is_gone(family: Family) -> None:
    world, group, ana, ben, cleo = family
    apart(world, ana, [ben, cleo])
    mine = ben.put(group, "note", {"title": "mine"})
    world.settle()
    remove(ana, group, ben.user.id)

    together(world, ben)

    assert cleo.get(group, mine.id) is None
    assert mine.id not in live(cleo, group)
    assert [change.withdrawn for change in told(cleo, group, mine.id)] == [False, True]


def test_what_a_seal_names_stays_and_is_told_of_no_more(family: Family) -> None:
    world, group, ana, ben, cleo = family
    mine = ben.put(group, "note", {"title": "mine"})
    world.settle()
    remove(ana, group, ben.user.id, keep=[mine.hash])

    together(world, ben)

    assert ana.get(group, mine.id) == cleo.get(group, mine.id) == mine
    assert [change.withdrawn for change in told(cleo, group, mine.id)] == [False]


def test_only_what_its_author_had_the_right_to_returns(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    for title in ("one", "two", "three"):
        latest = ben.put(group, "note", {"title": title}, over=cleo.get(group, note.id))
        world.settle()
    assert cleo.get(group, note.id) == latest
    remove(ana, group, ben.user.id)

    together(world, ben)

    assert cleo.get(group, note.id) == note
    assert cleo.history(group, note.id) == []
    assert len(aside(cleo, group)) == 3
    assert len(told(cleo, group, note.id)) == 1 + 3 + 2


def test_a_loser_without_the_right_is_no_conflict_any_more(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    ben.put(group, "note", {"title": "mine"}, over=note)
    ana.put(group, "note", {"title": "Oat milk"}, over=note)
    world.settle()
    closed = remove(ana, group, ben.user.id)

    together(world, ben)

    assert conflicts(cleo, group) == []
    assert [each.why for each in aside(cleo, group)] == [closed.hex()]
    assert live(cleo, group) == live(ana, group)
    assert cleo.is_level(group)


def test_what_a_loser_without_the_right_had_seen_is_a_conflict_again(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    edit = cleo.put(group, "note", {"title": "Soy milk"}, over=note)
    world.settle()
    loser = ben.put(group, "note", {"title": "mine"}, over=edit)
    world.settle()
    winner = ana.put(group, "note", {"title": "Oat milk"}, over=note)
    give(cleo, stored(ana, winner))
    assert conflicts(cleo, group) == [loser.hash]
    remove(ana, group, ben.user.id)

    together(world, ben)

    assert cleo.get(group, note.id) == winner
    assert conflicts(cleo, group) == conflicts(ana, group) == [edit.hash]
    assert cleo.is_level(group)


def test_what_the_fallen_had_seen_and_its_heir_had_not_is_a_conflict_again(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    cleo.go_offline()
    edit = ana.put(group, "note", {"title": "Soy milk"}, over=note)
    world.settle()
    heir = cleo.put(group, "note", {"title": "Oat milk"}, over=note)
    cleo.go_online()
    world.settle()
    apart(world, ana, [ben, cleo])
    fallen = ben.put(group, "note", {"title": "mine"}, over=edit)
    world.settle()
    assert cleo.get(group, note.id) == fallen
    assert conflicts(cleo, group) == [heir.hash]
    remove(ana, group, ben.user.id)

    together(world, ben)

    assert cleo.get(group, note.id) == ana.get(group, note.id) == heir
    assert conflicts(cleo, group) == conflicts(ana, group) == [edit.hash]
    assert cleo.is_level(group)


def test_an_end_takes_no_record_of_anybody_else(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ben.put(group, "note", {"title": "Milk"})
    world.settle()
    edit = cleo.put(group, "note", {"title": "Oat milk"}, over=note)
    other = cleo.put(group, "note", {"title": "Bread"})
    world.settle()
    remove(ana, group, ben.user.id)

    together(world, ben)

    assert cleo.get(group, note.id) == ana.get(group, note.id) == edit
    assert cleo.get(group, other.id) == other
    assert not any(change.withdrawn for change in cleo.changes(group))


def test_what_history_has_let_go_of_here_comes_back_from_who_has_kept_it(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    ben.put(group, "note", {"title": "mine"}, over=note)
    world.settle()
    later = cleo.now().wall_ms + limits.HISTORY_MS + 1
    assert cleo.perform(lambda turn: turn.tx.sweep_history(later, 100)).eldest == 1
    remove(ana, group, ben.user.id)

    together(world, ben)

    assert cleo.get(group, note.id) == note
    assert live(cleo, group) == live(ana, group)


# --- What comes back. ---------------------------------------------------------------------------


def test_what_a_later_seal_names_is_live_again_everywhere(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    edit = ben.put(group, "note", {"title": "Oat milk"}, over=note)
    extra = ben.put(group, "note", {"title": "Bread"})
    world.settle()
    closed = remove(ana, group, ben.user.id)
    together(world, ben)
    assert cleo.get(group, extra.id) is None

    spare(ana, group, closed, [edit.hash, extra.hash])
    world.settle()

    assert ana.get(group, note.id) == cleo.get(group, note.id) == edit
    assert ana.get(group, extra.id) == cleo.get(group, extra.id) == extra
    assert aside(cleo, group) == []
    assert told(cleo, group, extra.id)[-1].record.hash == extra.hash
    assert not told(cleo, group, extra.id)[-1].withdrawn
    assert cleo.is_level(group)
    assert ana.is_level(group)


def test_what_comes_back_and_has_been_replaced_since_goes_to_history(family: Family) -> None:
    world, group, ana, ben, cleo = family
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    apart(world, ana, [ben, cleo])
    edit = ben.put(group, "note", {"title": "Oat milk"}, over=note)
    world.settle()
    closed = remove(ana, group, ben.user.id)
    together(world, ben)
    newer = cleo.put(group, "note", {"title": "Soy milk"}, over=cleo.get(group, note.id))
    world.settle()

    spare(ana, group, closed, [edit.hash])
    world.settle()

    assert ana.get(group, note.id) == cleo.get(group, note.id) == newer
    assert cleo.history(group, note.id) == [edit, note]
    last = told(cleo, group, note.id)[-1]
    assert (last.record.hash, last.conflict) == (newer.hash, True)
    assert cleo.is_level(group)
    assert ana.is_level(group)

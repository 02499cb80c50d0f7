"""Judged again: when that is done, across restarts, and what becomes of what arrives."""

from __future__ import annotations

import pytest

from peerstack import limits
from peerstack.engine import writing
from peerstack.engine.events import Woke
from peerstack.engine.kept_secrets import secret_of
from peerstack.ids import GroupId, RecordId
from peerstack.keys import Hash
from peerstack.record import Record
from peerstack.signaling.rendezvous import Announce
from peerstack.signaling.rendezvous.boxes import topic_of
from peerstack.signaling.wire import DAY_MS
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.ends import (
    Family,
    apart,
    aside,
    give,
    hand_over,
    remove,
    spare,
    stored,
    three,
    together,
    waits,
)
from tests.simulation.people import family_of, live
from tests.simulation.scripted import NOTE, Scripted, written_by
from tests.simulation.scripted import secret_of as shared_secret_of


@pytest.fixture
def family() -> Family:
    return three()


# --- When it is done. ---------------------------------------------------------------------------


def many_notes(monkeypatch: pytest.MonkeyPatch, family: Family) -> list[Record]:
    """More than fit into a few slices, on cleo's device alone; ben has been removed meanwhile."""
    monkeypatch.setattr(limits, "SLICE_RECORDS", 20)
    world, group, ana, ben, cleo = family
    notes = ana.put_many(group, "note", [{"n": n} for n in range(20)])
    world.settle()
    apart(world, ana, [ben, cleo])
    for note in notes[:10]:
        ben.put(group, "note", {"by": "ben"}, over=note)
    ben.put_many(group, "note", [{"by": "ben", "n": n} for n in range(10)])
    world.settle()
    remove(ana, group, ben.user.id)
    ben.go_offline()
    world.heal()
    return notes


def by_ben(device: Device, group: GroupId) -> int:
    return sum(note.value.get("by") == "ben" for note in device.find(group, "note"))


def test_judging_goes_slice_by_slice(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    world, group, ana, _, cleo = family
    many_notes(monkeypatch, family)

    left = [20]
    while left[-1]:
        world.run_until(lambda: by_ben(cleo, group) != left[-1])
        left.append(by_ben(cleo, group))

    # Four at a time; the first slice has taken out ben's mark, too.
    assert left == [20, 17, 13, 9, 5, 1, 0]
    world.settle()
    assert not waits(cleo)
    assert live(cleo, group) == live(ana, group)


@pytest.mark.parametrize("left", [16, 8, 0])
def test_judging_goes_on_after_a_restart_in_the_middle_with_nobody_around(
    family: Family, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    world, group, ana, _, cleo = family
    notes = many_notes(monkeypatch, family)
    world.run_until(lambda: by_ben(cleo, group) <= left)
    assert waits(cleo)
    ana.go_offline()

    cleo.restart()
    world.run(60_000)

    assert not waits(cleo)
    assert {record.hash for record in cleo.find(group, "note")} == {note.hash for note in notes}
    assert len(aside(cleo, group)) == 20


def test_a_crash_right_behind_a_slice_loses_and_repeats_nothing(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, group, ana, _, cleo = family
    many_notes(monkeypatch, family)
    world.run_until(lambda: by_ben(cleo, group) <= 12)
    ana.go_offline()
    for _ in range(6):
        cleo.crash_after(2)
        world.run(1_000)

    world.run(60_000)

    withdrawn = [change.record.hash for change in cleo.changes(group) if change.withdrawn]
    assert len(withdrawn) == len(set(withdrawn)) == 20


def test_a_right_that_ends_again_while_it_is_judged_is_judged_from_the_beginning(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, group, ana, _, cleo = family
    many_notes(monkeypatch, family)
    world.run_until(lambda: by_ben(cleo, group) <= 8)
    gone = min(aside(cleo, group), key=lambda each: each.record.id).record
    closed = Hash(bytes.fromhex(aside(cleo, group)[0].why))

    spare(ana, group, closed, [gone.hash])
    world.settle()

    assert stored(cleo, Record.of(gone)).hash == gone.hash
    assert live(cleo, group) == live(ana, group)


def test_a_turn_that_had_not_read_the_group_before_still_knows_what_changed(
    family: Family,
) -> None:
    world, group, ana, ben, cleo = family
    apart(world, ana, [ben, cleo])
    mine = ben.put(group, "note", {"title": "mine"})
    world.settle()
    cleo.go_offline()
    remove(ana, group, ben.user.id)
    cleo.engine.me.states.clear()

    hand_over(ana, cleo, group)
    world.run(1_000)

    assert cleo.get(group, mine.id) is None


def test_what_fell_before_the_seal_came_is_named_by_an_admin_who_had_it(family: Family) -> None:
    world, group, ana, ben, cleo = family
    ana.set_role(group, cleo.user.id, "admin")
    world.settle()
    apart(world, ana, [ben, cleo])
    world.run(60_000)
    closed = remove(ana, group, ben.user.id, keep=[Hash(bytes(32))], sealed=False)
    world.run(60_000)
    # Later than the end, and before cleo has heard of it.
    mine = ben.put(group, "note", {"title": "mine"})
    world.settle()
    together(world, ben)
    assert cleo.get(group, mine.id) is None
    assert [each.why for each in aside(cleo, group)] == ["no-role"]

    spare(ana, group, closed, [Hash(bytes(32))])
    world.settle()

    assert cleo.get(group, mine.id) == ana.get(group, mine.id) == mine


def test_a_withdrawn_secret_has_devices_meet_by_the_one_before(family: Family) -> None:
    world, group, ana, ben, cleo = family
    ana.set_role(group, ben.user.id, "admin")
    world.settle()
    before = ana.perform(lambda turn: secret_of(turn, group))
    apart(world, ana, [ben, cleo])
    ben.perform(lambda turn: writing.write_new_secret(turn, group))
    world.settle()
    assert cleo.perform(lambda turn: secret_of(turn, group)) != before
    remove(ana, group, ben.user.id)
    statements = ana.perform(lambda turn: turn.statements(group))
    cleo.engine.perform(lambda t: writing.add_own_statements(t, group, statements), cleo.now())

    wanted = cleo.engine.handle(Woke(), cleo.now())

    assert cleo.perform(lambda turn: secret_of(turn, group)) == before
    assert before is not None
    # It listens there all along, as to all that was ever live; now it is found there again.
    day = cleo.now().wall_ms // DAY_MS
    called_in = {effect.topic for effect in wanted if isinstance(effect, Announce)}
    assert topic_of(before, day) in called_in


def test_nobody_is_judged_again_where_no_right_has_changed(family: Family) -> None:
    _, group, ana, _, _ = family

    ana.invite(group)

    assert not waits(ana)


# --- What arrives. ------------------------------------------------------------------------------


def passing_on(world: World, group: GroupId, ana: Device, cleo: Device) -> Scripted:
    """Cleo's keys, with which somebody passes on what ben has written."""
    cleo.go_offline()
    world.run(60_000)
    script = Scripted(world, ana, cleo.user).shake_hands()
    script.name_groups(group, shared_secret_of(cleo, group))
    world.run(100)
    return script


def test_what_arrives_outside_a_seal_is_quarantined_counted_and_not_asked_for_again(
    family: Family,
) -> None:
    world, group, ana, ben, cleo = family
    backdated = written_by(ben.user, group, NOTE, world.wall_ms, {"title": "mine"})
    world.run(1_000)
    closed = remove(ana, group, ben.user.id)
    ben.go_offline()
    world.settle()
    script = passing_on(world, group, ana, cleo)

    script.gives(backdated, number=0)
    script.gives(backdated, number=1)

    assert ana.get(group, RecordId(NOTE)) is None
    assert ana.engine.refusals()["quarantined"] == 1
    assert [(each.record, each.why) for each in aside(ana, group)] == [(backdated, closed.hex())]
    known = ana.read(lambda snapshot: snapshot.known(group, [backdated.hash]))
    assert known == {backdated.hash}
    assert script.acknowledged == [0, 1]


def test_what_the_quarantine_has_no_room_for_is_refused_and_counted(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUARANTINED_PER_GROUP", 3)
    world, group, ana, ben, cleo = family
    ids = [f"{NOTE[:-1]}{end}" for end in "12345"]
    backdated = [written_by(ben.user, group, each, world.wall_ms, {}) for each in ids]
    world.run(1_000)
    closed = remove(ana, group, ben.user.id)
    ben.go_offline()
    world.settle()
    script = passing_on(world, group, ana, cleo)

    script.gives(*backdated)

    counts = ana.read(lambda snapshot: snapshot.counts(group))
    assert counts.quarantined == 3
    assert counts.refused == {"too-many": 2}
    assert ana.engine.refusals()["too-many"] == 2
    # It may be asked for again once its author's rights have changed.
    spare(ana, group, closed, [backdated[4].hash])
    assert ana.read(lambda snapshot: snapshot.counts(group)).refused == {}
    script.gives(backdated[4], number=1)
    assert ana.get(group, RecordId(ids[4])) is not None


def test_what_was_refused_for_want_of_a_role_is_asked_for_again_once_that_is_there() -> None:
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    cleo = world.device("cleo", skew_ms=5 * 60_000)
    cleo.join(ana.invite(group, "reader"))
    world.settle()
    # Ben has heard of cleo's new role only after what she wrote by it.
    world.partition({ana, cleo}, {ben})
    early = written_by(cleo.user, group, NOTE, world.wall_ms + 5 * 60_000, {"title": "Hello"})
    ana.set_role(group, cleo.user.id, "writer")
    world.run(30_000)
    give(cleo, early)
    world.run(1_000)
    assert ana.get(group, RecordId(NOTE)) is not None
    cleo.go_offline()
    world.run(60_000)
    script = Scripted(world, ben, cleo.user).shake_hands()
    script.name_groups(group, shared_secret_of(cleo, group))
    script.gives(early)
    script.plug.end_it()
    assert ben.read(lambda snapshot: snapshot.counts(group)).refused == {"no-role": 1}

    world.heal()
    world.settle()

    assert ben.get(group, RecordId(NOTE)) is not None
    assert live(ben, group) == live(ana, group)
    assert ben.read(lambda snapshot: snapshot.counts(group)).refused == {}

"""Judged again: what falls when a right ends, what returns for it, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from peerstack import limits
from peerstack.engine import Turn, writing
from peerstack.engine.events import Woke
from peerstack.engine.kept_secrets import secret_of
from peerstack.groups.statements import GRANT_TYPE, GrantForm, Role
from peerstack.ids import GroupId, RecordId
from peerstack.keys import Hash
from peerstack.record import Record, Signed
from peerstack.signaling.rendezvous import JoinTopics
from peerstack.store import LoggedChange, SetAside
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.ends import give, hand_over, remove, spare
from tests.simulation.people import family_of, live
from tests.simulation.scripted import NOTE, Scripted, written_by
from tests.simulation.scripted import secret_of as shared_secret_of

Family = tuple[World, GroupId, Device, Device, Device]


@pytest.fixture
def family() -> Family:
    """Ana founded it; behind her back, ben writes what cleo gets."""
    world = World()
    group, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    return world, group, ana, ben, cleo


def apart(world: World, ana: Device, others: Sequence[Device]) -> None:
    world.partition({ana}, set(others))
    world.run(1_000)


def together(world: World, ben: Device) -> None:
    """Everybody but ben, who has nothing to say any more."""
    ben.go_offline()
    world.heal()
    world.settle()


def aside(device: Device, group: GroupId) -> list[SetAside]:
    return device.read(lambda snapshot: snapshot.quarantined(group, 1_000))


def told(device: Device, group: GroupId, record_id: RecordId) -> list[LoggedChange]:
    return [each for each in device.changes(group) if each.record.id == record_id]


def conflicts(device: Device, group: GroupId) -> list[Hash]:
    return device.read(lambda snapshot: snapshot.unseen_hashes(group))


def stored(device: Device, record: Record) -> Signed:
    found = device.read(lambda snapshot: snapshot.get(record.group, record.id))
    assert found is not None
    assert found.hash == record.hash
    return found


def waits(device: Device) -> bool:
    """Whether anybody is queued to be judged."""
    return device.read(lambda snapshot: snapshot.next_judging()) is not None


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

    assert left == [20, 16, 12, 8, 4, 0]
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
    assert any(isinstance(effect, JoinTopics) for effect in wanted)


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


def test_r9_what_was_refused_for_want_of_a_role_is_asked_for_again_once_that_is_there() -> None:
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    cleo = world.device("cleo", skew_ms=5 * 60_000)
    cleo.join(ana.invite(group, "reader"))
    world.settle()
    # Ben has heard of cleo's new role only after what she wrote by it.
    world.partition({ana, cleo}, {ben})
    early = written_by(cleo.user, group, NOTE, world.wall_ms + 5 * 60_000, {"title": "Hello"})
    make_writer(ana, group, cleo)
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


def make_writer(admin: Device, group: GroupId, member: Device) -> None:
    def act(turn: Turn) -> None:
        state = turn.state(group)
        by = state.grant_for(turn.me.user.id, Role.ADMIN)
        consent = state.consent_of(member.user.id)
        assert by is not None
        assert consent is not None
        form = GrantForm(by.hash.hex(), member.user.id, "writer", consent.hex())
        stamp = writing.stamp_for_statement(turn, state, turn.now.wall_ms)
        granted = writing.sign_statement(turn, group, GRANT_TYPE, form, stamp)
        writing.add_own_statements(turn, group, [granted])

    admin.perform(act)

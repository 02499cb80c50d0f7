"""Which devices have a record: what each says of itself, what follows for others, and what not."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from peerstack.engine import Turn, marks, parting, profile, writing
from peerstack.engine.marks import Position, Reached
from peerstack.engine.merging import merge
from peerstack.engine.status import standing
from peerstack.ids import DeviceId, GroupId
from peerstack.keys import Label, sha256
from peerstack.record import Record, mark_id
from peerstack.session.wire import Batch, Kind
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import at_another_device, family_of
from tests.simulation.scripted import member_at

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def ids(*devices: Device) -> set[DeviceId]:
    return {device.user.device for device in devices}


def mark(device: Device, group: GroupId, of: Device | None = None) -> Record | None:
    """The mark of a device, its own or another's, as a device has it."""
    return device.get(group, mark_id(group, (of or device).user.device))


def said(device: Device, group: GroupId) -> Reached:
    """What a device says."""
    me = device.user.device
    return device.perform(lambda turn: marks.said(turn, group, [me])).get(me, {})


def marks_written(group: GroupId, devices: Iterable[Device]) -> list[int]:
    """How often each device has written its mark since it had the right to."""
    found = [mark(device, group) for device in devices]
    return [each.modified if each else 0 for each in found]


def away(world: World, *devices: Device) -> None:
    for device in devices:
        device.go_offline()
    world.run(MINUTE_MS)


# --- What is known. -------------------------------------------------------------------------------


def test_a_note_has_reached_who_is_there_and_not_who_sleeps() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    away(world, cleo)

    note = ana.put(family, "note", {"title": "Milk"})
    assert ana.reached(family, note.id) == ids(ana)
    world.run(MINUTE_MS)
    assert ana.reached(family, note.id) == ben.reached(family, note.id) == ids(ana, ben)

    cleo.go_online()
    world.run(MINUTE_MS)
    for device in (ana, ben, cleo):
        assert device.reached(family, note.id) == ids(ana, ben, cleo)


def test_an_edit_has_to_reach_everybody_anew() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    away(world, ben)

    edited = ana.put(family, "note", {"title": "Oat milk"}, over=note)

    assert ana.reached(family, edited.id) == ids(ana)
    assert ben.reached(family, note.id) == ids(ana, ben)


def test_what_came_by_a_third_device_is_known_of_the_author_who_never_met_the_others() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    away(world, cleo)
    note = ana.put(family, "note", {"title": "Milk"})
    world.run(MINUTE_MS)
    away(world, ana)
    ben.put(family, "note", {"title": "Bread"})
    cleo.go_online()
    world.run(MINUTE_MS)
    assert cleo.reached(family, note.id) == ids(ana, ben, cleo)
    away(world, cleo)

    ana.go_online()
    world.run(MINUTE_MS)

    assert ana.reached(family, note.id) == ids(ana, ben, cleo)


def test_one_knows_it_of_ones_own_devices_in_the_personal_group() -> None:
    world = World()
    ana = world.device("ana")
    phone = at_another_device(world, ana, "phone")
    world.settle()
    note = ana.put(ana.user.id, "note", {"title": "only mine"})
    assert ana.reached(ana.user.id, note.id) == ids(ana)

    world.run(MINUTE_MS)

    assert ana.reached(ana.user.id, note.id) == ids(ana, phone)


def test_what_a_reader_has_is_known_too() -> None:
    world = World()
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    ben.join(ana.invite(family, "reader"))
    world.settle()

    note = ana.put(family, "note", {"title": "Milk"})
    world.run(MINUTE_MS)

    assert ana.reached(family, note.id) == ids(ana, ben)


def test_who_joins_later_says_so_of_what_was_there_before() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ben.put(family, "note", {"title": "Milk"})
    world.settle()
    away(world, ben)

    cleo = world.device("cleo")
    cleo.join(ana.invite(family))
    world.settle()

    assert ana.reached(family, note.id) == ids(ana, ben, cleo)


def test_who_was_removed_does_not_count_any_more_and_what_they_wrote_is_still_known() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    note = cleo.put(family, "note", {"title": "Milk"})
    world.settle()
    assert ana.reached(family, note.id) == ids(ana, ben, cleo)

    ana.remove(family, cleo.user.id)
    world.settle()

    assert ana.reached(family, note.id) == ben.reached(family, note.id) == ids(ana, ben)
    dora = world.device("dora")
    dora.join(ana.invite(family))
    world.settle()
    assert ana.reached(family, note.id) == ids(ana, ben, dora)


def test_what_was_held_for_its_time_has_arrived_once_that_has_come() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.skew_ms = HOUR_MS
    note = ana.put(family, "note", {"title": "by a clock that is fast"})
    world.run(MINUTE_MS)
    assert ana.reached(family, note.id) == ids(ana)

    world.run(HOUR_MS)

    assert ana.reached(family, note.id) == ids(ana, ben)


def test_a_restart_forgets_nothing_that_was_said_and_what_was_not_is_said_later() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    first = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    second = ana.put(family, "note", {"title": "Bread"})
    world.run(1_000)
    assert ben.get(family, second.id) == second

    ben.restart()
    assert ben.reached(family, first.id) == ids(ana, ben)
    assert ana.reached(family, second.id) == ids(ana)
    world.run(MINUTE_MS)

    assert ana.reached(family, second.id) == ids(ana, ben)


def test_nothing_is_known_of_what_is_not_there_was_deleted_or_is_the_frameworks() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    own = mark_id(family, ben.user.device)
    assert mark(ana, family, ben) is not None
    assert ana.reached(family, own) == set()

    ana.delete(family, note.id)

    assert ana.reached(family, note.id) == set()


# --- What it costs. -------------------------------------------------------------------------------


def test_after_a_burst_each_other_device_says_so_once_and_then_nobody_says_anything() -> None:
    world = World()
    family, devices = family_of(world, "ana", "ben", "cleo", "dora")
    ana, others = devices[0], devices[1:]
    ana.put(family, "note", {"title": "first"})
    world.settle()
    before = marks_written(family, devices)

    for number in range(10):
        ana.put(family, "note", {"number": number})
        world.run(200)
    world.run(MINUTE_MS)
    quiet = len(world.sent)
    world.run(HOUR_MS)

    assert marks_written(family, [ana]) == before[:1]
    assert marks_written(family, others) == [count + 1 for count in before[1:]]
    # Devices announce themselves now and then, to the server; on pipes nothing is said.
    assert world.sent[quiet:] == []


def test_not_all_say_so_at_the_same_time() -> None:
    world = World()
    family, devices = family_of(world, "ana", "ben", "cleo", "dora", "emil")
    since = len(world.sent)
    devices[0].put(family, "note", {"title": "Milk"})
    world.run(MINUTE_MS)

    said_at = sorted({sent.at_ms for sent in world.sent[since:] if sent.kind == "Batch"})[1:]

    assert len(said_at) == len(devices) - 1
    assert all(later - earlier >= 900 for earlier, later in pairwise(said_at))


def test_devices_that_are_level_have_nothing_to_say_about_it_when_they_meet_again() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.put(family, "note", {"title": "Milk"})
    world.settle()
    away(world, ben)
    since = len(world.sent)

    ben.go_online()
    world.run(MINUTE_MS)

    assert world.traffic(since)["Batch"] == 0
    assert world.traffic(since)["Level"] == 2


def test_who_writes_alone_says_nothing() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.put(family, "note", {"title": "Milk"})
    world.settle()
    away(world, ben)
    before = marks_written(family, [ana])

    for number in range(5):
        ana.put(family, "note", {"number": number})
        world.run(MINUTE_MS)

    assert marks_written(family, [ana]) == before


def test_marks_show_nowhere() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    for number in range(3):
        ana.put(family, "note", {"number": number})
        ben.put(family, "note", {"number": number})
        world.settle()

    assert mark(ana, family) is not None
    for device in (ana, ben):
        assert mark(device, family, ana) != mark(device, family, ben)
        assert {change.record.type for change in device.changes(family)}.isdisjoint({"$reached"})
        assert device.history(family, mark_id(family, ana.user.device)) == []
        now = device.perform(lambda turn: standing(turn, family))
        assert (now.records, now.history) == (6, 0)


# --- What no mark may claim. ----------------------------------------------------------------------


@pytest.mark.parametrize("back_ms", [1, 2 * MINUTE_MS, 11 * MINUTE_MS, HOUR_MS, 400 * 24 * HOUR_MS])
def test_what_is_written_by_a_clock_that_went_back_has_reached_nobody_yet(back_ms: int) -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    ana.put(family, "note", {"title": "Milk"})
    world.settle()
    away(world, ben)

    ana.skew_ms -= back_ms
    late = ana.put(family, "note", {"title": "by a clock that is slow"})
    assert ana.reached(family, late.id) == ids(ana)
    for wait_ms in (1_000, MINUTE_MS):
        world.run(wait_ms)
        assert cleo.reached(family, late.id) == ids(ana, cleo)

    ben.go_online()
    world.run(MINUTE_MS)
    assert ben.reached(family, late.id) == ids(ana, ben, cleo)
    # As long as it is slow, ana holds what the others write, their marks too.
    ana.skew_ms = 0
    world.settle()
    for device in (ana, ben, cleo):
        assert device.reached(family, late.id) == ids(ana, ben, cleo)


def test_what_is_written_by_a_clock_that_went_a_little_back_is_dated_a_little_later() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.put(family, "note", {"title": "Bread"})
    before = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    ana.skew_ms = before.modified - world.wall_ms - 5 * MINUTE_MS

    after = [ana.put(family, "note", {"n": n}) for n in range(2)]

    assert [each.modified - before.modified for each in after] == [1, 2]
    assert ana.user.device not in said(ana, family)


def test_what_is_written_at_once_is_dated_alike() -> None:
    """Else ten thousand that are imported would be dated ten seconds ahead."""
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")

    notes = ana.put_many(family, "note", [{"n": n} for n in range(10)])

    assert {note.modified for note in notes} == {world.wall_ms}


def test_what_is_written_by_a_clock_that_went_far_back_is_not_dated_ahead() -> None:
    """Else it would be held by all others, for as long as the clock had been ahead."""
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.skew_ms = 48 * HOUR_MS
    ana.put(family, "note", {"title": "by a clock that is fast"})
    ana.skew_ms = 0

    note = ana.put(family, "note", {"title": "Milk"})
    world.run(MINUTE_MS)

    assert note.modified <= world.wall_ms
    assert ben.get(family, note.id) == note


def test_stamps_rise_though_the_device_has_forgotten_how_far_they_were() -> None:
    """As where its database was put back, and others have brought the rest."""
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    before = ana.put(family, "note", {"title": "Milk"})
    ana.perform(lambda turn: marks.keep_own_position(turn, family, marks.NOTHING))
    ana.skew_ms = -MINUTE_MS

    after = ana.put(family, "note", {"title": "Bread"})

    assert after.modified == before.modified + 1


def test_what_was_erased_is_not_claimed_from_memory() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.put(family, "note", {"title": "Milk"})
    world.settle()
    assert ben.perform(lambda turn: marks.known(turn, family)) != {}
    away(world, ana)
    ben.leave(family)

    ben.perform(lambda turn: parting.erase(turn, family))

    assert ben.perform(lambda turn: marks.known(turn, family)) == {}


def test_what_a_check_found_broken_is_claimed_no_more_until_it_is_back() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    away(world, ana)
    with ben.store.transaction() as transaction:
        transaction._connection.exec_driver_sql(
            "UPDATE records SET body = replace(body, 'Milk', 'Silk') WHERE id = ?", (note.id,)
        )

    ben.perform(profile.mend)

    assert ben.get(family, note.id) is None
    assert ben.perform(lambda turn: marks.known(turn, family)) == {}
    ana.go_online()
    world.settle()
    assert ben.get(family, note.id) == note
    assert ana.reached(family, note.id) == ids(ana, ben)


def test_a_lie_claims_no_more_than_has_been_seen_where_it_is_believed() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    seen = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    away(world, ana)

    ben.tampered = True
    lie = {ana.user.device: Position(9, seen.modified + HOUR_MS)}
    ben.perform(lambda turn: writing.write_mark(turn, family, lie))
    world.run(MINUTE_MS)
    note = ana.put(family, "note", {"title": "Bread"})
    away(world, ben)
    cleo.put(family, "note", {"title": "so that cleo says more"})
    ana.go_online()
    world.run_until(lambda: mark(ana, family, cleo) is not None)

    assert said(cleo, family)[ana.user.device] == Position(0, seen.modified)
    assert cleo.user.device not in ana.reached(family, note.id)


def test_nobody_says_how_far_another_device_is() -> None:
    family, ana, ben, script = member_at(World())
    ben.perform(lambda turn: writing.write_mark(turn, family, {}))
    kept = ben.read(lambda snapshot: snapshot.get(family, mark_id(family, ben.user.device)))
    assert kept is not None
    own, others = mark_id(family, ben.user.device), mark_id(family, ana.user.device)
    forged = kept.body.replace(own.encode(), others.encode())
    assert forged != kept.body
    signature = b"\x01" + ben.user.device_key.sign(Label.RECORD, sha256(forged))

    script.say(Batch(0, Kind.RECORDS, 1, (forged,), (signature,)))

    assert script.is_cut_off
    assert ana.engine.refusals()["malformed"] == 1


def test_a_mark_of_another_form_says_nothing_and_stands_in_nobodys_way() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    ben.tampered = True

    def write(turn: Turn) -> None:
        draft = writing.Draft(mark_id(family, ben.user.device), "$reached", {"at": [1]}, ())
        signed = writing._sign(turn, family, draft, world.wall_ms)
        merge(turn, family, [signed], None)
        turn.news.append((family, [signed]))

    ben.go_offline()
    ben.perform(write)
    assert ana.reached(family, note.id) == ids(ana, ben, cleo)
    assert ben.reached(family, note.id) == ids(ana, ben, cleo)
    ben.go_online()
    world.run_until(lambda: mark(ana, family, ben) == mark(ben, family))

    assert ana.reached(family, note.id) == ids(ana, cleo)

"""What becomes of records that should not be, from members that speak as they like."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from peerstack import limits
from peerstack.ids import GroupId, RecordId
from peerstack.record import Signed
from peerstack.session.wire import Level
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import family_of
from tests.simulation.scripted import NOTE, Scripted, member_at, secret_of, stranger, written_by

HONEST = f"{NOTE[:-1]}C"
"""An id for a note that is sent beside a bad one, and has to arrive."""

AGAIN = f"{NOTE[:-1]}D"


def honest_note(world: World, author: Device, family: GroupId) -> Signed:
    """What its author may write, as the author writes it."""
    return written_by(author.user, family, HONEST, world.wall_ms, {"title": "honest"})


def assert_arrived(device: Device, honest: Signed) -> None:
    found = device.get(honest.group, honest.id)
    assert found is not None
    assert found.hash == honest.hash


def test_an_invalid_record_first_does_not_block_the_valid_one() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    good = written_by(ben.user, family, NOTE, world.wall_ms, {"title": "Milk"})
    forged = msgspec.structs.replace(good, signature=good.signature[:1] + bytes(64))
    script.gives(forged, number=0)
    assert ana.get(family, RecordId(NOTE)) is None
    assert ana.engine.refusals() == {"bad-signature": 1}
    script.gives(good, number=1)
    found = ana.get(family, RecordId(NOTE))
    assert found is not None
    assert found.hash == good.hash
    assert script.acknowledged == [0, 1]


def test_records_of_who_is_no_member_are_refused_whoever_passes_them_on() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    foreign = written_by(stranger(world), family, NOTE, world.wall_ms, {"title": "mine"})
    honest = honest_note(world, ben, family)
    # Until the sender has shown all its statements, one might say that this is a member.
    script.gives(foreign, number=0)
    assert ana.read(lambda snapshot: snapshot.counts(family)).held == 1
    assert ana.engine.refusals() == {}
    shown = script.shown
    script.say(Level(0, shown.statements, shown.records))
    again = written_by(stranger(world), family, AGAIN, world.wall_ms, {"title": "mine too"})
    script.gives(again, honest, number=1)
    assert [ana.get(family, each.id) for each in (foreign, again)] == [None, None]
    assert_arrived(ana, honest)
    assert ana.engine.refusals() == {"unknown-signer": 1}
    assert not script.is_cut_off


def test_nobody_writes_in_anothers_name() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    note = ana.put(family, "note", {"title": "Milk"})
    as_ana = replace(ana.user, device_key=ben.user.device_key)
    honest = honest_note(world, ben, family)
    script.gives(written_by(as_ana, family, note.id, world.wall_ms + 1, {"title": "mine"}), honest)
    assert ana.get(family, note.id) == note
    assert_arrived(ana, honest)
    assert ana.engine.refusals() == {"bad-signature": 1}


@pytest.mark.parametrize("foreign", ["personal", "statement"])
def test_what_is_compared_under_a_group_is_judged_under_it(foreign: str) -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    honest = honest_note(world, ben, family)
    script.gives(honest, number=0)
    if foreign == "personal":
        item = written_by(ben.user, GroupId(ana.user.id), NOTE, world.wall_ms, {"title": "mine"})
    else:
        item = ben.user.statements[0]
    before = ana.records(GroupId(ana.user.id))
    script.gives(item, number=1)
    assert script.is_cut_off
    assert ana.hangups[-1].startswith("wrong-group")
    assert ana.engine.refusals() == {"wrong-group": 1}
    assert ana.records(GroupId(ana.user.id)) == before
    assert_arrived(ana, honest)


def test_a_member_without_the_right_to_write_changes_nothing_and_is_not_asked_again() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    cleo = world.device("cleo")
    cleo.join(ana.invite(family, "reader"))
    world.settle()
    cleo.go_offline()
    world.run(60_000)
    script = Scripted(world, ana, cleo.user).shake_hands()
    script.name_groups(family, secret_of(cleo, family))
    forbidden = written_by(cleo.user, family, NOTE, world.wall_ms, {"title": "mine"})
    honest = honest_note(world, ben, family)
    script.gives(forbidden, honest, number=0)
    assert ana.get(family, RecordId(NOTE)) is None
    assert_arrived(ana, honest)
    script.gives(forbidden, number=1)
    assert script.acknowledged == [0, 1]
    assert ana.engine.refusals() == {"no-role": 1}
    assert ana.read(lambda snapshot: snapshot.counts(family)).refused == {"no-role": 1}
    assert not script.is_cut_off


def test_who_was_let_in_later_cannot_write_as_if_it_had_been_before() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    honest = honest_note(world, ben, family)
    script.gives(written_by(ben.user, family, NOTE, ana.user.statements[0].modified, {}), honest)
    assert ana.get(family, RecordId(NOTE)) is None
    assert_arrived(ana, honest)
    assert ana.engine.refusals() == {"no-role": 1}


def test_a_backdated_edit_does_not_win_and_is_kept_where_it_can_be_seen() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    note = ana.put(family, "note", {"title": "Milk"})
    backdated = written_by(ben.user, family, note.id, note.modified - 1, {"title": "mine"})
    script.gives(backdated)
    assert ana.get(family, note.id) == note
    assert [each.hash for each in ana.history(family, note.id)] == [backdated.hash]
    assert [each.conflict for each in ana.changes(family)][-1] is True
    assert ana.engine.refusals() == {}


def test_what_is_dated_to_the_end_of_time_never_counts() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    note = ana.put(family, "note", {"title": "Milk"})
    honest = honest_note(world, ben, family)
    last = written_by(ben.user, family, note.id, limits.TIME_MS_MAX, {"title": "mine"})
    script.gives(last, honest)
    assert_arrived(ana, honest)
    assert ana.engine.refusals() == {}
    assert ana.read(lambda snapshot: snapshot.counts(family)).held == 1
    world.run(30 * 24 * 60 * 60 * 1000)
    assert ana.get(family, note.id) == note
    assert ana.history(family, note.id) == []
    counts = ana.read(lambda snapshot: snapshot.counts(family))
    assert (counts.held, counts.refused) == (0, {})


def test_versions_of_the_same_moment_end_equal_everywhere() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    world.partition({ana}, {ben})
    edits = [each.put(family, "note", {"by": each.name}, over=note) for each in (ana, ben)]
    assert edits[0].modified == edits[1].modified
    world.heal()
    world.settle()
    winner = max(edits, key=lambda edit: edit.hash)
    assert ana.get(family, note.id) == ben.get(family, note.id) == winner


@pytest.mark.parametrize("value", [
    {"__proto__": {"admin": True}, "constructor": 1, "__class__": "x"},
    {"'; DROP TABLE records; --": "' OR 1=1", "$.a[0]": 1, "a.b": 2, "": 3},
    {"nan": "NaN", "infinity": "-Infinity", "date": "2024-01-01T00:00:00.000Z", "number": "1e3"},
    {"float": 1.0, "integer": 1, "big": 2**53 - 1, "tiny": 5e-324, "null": None, "text": "\u2028"},
])  # fmt: skip
def test_a_value_is_data_and_arrives_as_it_was_written(value: dict[str, object]) -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", value)
    world.settle()
    found = ben.get(family, note.id)
    assert found == note
    assert msgspec.json.encode(found.value) == msgspec.json.encode(value)


def test_a_signature_scheme_of_tomorrow_is_counted_and_ends_no_connection() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    good = written_by(ben.user, family, NOTE, world.wall_ms, {"title": "Milk"})
    newer = msgspec.structs.replace(good, signature=b"\2" + good.signature[1:] + b"proof")
    script.gives(newer, good)
    assert not script.is_cut_off
    assert script.acknowledged == [0]
    assert ana.engine.refusals() == {"unknown-signature-scheme": 1}
    assert ana.get(family, RecordId(NOTE)) is not None

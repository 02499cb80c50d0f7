"""What peers cannot do that hold keys of their own and speak as they like."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest

from peerstack import limits
from peerstack.groups.statements import GRANT_TYPE, GROUP_TYPE, Founding, GrantForm, Role
from peerstack.identity import User
from peerstack.ids import GroupId
from peerstack.keys import Secret
from peerstack.record import Body, RecordId, compose
from peerstack.session.wire import (
    Ack,
    Batch,
    Compared,
    Groups,
    Hello,
    Kind,
    Level,
    Message,
    Proof,
    Ranges,
    Served,
    Unproven,
    Want,
    decode_untrusted,
    encode,
)
from peerstack.testing.conditions import Conditions
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.simulation.people import family_of
from tests.simulation.scripted import Scripted, secret_of, written_by

NOTE = "01J8Z0000000000000000000AB"


def stranger(world: World, name: str = "mallory") -> User:
    return User.create(name, "laptop", world.wall_ms - 1_000_000, SeededEntropy(name))


def member_at(world: World) -> tuple[GroupId, Device, Device, Scripted]:
    """Ana, and ben's keys in the hands of a program that is up to no good."""
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.run(60_000)
    script = Scripted(world, ana, ben.user).shake_hands()
    script.name_groups(secret_of(ben, family))
    world.run(100)
    assert script.heard(Level)
    return family, ana, ben, script


# --- Who is no member. --------------------------------------------------------------------------


def test_a_stranger_learns_of_no_group() -> None:
    world = World()
    _, (ana, _) = family_of(world, "ana", "ben")
    script = Scripted(world, ana, stranger(world)).shake_hands()
    script.name_groups(Secret(b"\1" * 32), Secret(b"\2" * 32))
    world.run(10_000)
    kinds = {type(decode_untrusted(data)) for data in script.plug.heard}
    assert kinds == {Hello, Proof, Groups}
    script.say(Want(0, Kind.RECORDS, (b"k",)))
    assert script.is_cut_off


def test_the_names_of_groups_mean_nothing_on_another_connection() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    mallory = stranger(world)
    listening = Scripted(world, ana, mallory).shake_hands()
    world.run(1_000)
    overheard = listening.heard(Groups)
    for device in (ana, ben):
        script = Scripted(world, device, mallory, seed="again").shake_hands()
        script.say(*overheard)
        assert not script.heard(Level)
        assert not script.heard(Unproven)


def test_who_has_learnt_a_groups_secret_and_is_no_member_gets_nothing() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    script = Scripted(world, ana, stranger(world)).shake_hands()
    script.name_groups(secret_of(ana, family))
    world.run(1_000)
    assert not script.heard(Level)
    assert not script.heard(Batch)
    assert script.heard(Unproven)
    script.say(Want(0, Kind.RECORDS, (note.modified.to_bytes(6, "big") + note.id.encode(),)))
    assert script.is_cut_off
    assert ana.engine.refusals() == {"not-a-member": 1}


@pytest.mark.parametrize("message", [
    Want(0, Kind.STATEMENTS, (b"k",)),
    Batch(0, Kind.RECORDS, 0, (b"{}",), (b"\1" + b"\0" * 64,)),
    Served(0),
])  # fmt: skip
def test_who_is_no_member_is_cut_off_for_more_than_an_introduction(message: Message) -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    script = Scripted(world, ana, stranger(world)).shake_hands()
    script.name_groups(secret_of(ana, family))
    script.say(message)
    assert script.is_cut_off


def test_nobody_takes_the_place_of_a_member_by_claiming_its_ids() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.run(60_000)
    impostor = replace(stranger(world), id=ben.user.id, device=ben.user.device)
    script = Scripted(world, ana, impostor).shake_hands()
    script.name_groups(secret_of(ana, family))
    assert not script.heard(Level)
    assert script.heard(Unproven)


def test_nobody_becomes_the_owner_of_a_group_that_another_founded() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    mallory = stranger(world)
    founding = Body(
        RecordId(family), family, GROUP_TYPE, world.wall_ms - 10, mallory.id, mallory.device,
        msgspec.to_builtins(Founding("00" * 16)),
    )  # fmt: skip
    script = Scripted(world, ana, mallory).shake_hands()
    script.name_groups(secret_of(ana, family))
    claim = [*mallory.statements, compose(mallory.device_key, founding)]
    script.gives(*claim, kind=Kind.STATEMENTS)
    assert mallory.id not in ana.members(family)
    assert ana.members(family)[ana.user.id] is Role.ADMIN


def test_a_member_cannot_give_itself_a_higher_role() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    state = ana.perform(lambda turn: turn.state(family))
    mine = next(state.grants_of(ben.user.id))
    consent = next(each for each, _ in state.joins_of(ben.user.id, ben.user.device))
    form = GrantForm(mine.hash.hex(), ben.user.id, "admin", consent.hash.hex())
    grant = Body(
        RecordId(NOTE), family, GRANT_TYPE, world.wall_ms, ben.user.id, ben.user.device,
        msgspec.to_builtins(form),
    )  # fmt: skip
    script.gives(compose(ben.user.device_key, grant), kind=Kind.STATEMENTS)
    assert ana.members(family)[ben.user.id] is Role.WRITER
    assert ana.engine.refusals() == {"does-not-stand": 1}


# --- The handshake. -----------------------------------------------------------------------------


def test_a_relay_in_the_middle_is_found_out_by_both_sides() -> None:
    world = World()
    _, (ana, ben) = family_of(world, "ana", "ben")
    to_ana, to_ben = world.plug(ana), world.plug(ben, dialled=False)
    done = [0, 0]
    for _ in range(10):
        world.run(20)
        for place, (source, target) in enumerate([(to_ana, to_ben), (to_ben, to_ana)]):
            for data in source.heard[done[place] :]:
                target.say(data)
            done[place] = len(source.heard)
    assert to_ana.hung_up is not None
    assert to_ben.hung_up is not None
    assert ana.hangups[-1].startswith("bad-proof")
    assert ben.hangups[-1].startswith("bad-proof")
    said = [decode_untrusted(data) for plug in (to_ana, to_ben) for data in plug.heard]
    assert not any(isinstance(each, Groups) for each in said)


def test_a_handshake_cannot_be_replayed() -> None:
    world = World()
    _, (ana, _) = family_of(world, "ana", "ben")
    said = [sent.data for sent in world.sent if sent.sender == "ben" and sent.receiver == "ana"]
    plug = world.plug(ana)
    for data in said:
        plug.say(data)
    world.run(1_000)
    assert plug.hung_up is not None
    assert ana.hangups[-1].startswith("bad-proof")


def test_a_device_is_not_taken_in_by_its_own_reflection() -> None:
    world = World()
    _, (ana, _) = family_of(world, "ana", "ben")
    plug = world.plug(ana)
    world.run(20)
    plug.say(plug.heard[0])
    world.run(20)
    assert plug.hung_up is not None
    assert ana.hangups[-1].startswith("bad-proof")


def test_a_reflected_proof_fails_even_under_another_device_id() -> None:
    world = World()
    _, (ana, _) = family_of(world, "ana", "ben")
    plug = world.plug(ana)
    world.run(20)
    hello = decode_untrusted(plug.heard[0])
    assert isinstance(hello, Hello)
    plug.say(encode(msgspec.structs.replace(hello, device=NOTE)))
    world.run(20)
    plug.say(plug.heard[1])
    world.run(20)
    assert ana.hangups[-1].startswith("bad-proof")


def test_who_never_completes_the_handshake_is_cut_off() -> None:
    world = World()
    _, (ana, _) = family_of(world, "ana", "ben")
    plug = world.plug(ana)
    world.run(limits.HANDSHAKE_MS - 1)
    assert plug.hung_up is None
    world.run(20)
    assert plug.hung_up is not None


# --- Records that should not be. ----------------------------------------------------------------


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
    family, ana, _, script = member_at(world)
    foreign = written_by(stranger(world), family, NOTE, world.wall_ms, {"title": "mine"})
    script.gives(foreign)
    assert ana.get(family, RecordId(NOTE)) is None
    assert not script.is_cut_off


def test_nobody_writes_in_anothers_name() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    note = ana.put(family, "note", {"title": "Milk"})
    as_ana = replace(ana.user, device_key=ben.user.device_key)
    script.gives(written_by(as_ana, family, note.id, world.wall_ms + 1, {"title": "mine"}))
    assert ana.get(family, note.id) == note
    assert ana.engine.refusals() == {"bad-signature": 1}


@pytest.mark.parametrize("foreign", ["personal", "statement"])
def test_what_is_compared_under_a_group_is_judged_under_it(foreign: str) -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    if foreign == "personal":
        item = written_by(ben.user, GroupId(ana.user.id), NOTE, world.wall_ms, {"title": "mine"})
    else:
        item = ben.user.statements[0]
    before = ana.records(GroupId(ana.user.id))
    script.gives(item)
    assert script.is_cut_off
    assert ana.hangups[-1].startswith("wrong-group")
    assert ana.records(GroupId(ana.user.id)) == before


def test_a_member_without_the_right_to_write_changes_nothing_and_is_not_asked_again() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    cleo = world.device("cleo")
    cleo.join(ana.invite(family, "reader"))
    world.settle()
    cleo.go_offline()
    world.run(60_000)
    script = Scripted(world, ana, cleo.user).shake_hands()
    script.name_groups(secret_of(cleo, family))
    script.gives(written_by(cleo.user, family, NOTE, world.wall_ms, {"title": "mine"}))
    assert ana.get(family, RecordId(NOTE)) is None
    assert ana.read(lambda snapshot: snapshot.counts(family)).refused == {"no-role": 1}
    assert not script.is_cut_off


def test_who_was_let_in_later_cannot_write_as_if_it_had_been_before() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    script.gives(written_by(ben.user, family, NOTE, ana.user.statements[0].modified, {}))
    assert ana.get(family, RecordId(NOTE)) is None
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


def test_what_is_dated_to_the_end_of_time_never_counts() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    note = ana.put(family, "note", {"title": "Milk"})
    script.gives(written_by(ben.user, family, note.id, limits.TIME_MS_MAX, {"title": "mine"}))
    world.run(365 * 24 * 60 * 60 * 1000)
    assert ana.get(family, note.id) == note


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


# --- Messages that should not be. ---------------------------------------------------------------


@pytest.mark.parametrize("message", [
    Ack(0),
    Served(0),
    Served(1),
    Unproven(7),
    Want(9, Kind.RECORDS, (b"k",)),
    Hello((1,), b"n" * 32, NOTE, NOTE, b"k" * 32, (), ("zstd",)),
    Proof(b"s" * 64, 0),
    Batch(0, Kind.RECORDS, 0, (b"{}",), ()),
    Batch(0, Kind.RECORDS, 0, (b"{}",), (b"",)),
])  # fmt: skip
def test_what_nobody_asked_for_ends_the_connection(message: Message) -> None:
    world = World()
    _, ana, _, script = member_at(world)
    script.say(message)
    assert script.is_cut_off
    assert sum(ana.engine.refusals().values()) == 1


@pytest.mark.parametrize("place", range(60))
def test_no_bytes_do_more_than_end_the_connection(place: int) -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    chance = random.Random(place)
    note = written_by(ben.user, family, NOTE, world.wall_ms, {"title": "Milk" * 100})
    whole: list[bytes] = [
        encode(Batch(0, Kind.RECORDS, 0, (note.body,), (note.signature,))),
        encode(Want(0, Kind.RECORDS, (b"key",))),
        *(sent.data for sent in world.sent if sent.receiver == "ana"),
    ]
    while not script.is_cut_off:
        data = bytearray(chance.choice(whole))
        match chance.randrange(4):
            case 0:
                data = bytearray(chance.randbytes(chance.randrange(200)))
            case 1:
                del data[chance.randrange(len(data)) :]
            case 2:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case _:
                data[chance.randrange(len(data))] = chance.randrange(256)
        script.say(bytes(data))
    assert ana.put(family, "note", {"title": "still there"})


def test_a_message_over_the_bound_is_not_even_read() -> None:
    world = World()
    _, ana, _, script = member_at(world)
    script.say(b"\0" * (limits.MESSAGE_BYTES + 1))
    assert script.is_cut_off
    assert ana.engine.refusals() == {"oversize": 1}


def test_a_message_that_unpacks_to_more_than_the_bound_is_not_unpacked() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    bodies = (b"\0" * limits.BODY_BYTES,) * 100
    script.say(encode(Batch(0, Kind.RECORDS, 0, bodies, (b"\1" + b"\0" * 64,) * 100)))
    assert script.is_cut_off
    assert ana.engine.refusals() == {"oversize": 1}


def test_more_batches_than_the_window_allows_end_the_connection() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    world.conditions = Conditions(verify_ms=(60_000, 60_000))
    notes = [
        written_by(ben.user, family, f"{NOTE}:{n}", world.wall_ms + n, {"n": n}) for n in range(60)
    ]
    for number, note in enumerate(notes):
        script.plug.say(encode(Batch(0, Kind.RECORDS, number, (note.body,), (note.signature,))))
    world.run(1_000)
    assert script.is_cut_off
    assert ana.engine.refusals() == {"too-many": 1}


def test_more_requests_than_the_bound_end_the_connection() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    notes = ana.put_many(family, "note", [{"n": n} for n in range(50)])
    keys = tuple(note.modified.to_bytes(6, "big") + note.id.encode() for note in notes)
    for _ in range(limits.WANTS_OPEN + 100):
        script.plug.say(encode(Want(0, Kind.RECORDS, keys)))
    world.run(1_000)
    assert script.is_cut_off
    assert len(script.heard(Batch)) <= 2 * limits.WINDOW_BATCHES


def test_who_never_acknowledges_is_cut_off_and_sent_no_more_than_a_window() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    for number in range(100):
        ana.put(family, "note", {"n": number})
        world.run(100)
    assert len(script.heard(Batch)) <= 2 * limits.WINDOW_BATCHES
    world.run(limits.ANSWER_MS)
    assert script.is_cut_off


def test_who_never_answers_a_comparison_is_cut_off() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.run(60_000)
    script = Scripted(world, ana, ben.user, dialled=False).shake_hands()
    script.name_groups(secret_of(ben, family))
    shown = script.heard(Level)[0]
    other = msgspec.structs.replace(shown.records, digest=b"\1" * 16)
    script.say(Level(0, shown.statements, other))
    assert script.heard(Ranges)
    world.run(limits.ANSWER_MS)
    assert script.is_cut_off
    assert ana.hangups[-1].startswith("timeout")


def test_levels_that_change_for_ever_are_each_answered_by_a_bounded_number_of_messages() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    shown = script.heard(Level)[0]
    before = len(script.plug.heard)
    for number in range(100):
        digest = number.to_bytes(16, "big")
        script.say(
            Level(0, shown.statements, msgspec.structs.replace(shown.records, digest=digest))
        )
    assert len(script.plug.heard) - before <= 100


def test_compared_before_anything_was_shown_does_no_harm() -> None:
    world = World()
    family, ana, _, script = member_at(world)
    script.say(Compared(0), Compared(0))
    assert ana.put(family, "note", {})

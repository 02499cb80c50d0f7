"""What becomes of messages that should not be, from members that speak as they like."""

from __future__ import annotations

import random

import msgspec
import pytest

from peerstack import limits
from peerstack.session.wire import (
    Ack,
    Batch,
    Compared,
    Gap,
    Hello,
    Kind,
    Level,
    Message,
    Proof,
    Ranges,
    Served,
    Unproven,
    Want,
    encode,
)
from peerstack.store import key_of
from peerstack.testing.conditions import Conditions
from peerstack.testing.world import World
from tests.simulation.people import family_of
from tests.simulation.scripted import NOTE, Scripted, member_at, secret_of, written_by
from tests.store.watching import trace


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
    kept = ana.put(family, "note", {"title": "still there"})
    assert ana.get(family, kept.id) == kept


def test_a_message_over_the_bound_is_not_even_read() -> None:
    world = World()
    _, ana, _, script = member_at(world)
    script.say(b"\0" * (limits.MESSAGE_BYTES + 1))
    assert script.is_cut_off
    assert ana.engine.refusals() == {"oversize": 1}


def test_a_message_that_unpacks_to_more_than_the_bound_is_not_unpacked() -> None:
    world = World()
    _, ana, _, script = member_at(world)
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
    family, ana, _, script = member_at(world)
    notes = ana.put_many(family, "note", [{"n": n} for n in range(50)])
    keys = tuple(note.modified.to_bytes(6, "big") + note.id.encode() for note in notes)
    for _ in range(limits.WANTS_OPEN + 100):
        script.plug.say(encode(Want(0, Kind.RECORDS, keys)))
    world.run(1_000)
    assert script.is_cut_off
    assert len(script.heard(Batch)) <= 2 * limits.WINDOW_BATCHES


def test_requests_are_bounded_while_what_is_shown_unasked_has_no_room() -> None:
    """The peer acknowledges nothing, and says that it knows nobody: it is shown who is who."""
    world = World()
    family, ana, _, script = member_at(world)
    for number in range(2 * limits.WINDOW_BATCHES):
        ana.put(family, "note", {"n": number})
        world.run(100)
    (peer,) = ana.engine.peers.values()
    assert peer.unacknowledged == 2 * limits.WINDOW_BATCHES
    script.say(Unproven(0))
    assert peer.channels[family].introduction.due

    for _ in range(limits.WANTS_OPEN + 100):
        script.plug.say(encode(Want(0, Kind.RECORDS, (b"key",))))
    world.run(1_000)

    assert script.is_cut_off
    assert ana.engine.refusals() == {"too-many": 1}


def test_a_member_who_asks_for_what_is_in_another_group_gets_nothing() -> None:
    """It names them, or all there are, in the one group that it is in."""
    world = World()
    _, ana, _, script = member_at(world)
    own = ana.put(ana.user.id, "note", {"title": "mine"})
    edited = ana.put(ana.user.id, "note", {"title": "mine alone"}, over=own)
    world.settle()
    keys = tuple(key_of(each.modified, each.id) for each in (own, edited))
    before = len(script.heard(Served))

    script.say(
        Want(0, Kind.RECORDS, keys),
        Want(0, Kind.RECORDS, (), (Gap(b"", None),)),
        Want(0, Kind.CONFLICTS, (own.hash,)),
    )

    assert len(script.heard(Served)) == before + 3
    assert not script.is_cut_off
    assert b"mine" not in b"".join(served_by(script))


def served_by(script: Scripted) -> set[bytes]:
    return {body for batch in script.heard(Batch) for body in batch.bodies}


def test_a_member_gets_the_statements_of_the_group_by_name_and_those_of_no_other() -> None:
    world = World()
    family, ana, _, script = member_at(world)
    work = ana.create_group("Work")
    cleo = world.device("cleo")
    cleo.join(ana.invite(work))
    world.settle()
    mine = ana.perform(lambda turn: turn.statements(family))
    others = ana.perform(lambda turn: turn.statements(work))
    assert {each.hash for each in cleo.user.statements} <= {each.hash for each in others}

    script.say(Want(0, Kind.STATEMENTS, tuple(each.hash for each in (*others, *mine))))

    assert served_by(script) == {each.body for each in mine}


def test_to_ask_for_one_statement_does_not_read_the_whole_group() -> None:
    world = World()
    family, ana, _, script = member_at(world)
    for _ in range(20):
        ana.invite(family)
    world.run(1_000)
    wanted = ana.perform(lambda turn: turn.tx.statements(family))[-1]
    ran = trace(ana.store._writer)

    script.say(Want(0, Kind.STATEMENTS, (wanted.hash,)))

    assert wanted.body in served_by(script)
    assert not [sql for sql in ran if "FROM statements" in sql and "hash IN" not in sql]


def test_who_never_acknowledges_is_cut_off_and_sent_no_more_than_a_window() -> None:
    world = World()
    family, ana, _, script = member_at(world)
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
    script = Scripted(world, ana, ben.user, dialled=True).shake_hands()
    script.name_groups(family, secret_of(ben, family))
    shown = script.shown
    other = msgspec.structs.replace(shown.records, digest=b"\1" * 16)
    script.say(Level(0, shown.statements, other))
    assert script.heard(Ranges)
    world.run(limits.ANSWER_MS)
    assert script.is_cut_off
    assert ana.hangups[-1].startswith("timeout")


def test_who_says_other_things_than_what_it_owes_is_cut_off_in_the_end() -> None:
    """Without what it owes: neither words that cost nothing, nor news, nor levels that close."""
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.run(60_000)
    script = Scripted(world, ana, ben.user, dialled=True).shake_hands()
    script.name_groups(family, secret_of(ben, family))
    shown = script.shown
    other = msgspec.structs.replace(shown.records, digest=b"\1" * 16)
    script.say(Level(0, shown.statements, other))
    assert script.heard(Ranges)
    began_ms, number = world.now_ms, 0
    while not script.is_cut_off and world.now_ms < began_ms + 2 * limits.OWED_MS:
        script.say(Compared(0), Level(0, shown.statements, other, True))
        news = written_by(ben.user, family, NOTE, world.wall_ms, {"n": number})
        script.gives(news, number=number)
        number += 1
        world.run(limits.ANSWER_MS // 2)
    assert script.is_cut_off
    assert ana.hangups[-1].startswith("timeout")
    assert world.now_ms - began_ms <= limits.OWED_MS + limits.ANSWER_MS


def test_who_goes_on_to_give_what_it_owes_has_all_its_time_for_each_part() -> None:
    world = World()
    family, ana, _, script = member_at(world)
    notes = [ana.put(family, "note", {"n": n}) for n in range(12)]
    world.run(1_000)
    numbers = [batch.number for batch in script.heard(Batch)]
    assert len(numbers) == len(notes)
    for number in numbers[:-1]:
        world.run(limits.ANSWER_MS - 3_000)
        script.say(Ack(number))
        assert not script.is_cut_off
    world.run(limits.ANSWER_MS)
    assert script.is_cut_off


def test_levels_that_change_for_ever_are_each_answered_by_a_bounded_number_of_messages() -> None:
    world = World()
    _, _, _, script = member_at(world)
    shown = script.shown
    before = len(script.plug.heard)
    for number in range(100):
        digest = number.to_bytes(16, "big")
        script.say(
            Level(0, shown.statements, msgspec.structs.replace(shown.records, digest=digest))
        )
    assert len(script.plug.heard) - before <= 100


def test_a_first_level_that_leaves_something_out_ends_the_connection() -> None:
    _, ana, _, script = member_at(World())
    script.say(Level(0, None, script.shown.records))

    assert script.is_cut_off
    assert ana.engine.refusals() == {"unexpected": 1}


def test_compared_before_anything_was_shown_does_no_harm() -> None:
    world = World()
    family, ana, _, script = member_at(world)
    script.say(Compared(0), Compared(0))
    assert not script.is_cut_off
    assert not ana.is_level(family)

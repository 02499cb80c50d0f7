"""The faults of the simulated world are as bad as they say; its invariants notice what breaks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from peerstack import limits
from peerstack.engine import Turn, ending
from peerstack.ids import GroupId, RecordId
from peerstack.record import Body, Signed, compose
from peerstack.session.wire import Batch, Kind, encode
from peerstack.store import Change
from peerstack.testing.conditions import CALM, HOSTILE, Conditions
from peerstack.testing.device import Device
from peerstack.testing.invariants import Broken
from peerstack.testing.liar import HABITS, LIES, Liar
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of

NOTE = RecordId("01J8Z0000000000000000000AB")


def test_a_slow_line_takes_as_long_as_its_bytes_do() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    world.conditions = Conditions(bytes_per_s=10_000)
    since, begins_ms = len(world.sent), world.now_ms
    note = ana.put(family, "note", {"text": "".join(f"{n:x}" for n in range(12_000))})
    world.run_until(lambda: ben.get(family, note.id) is not None)
    (batch,) = (sent for sent in world.sent[since:] if sent.kind == "Batch")
    assert world.now_ms - begins_ms >= len(batch.data) * 1000 // 10_000


def test_over_slow_lines_by_a_lying_server_devices_come_level_all_the_same() -> None:
    world = World("hostile server", HOSTILE)
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    ben.join(ana.invite(family))
    ana.put_many(family, "note", [{"n": n} for n in range(200)])
    world.run(60 * 60_000)
    world.conditions = CALM
    world.settle()
    assert_level(family, [ana, ben])
    assert ben.engine.refusals() or ana.engine.refusals(), "the server told no lies"


def test_a_crash_before_the_commit_leaves_nothing_of_the_turn_and_one_behind_it_all() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    for committed in (True, False):
        boots, before = ben.boots, ben.records(family)
        ben.crash_after(1, committed=committed)
        ana.put(family, "note", {"committed": committed})
        while ben.boots == boots:
            world.step()
        assert ben.records(family) == before, "the first event only brings what is then checked"
        world.settle()
        assert_level(family, [ana, ben])


def test_a_turn_that_is_lost_was_written_and_is_one_that_an_event_brought_about() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    boots = ben.boots
    # The batch comes, and then that it was checked, which writes it.
    ben.crash_after(2, committed=False)
    own = [ben.put(family, "note", {"by": "an app"}) for _ in range(2)]
    ben.go_offline()
    ben.crash_after(1, committed=False)
    ben.go_online()
    assert ben.boots == boots
    world.settle()
    assert ben.boots == boots + 1

    ben.crash_after(2, committed=False)
    written = ben.store.rows_written()
    note = ana.put(family, "note", {"by": "ana"})
    world.run_until(lambda: ben.boots > boots + 1)
    assert ben.store.rows_written() > written
    assert ben.get(family, note.id) is None
    assert all(ben.get(family, each.id) for each in own)
    world.settle()
    assert_level(family, [ana, ben])


def test_nothing_that_a_liar_says_is_live_or_keeps_others_from_being_level() -> None:
    world = World("liar")
    family, (ana, ben, liar) = family_of(world, "ana", "ben", "liar")
    told = Liar(liar.user, "every lie", lambda: [sent.data for sent in world.sent], chance=0.5)
    liar.tongue = told
    for round_ in range(240):
        device = (ana, ben, liar)[round_ % 3]
        device.put(family, "note", {"round": round_})
        world.run(20_000)
    assert all(told.told.values()), told.told
    assert set(told.told) == {lie.__name__ for lie in (*LIES, *HABITS)}
    liar.go_offline()
    world.settle()
    assert_level(family, [ana, ben])
    mine = {"forged": True}, {"mine": True}
    by_others = (each for each in ana.records(family).values() if each.signer != liar.user.id)
    assert not [each for each in by_others if each.value in mine]


# --- What is broken is noticed. -------------------------------------------------------------------


def note_by(device: Device, group: GroupId, *, signed: bool = True) -> Signed:
    user = device.user
    body = Body(NOTE, group, "note", device.now().wall_ms, user.id, user.device, {"n": 1})
    composed = compose(user.device_key, body)
    return composed if signed else replace(composed, signature=b"\1" + bytes(64))


def make_live(device: Device, signed: Signed) -> None:
    device.perform(lambda turn: turn.tx.apply([Change(signed, None, "local")], 0))


def test_a_record_that_is_live_without_a_signature_or_a_right_is_noticed() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    with pytest.raises(Broken, match="valid signature"):
        make_live(ana, note_by(ana, family, signed=False))
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.set_role(family, ben.user.id, "reader")
    world.settle()
    with pytest.raises(Broken, match="live although"):
        make_live(ana, note_by(ben, family))


def test_what_is_broken_is_noticed_while_others_wait_to_be_judged() -> None:
    """At once, of who does not wait; of who does, when their turn has come."""
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.put(family, "note", {"n": 0})
    world.settle()

    def remove_and_break(turn: Turn) -> None:
        ending.remove(turn, family, ben.user.id)
        turn.tx.apply([Change(note_by(ana, family, signed=False), None, "local")], 0)

    with pytest.raises(Broken, match="valid signature"):
        ana.perform(remove_and_break)

    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")

    def break_what_waits(turn: Turn) -> None:
        ending.set_role(turn, family, ben.user.id, "admin")
        turn.tx.apply([Change(note_by(ben, family, signed=False), None, "local")], 0)

    ana.perform(break_what_waits)
    with pytest.raises(Broken, match="valid signature"):
        world.run(60_000)


def test_a_timer_that_is_left_over_at_rest_is_noticed() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    ana.engine._pass_on_at[family] = ana.now().mono_ms + 60 * 60_000
    with pytest.raises(Broken, match="timers=1"):
        world.settle()


def test_more_than_a_bound_is_noticed_after_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    (family, (ana, _)) = family_of(world, "ana", "ben")
    monkeypatch.setattr(limits, "HELD_RECORDS_PER_GROUP", -1)
    with pytest.raises(Broken, match="0 held"):
        ana.put(family, "note", {"n": 1})


def test_a_record_that_goes_to_a_stranger_is_noticed() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    plug = world.plug(ana)
    signed = note_by(ana, family)
    batch = encode(Batch(0, Kind.RECORDS, 0, (signed.body,), (signed.signature,)))
    assert plug.end.other is not None
    with pytest.raises(Broken, match="no member"):
        world.pipes.send(plug.end.other, batch)


def test_who_tampers_with_its_own_store_is_not_held_to_anything() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    ana.tampered = True
    make_live(ana, note_by(ana, family, signed=False))
    assert not ana.honest

"""What they learn and change who are no members, whatever keys and secrets they hold."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from peerstack import limits
from peerstack.groups.statements import GRANT_TYPE, GROUP_TYPE, Founding, GrantForm, Role
from peerstack.ids import RecordId
from peerstack.keys import Secret
from peerstack.record import Body, compose
from peerstack.session.wire import (
    Batch,
    Groups,
    Hello,
    Kind,
    Level,
    Message,
    Proof,
    Served,
    Unproven,
    Want,
    decode_untrusted,
    encode,
)
from peerstack.testing.world import World
from tests.simulation.people import family_of
from tests.simulation.scripted import NOTE, Scripted, member_at, secret_of, stranger


def test_a_stranger_learns_of_no_group() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    script = Scripted(world, ana, stranger(world)).shake_hands()
    script.name_groups(family, Secret(b"\1" * 32), Secret(b"\2" * 32))
    world.run(10_000)
    kinds = {type(decode_untrusted(data)) for data in script.plug.heard}
    assert kinds == {Hello, Proof, Groups}
    script.say(Want(0, Kind.RECORDS, (b"k",)))
    assert script.is_cut_off


def test_the_names_of_groups_mean_nothing_on_another_connection() -> None:
    world = World()
    _, (ana, ben) = family_of(world, "ana", "ben")
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
    script.name_groups(family, secret_of(ana, family))
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
    script.name_groups(family, secret_of(ana, family))
    script.say(message)
    assert script.is_cut_off


def test_nobody_takes_the_place_of_a_member_by_claiming_its_ids() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.run(60_000)
    impostor = replace(stranger(world), id=ben.user.id, device=ben.user.device)
    script = Scripted(world, ana, impostor).shake_hands()
    script.name_groups(family, secret_of(ana, family))
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
    script.name_groups(family, secret_of(ana, family))
    claim = [*mallory.statements, compose(mallory.device_key, founding)]
    script.gives(*claim, kind=Kind.STATEMENTS)
    assert mallory.id not in ana.members(family)
    assert ana.members(family)[ana.user.id] is Role.ADMIN


def test_a_member_cannot_give_itself_a_higher_role() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    state = ana.perform(lambda turn: turn.state(family))
    mine = state.open_grants(ben.user.id)[0]
    consent = next(each for each, _ in state.joins_of(ben.user.id, ben.user.device))
    form = GrantForm(mine.hash.hex(), ben.user.id, "admin", consent.hash.hex())
    grant = Body(
        RecordId(NOTE), family, GRANT_TYPE, world.wall_ms, ben.user.id, ben.user.device,
        msgspec.to_builtins(form),
    )  # fmt: skip
    script.gives(compose(ben.user.device_key, grant), kind=Kind.STATEMENTS)
    assert ana.members(family)[ben.user.id] is Role.WRITER
    assert ana.engine.refusals() == {"does-not-stand": 1}


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

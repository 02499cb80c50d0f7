"""What a member says so often that others' bounds are full: honest work arrives all the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from peerstack import limits
from peerstack.engine import Turn, statements
from peerstack.engine.effects import Verify
from peerstack.engine.ending import end_invite
from peerstack.engine.statements import StatementsArrival
from peerstack.engine.writing import add_own_statements
from peerstack.groups.invites import (
    InviteLink,
    decode_untrusted_link,
    invite_signer,
    invite_topic,
)
from peerstack.groups.statements import JOIN_TYPE, Join, Role, invite_proof_payload
from peerstack.ids import DeviceId, GroupId, IdFactory
from peerstack.keys import DerivedIdCheck, Label, Secret, SignatureCheck
from peerstack.record import Signed
from peerstack.session.wire import Kind
from peerstack.store import UNCHECKED, Sender
from peerstack.testing.conditions import Conditions
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy
from tests.groups import endings
from tests.people import Person, person
from tests.simulation.hostile import Scene, keys_of, tell
from tests.simulation.people import assert_level
from tests.simulation.scripted import Scripted, secret_of, stranger
from tests.store.watching import trace

ROOM = 3


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Little room for what waits."""
    monkeypatch.setattr(limits, "PENDING_STATEMENTS_PER_GROUP", ROOM)
    monkeypatch.setattr(limits, "HELD_RECORDS_PER_GROUP", ROOM)
    monkeypatch.setattr(limits, "QUARANTINED_PER_GROUP", ROOM)
    found = Scene.begin()
    found.off_the_net()
    found.world.run(60_000)
    return found


def test_what_waits_for_what_never_was_keeps_no_newcomer_out(scene: Scene) -> None:
    """Neither seals that name hashes never seen, nor records of who does not exist."""
    ben, at_ms, right = scene.mallory, scene.world.wall_ms, scene.right_of(scene.ben)
    never = [endings.closes(ben, right, right, at_ms + n) for n in range(2 * ROOM)]
    seals = [endings.seals(ben, right, each, at_ms + 100)[0] for each in never]
    strangers = [person(f"nobody {n}").writes(scene.group, at_ms) for n in range(2 * ROOM)]
    scene.forbid(*strangers)
    for device in scene.honest:
        scene.tell(device, [*strangers, *seals])
        counts = device.read(lambda snapshot: snapshot.counts(scene.group))
        assert counts.pending_statements == ROOM

    link = scene.ana.invite(scene.group)
    scene.world.settle()
    scene.world.partition({scene.ana}, {scene.dora, scene.cy})
    scene.ana.go_offline()
    fay = scene.world.device("fay")
    fay.join(link)
    scene.world.settle()
    note = fay.put(scene.group, "note", {"by": "fay"})
    scene.cy.set_role(scene.group, fay.user.id, "admin")
    scene.world.settle()
    scene.world.heal()
    scene.ana.go_online()
    scene.world.settle()

    assert_level(scene.group, [*scene.honest, fay])
    assert scene.ana.get(scene.group, note.id) == note
    assert scene.ana.members(scene.group)[fay.user.id] is Role.ADMIN
    scene.nothing_counts()


def test_a_quarantine_that_is_full_of_one_members_records_keeps_out_nothing_that_counts(
    scene: Scene,
) -> None:
    """Dora was removed too, and is let back in: what she writes then arrives."""
    ben, at_ms = scene.mallory, scene.world.wall_ms - 30_000
    scene.ana.go_offline()
    scene.cy.go_offline()
    note = scene.dora.put(scene.group, "note", {"by": "dora"})
    scene.dora.go_offline()
    scene.world.run(1_000)
    scene.ana.go_online()
    for user in (scene.ben.user.id, scene.dora.user.id):
        scene.ana.remove(scene.group, user)
    scene.cy.go_online()
    scene.world.settle()
    flood = [ben.writes(scene.group, at_ms + n) for n in range(2 * ROOM)]
    scene.forbid(*flood)
    scene.world.watch(scene.group, scene.never, scene.ana, scene.cy)
    for device in (scene.ana, scene.cy):
        scene.tell(device, flood)
    dora_said = scene.dora.read(lambda snapshot: snapshot.get(scene.group, note.id))
    assert dora_said is not None
    scene.tell(scene.cy, [dora_said])
    assert scene.cy.get(scene.group, note.id) is None
    counts = scene.cy.read(lambda snapshot: snapshot.counts(scene.group))
    assert counts.quarantined == ROOM

    scene.ana.set_role(scene.group, scene.dora.user.id, "writer")
    scene.dora.go_online()
    scene.world.settle()
    again = scene.dora.put(scene.group, "note", {"by": "dora, again"})
    scene.world.settle()

    assert all(each.get(scene.group, again.id) == again for each in scene.honest)
    scene.nothing_counts()


@pytest.mark.parametrize("proven", [False, True], ids=["stranger", "member"])
def test_what_waits_in_vain_makes_room_for_what_waits_for_good_reason(
    scene: Scene, *, proven: bool
) -> None:
    """Strangers who know a secret come under keys that cost nothing, one for each of them."""
    at_ms = scene.world.wall_ms
    promised = scene.mallory.invites(scene.right_of(scene.ana), at_ms)
    early = person("gil").joins(promised, at_ms + 1)
    scene.tell(scene.cy, [early])
    for n in range(2 * ROOM):
        puppet = scene.eve.user if proven else stranger(scene.world, f"puppet {n}")
        mine = [Person(puppet, IdFactory(SeededEntropy(f"{n}"))).joins(promised, at_ms + 9 + n)]
        secret = secret_of(scene.eve, scene.group)
        script = Scripted(scene.world, scene.cy, puppet, seed=f"puppet {n}").shake_hands()
        script.name_groups(scene.group, secret)
        script.gives(*mine, kind=Kind.STATEMENTS)
        assert script.acknowledged == [0]
        script.plug.end_it()

    honest = person("flo").joins(promised, at_ms + 2)
    scene.tell(scene.cy, [honest])

    waiting = scene.cy.read(lambda snapshot: snapshot.pending_statements(scene.group))
    assert honest in waiting
    assert len(waiting) == ROOM


def test_what_waits_is_let_go_of_after_a_week(scene: Scene) -> None:
    at_ms = scene.world.wall_ms
    promised = scene.mallory.invites(scene.right_of(scene.ana), at_ms)
    scene.tell(scene.cy, [person("gil").joins(promised, at_ms + 1)])
    counts = scene.cy.read(lambda snapshot: snapshot.counts(scene.group))
    assert counts.pending_statements == 1
    scene.world.run(limits.WAITING_MS + 2 * 60 * 60 * 1000)
    counts = scene.cy.read(lambda snapshot: snapshot.counts(scene.group))
    assert counts.pending_statements == 0


def test_what_cannot_be_checked_has_nothing_else_looked_at_that_waits(scene: Scene) -> None:
    at_ms = scene.world.wall_ms
    promised = scene.mallory.invites(scene.right_of(scene.ana), at_ms)
    ran = trace(scene.cy.store._writer)
    for n in range(3):
        scene.tell(scene.cy, [person(f"nobody {n}").joins(promised, at_ms + 1 + n)])
    assert any("INSERT INTO statements" in sql for sql in ran)
    read = [sql for sql in ran if "statements.body" in sql]
    assert not [sql for sql in read if "pending = 1" in sql and "waits_for" not in sql]


@pytest.mark.parametrize("flood", ["unknown signers", "far future"])
def test_what_one_member_has_held_in_vain_makes_room_for_what_others_send(
    scene: Scene, flood: str
) -> None:
    at_ms, soon_ms = scene.world.wall_ms, scene.world.wall_ms + limits.FUTURE_MS + 60_000
    early = keys_of(scene.dora).writes(scene.group, soon_ms)
    secret = secret_of(scene.eve, scene.group)
    tell(scene.world, scene.cy, scene.dora.user, scene.group, secret, [early])
    junk = [
        person(f"nobody {n}").writes(scene.group, at_ms)
        if flood == "unknown signers"
        else scene.mallory.writes(scene.group, at_ms + 10**12 + n)
        for n in range(2 * ROOM)
    ]
    scene.tell(scene.cy, junk)
    scene.tell(scene.cy, junk)

    scene.world.run(3 * 60_000)

    assert early.id in scene.cy.records(scene.group)


def test_what_no_statement_and_no_time_will_release_is_let_go_of_after_a_week(scene: Scene) -> None:
    scene.tell(scene.cy, [scene.mallory.writes(scene.group, scene.world.wall_ms + 10**12)])
    assert scene.cy.read(lambda snapshot: snapshot.counts(scene.group)).held == 1
    scene.world.run(limits.WAITING_MS + 2 * 60 * 60 * 1000)
    assert scene.cy.read(lambda snapshot: snapshot.counts(scene.group)).held == 0


def hold_unchecked(held: Sequence[Signed], sender: DeviceId, turn: Turn) -> None:
    turn.tx.hold(held, sender, turn.now.wall_ms, waits_for=UNCHECKED)


def test_what_is_held_is_taken_up_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn reads more of it than one slice, and all of it comes in the end."""
    monkeypatch.setattr(limits, "SLICE_RECORDS", 10)
    scene = Scene.begin()
    scene.off_the_net()
    scene.world.run(60_000)
    scene.cy.go_offline()
    scene.world.settle()
    flo = scene.world.device("flo")
    flo.join(scene.ana.invite(scene.group))
    scene.world.settle()
    notes = flo.put_many(scene.group, "note", [{"n": n} for n in range(35)])
    ids = [note.id for note in notes]
    held = list(flo.read(lambda snapshot: snapshot.live(scene.group, ids)).values())
    scene.cy.perform(partial(hold_unchecked, held, scene.eve.user.device))
    sizes: list[int] = []
    perform = scene.cy.engine.perform

    def counted(action: Any, now: Any) -> Any:
        result, effects = perform(action, now)
        sizes.extend(len(each.checks) for each in effects if isinstance(each, Verify))
        return result, effects

    monkeypatch.setattr(scene.cy.engine, "perform", counted)
    said = scene.ana.perform(lambda turn: turn.statements(scene.group))
    scene.cy.perform(lambda turn: add_own_statements(turn, scene.group, said))
    scene.world.run(1_000)

    assert all(scene.cy.get(scene.group, note.id) == note for note in notes)
    assert sizes == [10, 10, 10, 5]


def test_who_comes_again_and_again_has_no_more_checked_at_once() -> None:
    """What it sent before it went is still being checked, and counts."""
    scene = Scene.begin()
    scene.off_the_net()
    scene.world.run(60_000)
    scene.world.conditions = Conditions(verify_ms=(100_000, 100_000))
    secret, number = secret_of(scene.eve, scene.group), 0
    for _ in range(4):
        script = Scripted(scene.world, scene.ana, scene.eve.user, seed="eve").shake_hands()
        script.name_groups(scene.group, secret)
        for _ in range(20):
            number += 1
            note = keys_of(scene.eve).writes(scene.group, scene.world.wall_ms, {"n": number})
            script.gives(note, number=number)
        if not script.is_cut_off:
            script.plug.end_it()
    assert scene.ana.engine.queues.checks == 3 * limits.WINDOW_BATCHES
    assert script.is_cut_off
    assert scene.ana.hangups[-1].startswith("too-many")


def follow(
    arrival: StatementsArrival, holds: Sequence[bool], turn: Turn
) -> StatementsArrival | None:
    return statements.verified(turn, arrival, holds)


def test_no_id_is_derived_for_what_is_not_signed_by_the_key_that_it_names(scene: Scene) -> None:
    somebody = person("somebody else").user.statements
    forged = [msgspec.structs.replace(each, signature=b"\1" + bytes(64)) for each in somebody]
    join = person("somebody else").joins(
        scene.mallory.invites(scene.right_of(scene.ana), scene.world.wall_ms),
        scene.world.wall_ms + 1,
    )
    signer = Sender("11" * 32, False)

    def arrive(turn: Turn) -> StatementsArrival | None:
        return statements.receive(turn, scene.group, [*forged, join], signer)

    arrival = scene.ana.perform(arrive)
    assert arrival is not None
    assert all(isinstance(each, SignatureCheck) for each in arrival.checks)
    holds = [each.holds() for each in arrival.checks]
    assert scene.ana.perform(partial(follow, arrival, holds)) is None

    true = [*somebody, join]
    arrival = scene.ana.perform(lambda turn: statements.receive(turn, scene.group, true, signer))
    assert arrival is not None
    holds = [each.holds() for each in arrival.checks]
    following = scene.ana.perform(partial(follow, arrival, holds))
    assert following is not None
    assert all(isinstance(each, DerivedIdCheck) for each in following.checks)


@pytest.mark.parametrize("by", ["no invite", "an open one", "an ended one"])
def test_joins_that_let_nobody_in_fill_no_members_disk(by: str) -> None:
    """Who has a link signs as many as they like; by another invite, one joins as before."""
    scene = Scene.begin()
    scene.off_the_net()
    link = decode_untrusted_link(scene.ana.invite(scene.group))
    if by == "an ended one":
        scene.ana.perform(lambda turn: end_invite(turn, scene.group, link.invite_hash))
    scene.world.settle()
    at_ms = scene.world.wall_ms
    many = [person(f"nobody {n}") for n in range(limits.STRANGERS_JOINS // 2)]
    before = len(joins_at(scene.cy, scene.group))
    for stated in (at_ms, at_ms + 1, at_ms + 2, at_ms + 3):
        joins = [joined(who, scene, link, by, stated) for who in many]
        script = Scripted(
            scene.world, scene.cy, stranger(scene.world), seed=str(stated)
        ).shake_hands()
        script.name_groups(scene.group, invite_topic(Secret(link.seed)))
        introduced = [each for who in many for each in who.user.statements]
        script.gives(*introduced, *joins, kind=Kind.STATEMENTS)
        scene.world.run(5_000)
    scene.world.settle()

    assert len(joins_at(scene.ana, scene.group)) == before + limits.STRANGERS_JOINS
    newcomer = scene.world.device("newcomer")
    newcomer.join(scene.cy.invite(scene.group))
    scene.world.settle()
    assert newcomer.role(scene.group) is not None


def joined(who: Person, scene: Scene, link: InviteLink, by: str, at_ms: int) -> Signed:
    if by == "no invite":
        return who.consents(scene.group, at_ms)
    payload = invite_proof_payload(link.invite_hash, scene.group, who.id, who.user.device, at_ms)
    proof = invite_signer(Secret(link.seed)).sign(Label.INVITE, payload)
    return who.states(scene.group, JOIN_TYPE, at_ms, Join(link.invite.hex(), proof.hex()))


def joins_at(device: Device, group: GroupId) -> list[Signed]:
    said = device.read(lambda kept: kept.statements(group))
    return [each for each in said if each.type == JOIN_TYPE]

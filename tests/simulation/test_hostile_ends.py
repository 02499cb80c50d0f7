"""What who was removed can have honest admins' devices say: nothing."""

from __future__ import annotations

import pytest

from peerstack import limits
from peerstack.engine import Turn
from peerstack.engine.joining import join as ask_to_be_let_in
from peerstack.engine.joining import pending_joins
from peerstack.engine.parting import removed_lately
from peerstack.engine.secrets import shared_secrets
from peerstack.engine.writing import add_own_statements, sign_statement
from peerstack.errors import NotFound
from peerstack.groups.membership import Membership
from peerstack.groups.seals import NO_HASHES
from peerstack.groups.statements import (
    ADMIT_TYPE,
    CLOSE_TYPE,
    GRANT_TYPE,
    Admit,
    GrantForm,
    Role,
)
from peerstack.ids import GroupId, RecordId
from peerstack.keys import Hash, Secret
from peerstack.record import Body, Signed, compose, decode_untrusted
from peerstack.session.replica import SecretKind, SharedSecret
from peerstack.session.wire import Kind
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.groups import endings
from tests.people import person
from tests.simulation.ends import give, hand_over
from tests.simulation.hostile import Scene, keys_of
from tests.simulation.people import family_of
from tests.simulation.scripted import NOTE, Scripted, secret_of, written_by


def backdated_admit(insider: Device, group: GroupId, joins: Signed, at_ms: int) -> None:
    """Let somebody in, as if it had been before."""

    def act(turn: Turn) -> Hash:
        under = turn.state(group).grant_for(insider.user.id, Role.READER)
        assert under is not None
        form = Admit(under.hash.hex(), joins.hash.hex())
        admit = sign_statement(turn, group, ADMIT_TYPE, form, at_ms)
        add_own_statements(turn, group, [joins, admit])
        return admit.hash

    insider.perform(act)


def join_of(puppet: Device, group: GroupId, link: str) -> Signed:
    puppet.perform(lambda turn: ask_to_be_let_in(turn, link))
    pending = puppet.perform(pending_joins)[group]
    return decode_untrusted(pending.body.encode(), bytes.fromhex(pending.signature))


def test_an_admin_that_hears_of_a_removal_names_nothing_that_came_with_it_or_later() -> None:
    world = World(1)
    family, (ana, cy, ben) = family_of(world, "ana", "cy", "ben")
    ana.set_role(family, cy.user.id, "admin")
    link = ana.invite(family)
    world.settle()
    for device in (ben, cy):
        device.go_offline()
    puppet = world.device("puppet")
    puppet.go_offline()
    join = join_of(puppet, family, link)
    ben.perform(lambda turn: turn.tx.add_statements(puppet.user.statements))
    world.run(10_000)
    ana.remove(family, ben.user.id)
    # Its own device heard nothing: it lets the puppet in, before the removal, and tells Cy of it
    # together with the removal, or as soon as Cy has heard of that.
    backdated_admit(ben, family, join, join.modified + 1)
    hand_over(ana, ben, family)
    hand_over(ben, cy, family)
    cy.go_online()
    world.settle()

    for device in (ana, cy):
        assert puppet.user.id not in device.members(family)
        assert ben.user.id not in device.members(family)


def test_whom_a_removed_member_had_let_in_stays_where_an_admin_had_seen_it() -> None:
    world = World(2)
    family, (ana, cy, ben) = family_of(world, "ana", "cy", "ben")
    ana.set_role(family, cy.user.id, "admin")
    link = ana.invite(family)
    world.settle()
    ana.go_offline()
    dora = world.device("dora")
    cy.go_offline()
    dora.join(link)
    world.settle()
    ben.go_offline()
    cy.go_online()
    world.settle()
    assert cy.members(family).keys() > {dora.user.id}
    ana.remove(family, ben.user.id)
    ana.go_online()
    world.settle()

    for device in (ana, cy, dora):
        assert device.members(family).keys() == {each.user.id for each in (ana, cy, dora)}


@pytest.mark.parametrize("at_ms", [limits.STATEMENT_MS_MAX, limits.TIME_MS_MAX])
def test_who_leaves_in_the_far_future_does_not_write_on_without_being_listed(at_ms: int) -> None:
    """Nor does it stop the devices of admins, which seal a leave later than it."""
    world = World(3)
    family, (ana, cy, ben) = family_of(world, "ana", "cy", "ben")
    kept = ben.put(family, "note", {"text": "kept"})
    world.settle()
    ben.go_offline()
    world.run(60_000)
    leave = ben.perform(lambda turn: sign_leave(turn, family, at_ms))
    script = Scripted(world, ana, ben.user).shake_hands()
    script.name_groups(family, secret_of(ben, family))
    world.run(100)
    script.gives(leave, kind=Kind.STATEMENTS)
    world.settle()
    ghost = written_by(ben.user, family, NOTE, world.wall_ms, {"text": "by a ghost"})
    give(cy, ghost)
    world.settle()

    assert ana.get(family, kept.id) == kept
    listed = ben.user.id in ana.members(family)
    assert (ana.get(family, RecordId(NOTE)) is not None) == listed
    assert listed == (at_ms > limits.STATEMENT_MS_MAX), "that is no leave at all"


def sign_leave(turn: Turn, group: GroupId, at_ms: int) -> Signed:
    """With the user's key alone: no honest device would date it so."""
    user = turn.me.user
    under = turn.state(group).grant_for(user.id, Role.READER)
    assert under is not None
    value = {"under": under.hash.hex(), "target": under.hash.hex(), "count": 0}
    body = Body(
        id=RecordId(NOTE),
        group=group,
        type=CLOSE_TYPE,
        modified=at_ms,
        signer=user.id,
        device=user.device,
        value=value | {"root": NO_HASHES.hex()},
    )
    return compose(user.device_key, body)


def test_who_has_a_right_from_the_far_future_on_can_be_removed() -> None:
    world = World(4)
    family, (ana, cy, ben) = family_of(world, "ana", "cy", "ben")
    ana.set_role(family, cy.user.id, "admin")
    world.settle()

    def raise_ben(turn: Turn) -> None:
        state = turn.state(family)
        under, consent = state.grant_for(cy.user.id, Role.ADMIN), state.consent_of(ben.user.id)
        assert under is not None
        assert consent is not None
        form = GrantForm(under.hash.hex(), ben.user.id, "admin", consent.hex())
        at_ms = limits.STATEMENT_MS_MAX
        add_own_statements(turn, family, [sign_statement(turn, family, GRANT_TYPE, form, at_ms)])

    cy.perform(raise_ben)
    world.settle()
    ana.remove(family, ben.user.id)
    world.settle()

    for device in (ana, cy):
        assert device.members(family).keys() == {ana.user.id, cy.user.id}
        assert device.membership(family) is Membership.MEMBER


def test_who_left_by_a_thief_beyond_all_time_is_let_in_again_by_an_admin() -> None:
    scene = Scene.begin()
    scene.off_the_net()
    leave = endings.leaves(scene.mallory, scene.right_of(scene.ben), limits.STATEMENT_MS_MAX)
    scene.tell(scene.ana, [leave])
    scene.world.settle()
    assert scene.ben.user.id not in scene.cy.members(scene.group)
    with pytest.raises(NotFound):
        scene.ana.set_role(scene.group, scene.ben.user.id, "writer")

    scene.ana.remove(scene.group, scene.ben.user.id)
    scene.ana.set_role(scene.group, scene.ben.user.id, "writer")
    scene.ben.go_online()
    scene.world.settle()

    assert scene.ben.role(scene.group) is Role.WRITER
    note = scene.ben.put(scene.group, "note", {"by": "ben again"})
    scene.world.settle()
    assert all(each.get(scene.group, note.id) == note for each in scene.honest)


@pytest.mark.parametrize("by", ["close", "use"])
def test_an_end_that_is_dated_ahead_keeps_no_ended_invite_a_meeting_place_for_ever(by: str) -> None:
    scene = Scene.begin()
    scene.off_the_net()
    founding = scene.right_of(scene.ana)
    ana, at_ms, last_ms = keys_of(scene.ana), scene.world.wall_ms, limits.STATEMENT_MS_MAX
    invite = ana.invites(founding, at_ms, uses=1)
    joined = person("gil").joins(invite, at_ms + 1)
    of_gil = person("gil").user.statements
    ends = {
        "close": [endings.closes(ana, founding, invite, last_ms)],
        "use": [*of_gil, joined, ana.admits(founding, joined, last_ms)],
    }
    scene.tell(scene.cy, [invite, *ends[by]])
    for device in scene.honest:
        device.go_offline()

    def meets_by_it() -> bool:
        shared = scene.cy.perform(shared_secrets)
        return SharedSecret(scene.group, topic_of(invite), SecretKind.ENDED_INVITE) in shared

    assert meets_by_it()
    scene.world.run(limits.NEWCOMER_MS // 2)
    scene.cy.restart()
    assert meets_by_it()
    scene.world.run(limits.NEWCOMER_MS // 2)
    scene.cy.restart()
    assert not meets_by_it()


def topic_of(invite: Signed) -> Secret:
    return Secret(bytes.fromhex(invite.value["topic"]))


def test_who_was_removed_at_a_time_to_come_looks_for_the_others_for_a_while_alone() -> None:
    scene = Scene.begin()
    ana, dora = keys_of(scene.ana), scene.dora
    far = endings.closes(
        ana, scene.right_of(scene.ana), scene.right_of(dora), limits.STATEMENT_MS_MAX
    )
    dora.perform(lambda turn: add_own_statements(turn, scene.group, [far]))
    for device in (scene.ana, scene.cy, scene.ben, scene.eve):
        device.go_offline()
    assert list(dora.perform(removed_lately_of)) == [scene.group]
    scene.world.run(limits.NEWCOMER_MS)
    assert list(dora.perform(removed_lately_of)) == []


def removed_lately_of(turn: Turn) -> list[GroupId]:
    return list(removed_lately(turn))

"""What who was removed can have honest admins' devices say: nothing."""

from __future__ import annotations

from peerstack.engine import Turn
from peerstack.engine.joining import join as ask_to_be_let_in
from peerstack.engine.joining import pending_joins
from peerstack.engine.writing import add_own_statements, sign_statement
from peerstack.groups.statements import ADMIT_TYPE, Admit, Role
from peerstack.ids import GroupId
from peerstack.keys import Hash
from peerstack.record import Signed, decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.ends import hand_over
from tests.simulation.people import family_of


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

"""A right that arrives later than what was written by it."""

from __future__ import annotations

from peerstack.engine import Turn
from peerstack.engine.writing import add_own_statements, sign_statement, stamp_for_statement
from peerstack.groups.statements import GRANT_TYPE, GrantForm, Role
from peerstack.ids import GroupId
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of


def make_writer(admin: Device, group: GroupId, member: Device) -> None:
    """Raise a member's role, which no command does yet."""

    def grant(turn: Turn) -> None:
        state = turn.state(group)
        mine = next(state.grants_of(admin.user.id))
        consent = next(each for each, _ in state.joins_of(member.user.id, member.user.device))
        form = GrantForm(mine.hash.hex(), member.user.id, "writer", consent.hash.hex())
        stamp = stamp_for_statement(turn, state, consent.modified)
        signed = sign_statement(turn, group, GRANT_TYPE, form, stamp)
        add_own_statements(turn, group, [signed])

    admin.perform(grant)


def test_a_record_that_came_before_its_authors_grant_is_asked_for_again() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    cleo = world.device("cleo")
    cleo.join(ana.invite(family, "reader"))
    world.settle()
    world.partition({ana}, {ben})
    make_writer(ana, family, cleo)
    world.run_until(lambda: cleo.role(family) is Role.WRITER)

    # News goes at once, statements a moment later.
    note = cleo.put(family, "note", {"title": "Milk"})
    world.run_until(lambda: ben.engine.refusals() == {"no-role": 1})
    world.run(10_000)

    assert ben.get(family, note.id) == note
    assert ben.read(lambda snapshot: snapshot.counts(family)).refused == {}
    world.heal()
    world.settle()
    assert_level(family, [ana, ben, cleo])

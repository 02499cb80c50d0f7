"""A right that arrives later than what was written by it."""

from __future__ import annotations

from peerstack.groups.statements import Role
from peerstack.ids import GroupId
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of


def make_writer(admin: Device, group: GroupId, member: Device) -> None:
    """Raise a member's role."""
    admin.set_role(group, member.user.id, "writer")


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

"""Forged copies of what others signed, from a member: they keep no true one out."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from peerstack.ids import GroupId
from peerstack.record import Signed
from peerstack.testing.conditions import CALM
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.hostile import tell
from tests.simulation.people import family_of
from tests.simulation.scripted import secret_of

SLOW = replace(CALM, verify_ms=(500, 500))
"""Signatures are checked after all else that there is to do."""


def forged(signed: Signed) -> Signed:
    return msgspec.structs.replace(signed, signature=signed.signature[:1] + bytes(64))


def newcomer_unknown_to_ana(world: World) -> tuple[GroupId, Device, Device, Device, Device]:
    """Dora joined while Ana was off the net; Ben, a member, is up to no good."""
    family, (ana, ben, cy) = family_of(world, "ana", "ben", "cy")
    link = ana.invite(family)
    world.settle()
    for device in (ana, ben):
        device.go_offline()
    dora = world.device("dora")
    dora.join(link)
    world.settle()
    return family, ana, ben, cy, dora


@pytest.mark.parametrize("copies", ["forged", "forged and true", "true and forged"])
def test_a_forged_copy_of_what_is_held_does_not_keep_the_true_one_out(copies: str) -> None:
    world = World()
    family, ana, ben, cy, dora = newcomer_unknown_to_ana(world)
    note = dora.put(family, "note", {"by": "dora"})
    world.settle()
    true = cy.read(lambda snapshot: snapshot.get(family, note.id))
    assert true is not None
    said = {"forged": forged(true), "true": true}
    for each in copies.split(" and "):
        tell(world, ana, ben.user, family, secret_of(ben, family), [said[each]])
    assert ana.read(lambda snapshot: snapshot.counts(family)).held == 1
    dora.go_offline()

    world.conditions = SLOW
    ana.go_online()
    world.settle()

    assert ana.get(family, note.id) == note
    assert ana.read(lambda snapshot: snapshot.get(family, note.id)) == true
    assert ana.read(lambda snapshot: snapshot.counts(family)).held == 0
    assert ana.is_level(family)


def test_what_lost_after_a_forged_copy_was_held_is_kept_with_its_true_signature() -> None:
    world = World()
    family, ana, ben, cy, dora = newcomer_unknown_to_ana(world)
    first = dora.put(family, "note", {"by": "dora"})
    world.settle()
    true = cy.read(lambda snapshot: snapshot.get(family, first.id))
    assert true is not None
    cy.put(family, "note", {"by": "cy"})
    tell(world, ana, ben.user, family, secret_of(ben, family), [forged(true)])
    world.conditions = SLOW
    ana.go_online()
    world.settle()
    dora.update(family, first.id, {"more": True})
    world.settle()

    [kept] = ana.read(lambda snapshot: snapshot.history(family, first.id))
    assert kept == true


def test_a_forged_copy_of_a_statement_that_waits_does_not_keep_the_true_one_out() -> None:
    world = World()
    family, ana, ben, cy, dora = newcomer_unknown_to_ana(world)
    of_dora = [
        each
        for each in cy.perform(lambda turn: turn.statements(family))
        if each.signer == dora.user.id and each.group == family
    ]
    assert of_dora
    copies = [forged(each) for each in of_dora]
    tell(world, ana, ben.user, family, secret_of(ben, family), copies)
    assert ana.read(lambda snapshot: snapshot.counts(family)).pending_statements == len(of_dora)
    dora.go_offline()

    world.conditions = SLOW
    ana.go_online()
    world.settle()

    assert dora.user.id in ana.members(family)
    here = {each.hash: each for each in ana.perform(lambda turn: turn.statements(family))}
    assert all(here[each.hash] == each for each in of_dora)
    assert ana.read(lambda snapshot: snapshot.counts(family)).pending_statements == 0

"""A group as it is before a fuzzer comes: Ana founded it, Ben is a writer in it, Cleo has left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from peerstack.engine import Turn
from peerstack.groups.invites import decode_untrusted_link, invite_signer
from peerstack.groups.statements import Role
from peerstack.identity import User
from peerstack.ids import GroupId, IdFactory
from peerstack.keys import Secret
from peerstack.reconcile import EVERYTHING, Sum
from peerstack.record import Signed
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.fuzz.victim import Saved, Victim
from tests.people import Person
from tests.simulation.people import assert_level, family_of
from tests.simulation.scripted import secret_of, stranger

_ALL = 100_000


@dataclass(frozen=True)
class Family:
    """What a hostile member knows."""

    ana: Saved
    ben: User
    group: GroupId
    secret: Secret
    statements: tuple[Signed, ...]
    """Those of the group, and of Dora, who has its link and asks to join."""
    bens_grant: Signed
    records: tuple[Signed, ...]
    traffic: tuple[bytes, ...]
    """What the devices of the three really said to each other."""


@cache
def family() -> Family:
    """The same each time; it takes about a second once."""
    world = World("fuzz")
    group, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    notes = [ana.put(group, "note", {"title": f"Note {n}"}) for n in range(8)]
    link = decode_untrusted_link(ana.invite(group, "reader"))
    cleo.put(group, "note", {"title": "Bread"})
    world.settle()
    world.partition({ana}, {ben})
    ana.put(group, "note", {"title": "Oat milk"}, over=notes[0])
    ben.put(group, "note", {"title": "Soy milk"}, over=notes[0])
    ben.delete(group, notes[1].id)
    world.heal()
    world.settle()
    ana.remove(group, cleo.user.id)
    world.settle()
    assert_level(group, [ana, ben])
    statements = tuple(ana.perform(lambda turn: turn.statements(group)))
    records = tuple(ana.read(lambda store: store.read_slice(group, b"", None, _ALL)))
    joined = next(each for each in statements if (each.type, each.signer) == ("$join", ben.user.id))
    granted = next(each for each in statements if each.value.get("join") == joined.hash.hex())
    invite = next(each for each in statements if each.hash == link.invite_hash)
    dora = Person(stranger(world, "dora"), IdFactory(SeededEntropy("dora's ids")))
    proof = dora.proves(invite, world.wall_ms, invite_signer(Secret(link.seed)))
    join = dora.joins(invite, world.wall_ms, proof)
    said = (sent.data for sent in world.sent)
    return Family(
        Saved.of(ana),
        ben.user,
        group,
        secret_of(ben, group),
        (*statements, *dora.user.statements, join),
        granted,
        records,
        tuple(said),
    )


def check(victim: Victim, group: GroupId) -> None:
    """What holds of Ana's device, whatever a writer has said to it."""

    def look(turn: Turn) -> None:
        state = turn.state(group)
        admins = {user for user, role in state.members().items() if role is Role.ADMIN}
        assert admins == {victim.saved.user.id}, "somebody became an admin, or is one no more"
        items = turn.tx.record_set(group).items(EVERYTHING, _ALL)
        total = Sum()
        for item in items:
            total = total.plus(Sum.of(item))
        assert turn.roots(group).records == total.fingerprint(), "the sums are wrong"
        for each in turn.tx.read_slice(group, b"", None, _ALL):
            device = state.certified(each.signer, each.device)
            assert device is not None, "a record by nobody"
            assert each.signature_check(device.key).holds(), "a forged record"

    victim.perform(look)

"""A device is stolen, its owner recovers, and the thief goes on with a working copy of it."""

from __future__ import annotations

from typing import NamedTuple

from peerstack.engine import recovering
from peerstack.identity import User, decode_untrusted_kit, kit_key_of, recovered, seal_kit
from peerstack.ids import GroupId
from peerstack.keys import Secret
from peerstack.record import Signed
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.simulation.linking import link
from tests.simulation.people import assert_level, live


class Papers(NamedTuple):
    """What somebody has on paper and on a stick: the seed as words, and the kit."""

    seed: Secret
    kit: bytes


def papers_of(device: Device) -> Papers:
    """Write the kit, confirm the phrase: from here on, the device has the seed no more."""
    content = device.perform(recovering.kit_content)
    seed = device.perform(recovering.present_seed)
    kit = seal_kit(
        content.kit_key, content.statements, content.whereabouts, SeededEntropy(device.name)
    )
    device.perform(recovering.confirmed)
    return Papers(seed, kit)


def recover(world: World, papers: Papers, name: str, *lost: Device, online: bool = True) -> Device:
    """A new device of whoever has the papers, after which the lost ones are revoked."""
    kit = decode_untrusted_kit(papers.kit, kit_key_of(papers.seed))
    user: User = recovered(
        papers.seed,
        kit.statements,
        f"{name}'s device",
        world.wall_ms,
        SeededEntropy(f"{world.seed}/{name}"),
        revoke=[each.user.device for each in lost],
    )
    return world.device(name, user=user, restores=kit.whereabouts, online=online)


def hashes(device: Device, group: GroupId) -> set[bytes]:
    """Everything that is live on a device."""
    return set(live(device, group).values())


# --- The personal group. --------------------------------------------------------------------------


def test_a_recovered_device_meets_the_others_and_has_all_that_they_have() -> None:
    world = World()
    ana = world.device("ana")
    phone = link(world, ana, "phone")
    papers = papers_of(ana)
    note = ana.put(ana.user.id, "note", {"title": "Milk"})
    world.settle()
    ana.go_offline()

    new = recover(world, papers, "new", ana)
    world.settle()

    assert new.get(ana.user.id, note.id) == note == phone.get(ana.user.id, note.id)
    assert_level(ana.user.id, [phone, new])


def test_what_was_written_is_not_signed_again() -> None:
    world = World()
    ana = world.device("ana")
    phone = link(world, ana, "phone")
    papers = papers_of(ana)
    written = [ana.put(ana.user.id, "note", {"n": n}) for n in range(20)]
    world.settle()
    before = signatures(phone, ana.user.id)
    ana.go_offline()

    new = recover(world, papers, "new", ana)
    world.settle()

    after = signatures(new, ana.user.id)
    assert all(after[each.hash] == before[each.hash] for each in written)
    assert {each.hash for each in written} <= hashes(phone, ana.user.id)


def signatures(device: Device, group: GroupId) -> dict[bytes, bytes]:
    found: list[Signed] = device.read(lambda snap: list(snap.read_slice(group, b"", None, 10_000)))
    return {each.hash: each.signature for each in found}


def test_the_thief_is_out_once_the_others_have_heard() -> None:
    world = World()
    ana = world.device("ana")
    phone = link(world, ana, "phone")
    papers = papers_of(ana)
    thief = ana
    new = recover(world, papers, "new", thief)
    world.run_until(lambda: phone.is_level(ana.user.id) and new.is_level(ana.user.id))
    world.settle()
    before = hashes(phone, ana.user.id)

    stolen = thief.put(ana.user.id, "note", {"title": "by the thief"}) if not known(thief) else None
    fresh = new.put(ana.user.id, "note", {"title": "by the owner"})
    world.settle()

    for device in (phone, new):
        assert hashes(device, ana.user.id) - before == {fresh.hash}
        assert thief.user.device not in device.peers()
    assert fresh.hash not in hashes(thief, ana.user.id)
    assert stolen is None or stolen.hash not in hashes(phone, ana.user.id)


def known(device: Device) -> bool:
    """Whether a device has heard that it was revoked."""
    return device.perform(lambda turn: turn.is_revoked)

"""What several tests of the simulation begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from peerstack.engine import writing
from peerstack.engine.kept_secrets import secret_of
from peerstack.engine.writing import write_new_secret
from peerstack.ids import GroupId, RecordId
from peerstack.keys import Hash, Secret
from peerstack.record import PROFILE_TYPE
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.linking import show_digits


def family_of(world: World, *names: str, **skews_ms: int) -> tuple[GroupId, list[Device]]:
    """A group of as many devices as there are names, all of them level; the first founded it."""
    devices = [world.device(name, skew_ms=skews_ms.get(name, 0)) for name in names]
    family = devices[0].create_group("Family")
    link = devices[0].invite(family)
    for device in devices[1:]:
        device.join(link)
    world.settle()
    assert_level(family, devices)
    return family, devices


def live(device: Device, group: GroupId) -> dict[RecordId, Hash]:
    """Which version of each record is live."""
    return {record.id: record.hash for record in device.records(group).values()}


def assert_level(group: GroupId, devices: Iterable[Device]) -> None:
    """All have the same records and members, and know it."""
    devices = list(devices)
    for one, other in pairwise(devices):
        assert one.members(group) == other.members(group)
        assert live(one, group) == live(other, group)
    for device in devices:
        assert device.is_level(group), device.engine.levels.why_not(group)


def at_another_device(world: World, device: Device, name: str) -> Device:
    """A further device of a device's user, linked just now, so that not all may have come yet."""
    new = show_digits(world, device, name)
    device.confirm_link()
    world.run_until(lambda: new.is_linked)
    return new


def rotate(device: Device, group: GroupId) -> Secret:
    """Give a group a new discovery secret, as whatever ends a right does; the one before."""
    before = device.perform(lambda turn: secret_of(turn, group))
    assert before is not None
    device.perform(lambda turn: write_new_secret(turn, group))
    return before


def rename(device: Device, group: GroupId, name: str) -> None:
    """Give a group another name."""
    device.perform(
        lambda turn: writing._write(
            turn, group, [writing._reserved(turn, group, PROFILE_TYPE, {"name": name})]
        )
    )


def conflicts_at(device: Device, group: GroupId, record_id: RecordId) -> set[Hash]:
    """The conflicts of a record, as a device has them."""
    return device.read(lambda snapshot: snapshot.conflicts(group, [record_id]))


def told_conflicts(device: Device, group: GroupId, record_id: RecordId) -> Counter[Hash]:
    """The losers of which a device tells in its log, and how often."""
    changes = [each for each in device.changes(group) if each.record.id == record_id]
    return Counter(each.previous.hash for each in changes if each.conflict and each.previous)

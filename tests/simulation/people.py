"""What several tests of the simulation begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from peerstack.ids import GroupId, RecordId
from peerstack.keys import Hash
from peerstack.testing.device import Device
from peerstack.testing.world import World


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
        assert device.is_level(group), device.engine.why_not_level(group)


def conflicts_at(device: Device, group: GroupId, record_id: RecordId) -> set[Hash]:
    """The conflicts of a record, as a device has them."""
    return device.read(lambda snapshot: snapshot.conflicts(group, [record_id]))


def told_conflicts(device: Device, group: GroupId, record_id: RecordId) -> Counter[Hash]:
    """The losers of which a device tells in its log, and how often."""
    changes = [each for each in device.changes(group) if each.record.id == record_id]
    return Counter(each.previous.hash for each in changes if each.conflict and each.previous)

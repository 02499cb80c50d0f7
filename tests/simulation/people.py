"""What several tests of the simulation begin with."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from peerstack.engine import Turn
from peerstack.engine.kept_secrets import secret_of
from peerstack.engine.writing import (
    add_own_statements,
    sign_statement,
    stamp_for_statement,
    write_new_secret,
)
from peerstack.groups.seals import NO_HASHES
from peerstack.groups.statements import CLOSE_TYPE, Close
from peerstack.ids import GroupId, RecordId, UserId
from peerstack.keys import Hash, Secret
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.linking import link


def family_of(world: World, *names: str, **skews_ms: int) -> tuple[GroupId, list[Device]]:
    """A group of as many devices as there are names, all of them level; the first founded it."""
    devices = [world.device(name, skew_ms=skews_ms.get(name, 0)) for name in names]
    family = devices[0].create_group("Family")
    invitation = devices[0].invite(family)
    for device in devices[1:]:
        device.join(invitation)
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


def at_another_device(world: World, device: Device, name: str, *, online: bool = True) -> Device:
    """A further device of a device's user, maybe switched off since it was linked."""
    new = link(world, device, name)
    if not online:
        new.go_offline()
    return new


def rotate(device: Device, group: GroupId) -> Secret:
    """Give a group a new discovery secret, as whatever ends a right does; the one before."""
    before = device.perform(lambda turn: secret_of(turn, group))
    assert before is not None
    device.perform(lambda turn: write_new_secret(turn, group))
    return before


def end_right(device: Device, group: GroupId, user: UserId, *, rotates: bool = True) -> None:
    """End the right of a user: an admin's to remove others, or one's own to leave."""

    def close(turn: Turn) -> None:
        state = turn.state(group)
        target = state.open_grants(user)[0]
        under = state.open_grants(turn.me.user.id)[0]
        form = Close(under.hash.hex(), target.hash.hex(), 0, NO_HASHES.hex())
        after_ms = max(target.since_ms, under.since_ms)
        signed = sign_statement(
            turn, group, CLOSE_TYPE, form, stamp_for_statement(turn, state, after_ms)
        )
        add_own_statements(turn, group, [signed])
        if rotates:
            write_new_secret(turn, group)

    device.perform(close)

"""Sums that were made to agree: a sample tells the sets apart, and they become level.

Crafting two sets of one sum takes a long computation: the test claims the sum in the database.
"""

from __future__ import annotations

from peerstack.engine import Turn
from peerstack.ids import GroupId
from peerstack.session.wire import Level, decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.world import World


def claim_root_of(other: Device, device: Device, group: GroupId) -> None:
    """Make the device's root that of another device, whatever it holds."""
    row = other.perform(lambda turn: turn.tx.group(group))
    assert row is not None
    claimed = (row.records.count, row.records.dump(), group)

    def claim(turn: Turn) -> None:
        sql = "UPDATE groups SET count = ?, sum = ? WHERE id = ?"
        turn.tx._connection.exec_driver_sql(sql, claimed)

    device.perform(claim)


def test_sets_that_differ_under_one_sum_become_level() -> None:
    world = World(seed="one sum")
    ana, ben = world.device("ana"), world.device("ben")
    group = ana.create_group("Family")
    ben.join(ana.invite(group))
    world.run_until(lambda: ana.is_level(group) and ben.is_level(group))
    ben.go_offline()
    ana.put(group, "note", {"title": "hidden from Ben"})
    world.settle()
    claim_root_of(ana, ben, group)

    ben.go_online()
    world.settle()

    assert ben.records(group) == ana.records(group)
    assert len(ben.find(group, "note")) == 1


def test_equal_sets_are_sampled_once_and_nothing_is_fetched() -> None:
    world = World(seed="no-op")
    ana, ben = world.device("ana"), world.device("ben")
    group = ana.create_group("Family")
    ben.join(ana.invite(group))
    world.run_until(lambda: ana.is_level(group) and ben.is_level(group))
    ben.go_offline()
    world.settle()
    before = len(world.sent)
    ben.go_online()

    world.settle()

    assert ben.records(group) == ana.records(group)
    assert world.traffic(since=before)["Want"] == 0
    said = [decode_untrusted(sent.data) for sent in world.sent[before:]]
    audits = [each.audit for each in said if isinstance(each, Level) and each.audit is not None]
    assert len(audits) == 1

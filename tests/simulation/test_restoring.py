"""A device is backed up, and restored while the first one lives, or is lost."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import pytest

from peerstack.engine.ending import end_invite
from peerstack.engine.joining import pending_joins
from peerstack.engine.recovering import keep_device
from peerstack.engine.restoring import become_new_device, check_restorable
from peerstack.engine.revoking import revoke_device
from peerstack.engine.turn import Turn
from peerstack.errors import NotAllowed
from peerstack.identity import User
from peerstack.ids import GroupId
from peerstack.testing.conditions import CALM, STORMY
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.linking import link
from tests.simulation.papers import papers_of, recover
from tests.simulation.people import assert_level, conflicts_at, family_of, live, rotate

DAY_MS = 24 * 60 * 60 * 1000


class Backup(NamedTuple):
    user: User
    database: bytes


def driver(device: Device) -> sqlite3.Connection:
    connection = device.store._writer.connection.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


def back_up(device: Device) -> Backup:
    device.perform(check_restorable)
    return Backup(device.user, driver(device).serialize())


def restore(world: World, backup: Backup, name: str, *, online: bool = True) -> Device:
    """What `peerstack.restore` does, and opening what it made."""
    device = world.device(name, user=backup.user, online=False)
    driver(device).deserialize(backup.database)
    device.engine.me.states.clear()
    device.user = device.perform(lambda turn: become_new_device(turn, name))
    device.restart()
    if online:
        device.go_online()
    return device


def end_all_invites(admin: Device, group: GroupId) -> None:
    def end(turn: Turn) -> None:
        for invite, _ in list(turn.state(group).invites()):
            end_invite(turn, group, invite.hash)

    admin.perform(end)


def test_a_restored_device_is_level_with_all_while_the_first_one_lives() -> None:
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    for number in range(30):
        ana.put(group, "note", {"n": number})
    world.settle()
    backup = back_up(ana)
    since = [ana.put(group, "note", {"n": 100}), ben.put(group, "note", {"n": 101})]
    personal = ana.put(ana.user.id, "note", {"title": "mine"})
    world.settle()
    world.conditions = STORMY

    new = restore(world, backup, "new")
    written = new.put(group, "note", {"n": 102})
    also = ana.put(group, "note", {"n": 103})
    world.run(60_000)
    world.conditions = CALM
    world.settle()

    assert_level(group, [ana, ben, new])
    assert_level(ana.user.id, [ana, new])
    for device in (ana, ben, new):
        for record in (*since, written, also):
            assert device.get(group, record.id) == record
    assert new.get(ana.user.id, personal.id) == personal


def test_what_it_writes_wins_everywhere_and_what_it_had_not_seen_is_a_conflict() -> None:
    """With the key of the first one it would count as having seen what that wrote since."""
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(group, "note", {"title": "Milk"})
    world.settle()
    backup = back_up(ana)
    unseen = ana.put(group, "note", {"title": "since the backup"}, over=note)
    world.settle()

    new = restore(world, backup, "new")
    assert new.get(group, note.id) == note
    edit = new.put(group, "note", {"title": "after the restore"}, over=note)
    world.settle()

    for device in (ana, ben, new):
        assert device.get(group, note.id) == edit
        assert conflicts_at(device, group, note.id) == {unseen.hash}


def test_a_restored_device_of_a_lost_one_has_what_others_got_of_it() -> None:
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    backup = back_up(ana)
    since = ana.put(group, "note", {"title": "since the backup"})
    world.settle()
    ana.go_offline()

    new = restore(world, backup, "new")
    world.settle()
    new.perform(lambda turn: revoke_device(turn, ana.user.device, force=False))
    after = new.put(group, "note", {"title": "after it was revoked"})
    world.settle()

    for device in (ben, new):
        assert device.get(group, since.id) == since
        assert device.get(group, after.id) == after
    assert_level(group, [ben, new])


def test_two_devices_restored_from_one_backup_are_two() -> None:
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    backup = back_up(ana)
    ana.go_offline()

    one, two = restore(world, backup, "one"), restore(world, backup, "two")
    notes = [device.put(group, "note", {"by": device.name}) for device in (one, two)]
    world.settle()

    assert len({note.device for note in notes}) == 2
    assert_level(group, [ben, one, two])


def test_an_admin_restored_goes_on_as_one() -> None:
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    backup = back_up(ana)
    ana.go_offline()
    new = restore(world, backup, "new")

    cleo = world.device("cleo")
    cleo.join(new.invite(group))
    world.settle()

    assert_level(group, [ben, new, cleo])
    assert len(live(cleo, group)) > 0


def test_a_device_linked_without_the_root_key_cannot_be_backed_up() -> None:
    world = World()
    ana = world.device("ana")
    phone = link(world, ana, "phone", full=False)

    with pytest.raises(NotAllowed, match="without the root key"):
        back_up(phone)


def test_a_device_that_a_recovery_has_replaced_cannot_be_backed_up() -> None:
    world = World()
    ana = world.device("ana")
    link(world, ana, "phone")
    recover(world, papers_of(ana), "new", ana)
    world.settle()

    with pytest.raises(NotAllowed, match="recovery has replaced"):
        back_up(ana)


def test_a_backup_from_before_a_recovery_makes_a_device_that_counts_once_it_is_kept() -> None:
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    backup = back_up(ana)
    recovered = recover(world, papers_of(ana), "recovered", ana)
    ana.go_offline()
    world.settle()

    old = restore(world, backup, "old")
    note = old.put(group, "note", {"title": "Milk"})
    world.settle()
    assert ben.get(group, note.id) is None

    recovered.perform(lambda turn: keep_device(turn, old.user.device, None))
    world.settle()

    assert ben.get(group, note.id) == note


def test_who_restores_an_old_backup_is_met_by_a_new_invite_where_all_else_has_changed() -> None:
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    backup = back_up(ben)
    rotate(ana, group)
    end_all_invites(ana, group)
    world.settle()
    world.run(50 * DAY_MS)
    ben.go_offline()
    new = restore(world, backup, "new")
    note = ana.put(group, "note", {"title": "Milk"})
    world.run(DAY_MS)
    assert new.get(group, note.id) is None

    new.join(ana.invite(group))
    world.settle()

    assert new.get(group, note.id) == note
    assert_level(group, [ana, new])
    assert not new.perform(pending_joins)


def test_a_device_that_is_revoked_before_the_new_one_has_synced_keeps_what_others_have_of_it() -> (
    None
):
    world = World()
    group, (ana, ben) = family_of(world, "ana", "ben")
    backup = back_up(ana)
    since = ana.put(group, "note", {"title": "since the backup"})
    world.settle()
    ana.go_offline()
    assert ben.get(group, since.id) == since

    new = restore(world, backup, "new", online=False)
    new.perform(lambda turn: revoke_device(turn, ana.user.device, force=False))
    new.go_online()
    world.settle()
    world.run(2 * DAY_MS)
    world.settle()

    for device in (ben, new):
        assert device.get(group, since.id) == since

"""Conflicts: who sees them, for how long, and what of them outlasts the versions around them."""

from __future__ import annotations

from functools import partial

import pytest

from peerstack import limits
from peerstack.engine.merging import merge
from peerstack.ids import GroupId
from peerstack.record import Record
from peerstack.testing.conditions import Conditions
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import assert_level, conflicts_at, family_of, told_conflicts
from tests.simulation.scripted import NOTE, Scripted, secret_of, written_by

NAMES = ("ana", "ben", "cleo")
MINUTE_MS = 60 * 1000
DAY_MS = 24 * 60 * MINUTE_MS
BURST = limits.HISTORY_PER_SIGNER + 5


def conflict(world: World, family: GroupId, loser: Device, winner: Device) -> tuple[Record, Record]:
    """Two edits of one note of which neither author had seen the other: who lost, and who won."""
    note = loser.put(family, "note", {"title": "Milk"})
    world.settle()
    world.partition({loser}, {winner})
    lost = loser.put(family, "note", {"by": loser.name}, over=note)
    world.run(MINUTE_MS)
    won = winner.put(family, "note", {"by": winner.name}, over=note)
    world.heal()
    world.settle()
    return lost, won


def wait_offline(world: World, for_ms: int) -> None:
    """Let time pass without a network, which takes less work."""
    world.server.stop()
    world.partition(*({device} for device in world.devices.values()))
    world.run(for_ms)
    world.heal()
    world.server.start()
    world.settle()


def edit_often(device: Device, family: GroupId, over: Record) -> Record:
    for number in range(BURST):
        over = device.put(family, "note", {"number": number}, over=over)
    return over


@pytest.mark.parametrize("seed", range(8))
def test_both_authors_of_a_conflict_see_it_once(seed: int) -> None:
    world = World(seed)
    family, (ana, ben, cleo) = family_of(world, *NAMES)
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    world.partition({ana}, {ben}, {cleo})
    edits = [each.put(family, "note", {"by": each.name}, over=note) for each in (ana, ben)]
    world.run(MINUTE_MS)
    world.heal()
    world.settle()
    loser = min(edits, key=lambda edit: (edit.modified, edit.hash))
    for device in (ana, ben):
        assert told_conflicts(device, family, note.id) == {loser.hash: 1}
    assert told_conflicts(cleo, family, note.id).keys() <= {loser.hash}


def test_a_conflict_that_two_peers_tell_of_at_once_is_logged_once() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, *NAMES)
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    ben.go_offline()
    cleo.go_offline()
    world.run(MINUTE_MS)
    loser = written_by(ben.user, family, note.id, note.modified + 1, {"by": "ben"})
    ana.put(family, "note", {"by": "ana"}, over=note)
    scripts = [Scripted(world, ana, each.user).shake_hands() for each in (ben, cleo)]
    for script in scripts:
        script.name_groups(family, secret_of(ben, family))
    world.conditions = Conditions(verify_ms=(1_000, 1_000))
    for script in scripts:
        script.gives(loser)
    world.run(5_000)
    assert [script.acknowledged for script in scripts] == [[0], [0]]
    assert told_conflicts(ana, family, note.id) == {loser.hash: 1}


def test_who_were_level_and_differ_since_look_at_the_youngest_first() -> None:
    """Not at what all 500 records are: three versions of one came due on all at the same moment."""
    world = World("due at once")
    family, (*devices, author) = family_of(world, "ana", "ben", "cleo", "di", "eva", "fay", "gil")
    devices[0].put_many(family, "note", [{"n": n} for n in range(500)])
    world.settle()
    author.go_offline()
    due_ms = world.wall_ms + 11 * MINUTE_MS
    for place, device in enumerate(devices):
        version = place % 3
        signed = written_by(author.user, family, NOTE, due_ms + version, {"version": version})
        device.perform(partial(merge, group=family, candidates=[signed], origin=None))
    since = len(world.sent)
    world.run(30 * MINUTE_MS)

    assert_level(family, devices)
    compared = [len(sent.data) for sent in world.sent[since:] if sent.kind == "Ranges"]
    assert compared
    assert max(compared) < 8 * 40
    assert sum(compared) < 4_000


def test_a_conflict_outlasts_the_versions_that_history_lets_go_of() -> None:
    """Its entry in the log was lost with the version that first won."""
    world = World()
    family, (ana, ben, cleo) = family_of(world, *NAMES)
    lost, won = conflict(world, family, ana, ben)
    cleo.go_offline()

    present = edit_often(ben, family, won)
    world.settle()
    cleo.go_online()
    world.settle()

    for device in (ana, ben, cleo):
        assert conflicts_at(device, family, lost.id) == {lost.hash}
        assert told_conflicts(device, family, lost.id) == {lost.hash: 1}
    for device in (ana, ben):
        assert won.hash not in {each.hash for each in device.history(family, won.id)}
        [told] = [each for each in device.changes(family) if each.conflict]
        assert (told.record.hash, told.previous and told.previous.hash) == (
            present.hash,
            lost.hash,
        )


def test_a_conflict_ends_on_all_devices_when_who_lost_goes_on_from_what_won() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, *NAMES)
    lost, won = conflict(world, family, ana, ben)

    edit_often(ana, family, won)
    world.settle()

    for device in (ana, ben, cleo):
        assert conflicts_at(device, family, lost.id) == set()


@pytest.mark.parametrize("kept", ["winner", "loser"])
def test_whoever_looked_at_both_versions_ends_the_conflict_on_all_devices(kept: str) -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, *NAMES)
    lost, won = conflict(world, family, ana, ben)
    value = won.value if kept == "winner" else lost.value

    settled = cleo.put(family, "note", value, over=[won, lost])
    world.settle()

    for device in (ana, ben, cleo):
        assert device.get(family, lost.id) == settled
        assert conflicts_at(device, family, lost.id) == set()
        assert told_conflicts(device, family, lost.id).keys() <= {lost.hash}
    assert_level(family, [ana, ben, cleo])


def test_who_looked_at_the_winner_alone_leaves_the_conflict() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, *NAMES)
    lost, won = conflict(world, family, ana, ben)

    cleo.put(family, "note", {"by": "cleo"}, over=won)
    world.settle()

    for device in (ana, ben, cleo):
        assert conflicts_at(device, family, lost.id) == {lost.hash}


def test_of_one_signers_many_conflicts_the_latest_stay_and_are_the_same_everywhere() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, *NAMES)
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    cleo.go_offline()
    edits = [ben.put(family, "note", {"n": n}, over=note) for n in range(BURST)]
    world.settle()
    cleo.go_online()
    world.settle()

    latest = {each.hash for each in edits[-1 - limits.CONFLICTS_PER_SIGNER : -1]}
    for device in (ana, ben, cleo):
        assert conflicts_at(device, family, note.id) == latest


def test_a_conflict_ends_after_its_time_and_no_newcomer_brings_it_back() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    lost, _ = conflict(world, family, ana, ben)
    wait_offline(world, 29 * DAY_MS)
    cleo = world.device("cleo")
    cleo.join(ana.invite(family))
    world.settle()
    assert conflicts_at(cleo, family, lost.id) == {lost.hash}
    before = len(world.sent)

    world.run(2 * DAY_MS)
    for device in (ana, ben, cleo):
        device.restart()
        world.settle()

    assert world.traffic(before)["Batch"] == 0
    assert [conflicts_at(each, family, lost.id) for each in (ana, ben, cleo)] == [
        set(),
        set(),
        {lost.hash},
    ]
    wait_offline(world, 29 * DAY_MS)
    assert conflicts_at(cleo, family, lost.id) == set()
    assert told_conflicts(cleo, family, lost.id) == {}


def test_devices_are_level_again_once_a_conflict_has_ended() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    conflict(world, family, ana, ben)
    wait_offline(world, 29 * DAY_MS)

    world.run(2 * DAY_MS)

    assert_level(family, [ana, ben])


def test_with_a_conflict_ends_what_its_author_had_seen_for_who_has_both() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, *NAMES)
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()
    lost = written_by(cleo.user, family, note.id, note.modified - 2, {"by": "cleo"})
    seen: dict[str, int] = {cleo.user.device: lost.modified}
    later = written_by(ben.user, family, note.id, note.modified - 1, {"by": "ben"}, seen)
    for version in (later, lost):
        script = Scripted(world, ana, ben.user).shake_hands()
        script.name_groups(family, secret_of(ben, family))
        script.gives(version)
        world.run(DAY_MS)
    assert conflicts_at(ana, family, note.id) == {later.hash}

    wait_offline(world, 28 * DAY_MS + DAY_MS // 2)

    for device in (ana, ben, cleo):
        assert conflicts_at(device, family, note.id) == set()
        assert device.history(family, note.id) == []

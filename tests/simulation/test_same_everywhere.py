"""Any versions, in any order, over any network: the same records everywhere, and then quiet.

The model, of what is live: of all versions of an id that anybody wrote and nobody refuses, the one
with the highest (modified, hash). Of conflicts, for each device: of all versions of an id that this
device was ever given, those that the author of the live one had not seen, and that no other version
had replaced knowingly. Each of them is in the device's log of changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from peerstack import limits
from peerstack.engine.merging import merge
from peerstack.ids import GroupId, RecordId
from peerstack.keys import Hash
from peerstack.record import Body, Record, Signed, compose, had_seen
from peerstack.store import Snapshot
from peerstack.testing.conditions import CALM, STORMY, Conditions
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import family_of, live
from tests.simulation.scripted import Scripted, secret_of, written_by

DAY_MS = 24 * 60 * 60 * 1000
MINUTE_MS = 60 * 1000
RECORDS = 3
NAMES = ("ana", "ben", "cleo")
BURST = limits.HISTORY_PER_SIGNER + 5


@dataclass(frozen=True)
class Step:
    """What a device does, and how long nothing more is done then."""

    device: int
    line: int
    kind: str
    wait_ms: int


KINDS = ("edit", "edit", "edit", "delete", "stale", "burst", "rogue", "restart", "offline")
STEPS = st.lists(
    st.builds(
        Step,
        st.integers(0, len(NAMES) - 1),
        st.integers(0, RECORDS - 1),
        st.sampled_from(KINDS),
        st.sampled_from([0, 0, 1, 30, 200, 5_000]),
    ),
    max_size=14,
)
SKEWS = st.lists(
    st.sampled_from([0, 0, -MINUTE_MS, MINUTE_MS, 9 * MINUTE_MS, 45 * MINUTE_MS, -DAY_MS]),
    min_size=len(NAMES),
    max_size=len(NAMES),
)


class Story:
    """A family with records that all edit, and a reader whose program does not care about roles.

    The elder of two devices dials the other, which leads.
    """

    def __init__(self, seed: int, *, rogue_is_elder: bool = False) -> None:
        self.world = World(seed)
        if rogue_is_elder:
            self.world.device("rogue")
            self.world.run(1_000)
        self.family, self.devices = family_of(self.world, *NAMES)
        self.rogue = self.world.devices.get("rogue") or self.world.device("rogue")
        self.rogue.join(self.devices[0].invite(self.family, "reader"))
        first = self.devices[0].put_many(self.family, "note", [{"line": n} for n in range(RECORDS)])
        self.lines = [record.id for record in first]
        self.world.settle()
        self.pruned = set[RecordId]()
        self.written = [(record.id, record.modified, record.hash) for record in first]

    def play(self, step: Step) -> None:
        device, line = self.devices[step.device], self.lines[step.line]
        match step.kind:
            case "restart":
                device.restart()
            case "offline":
                device.go_offline()
            case "rogue":
                self.write_without_right(line, device.now().wall_ms)
            case kind:
                self.write(device, line, kind)
        self.world.run(step.wait_ms)

    def write(self, device: Device, line: RecordId, kind: str) -> None:
        present = device.get(self.family, line)
        if present is None:
            return
        if kind == "delete":
            device.delete(self.family, line)
        elif kind == "stale":
            self.edit(device, [*device.history(self.family, line), present][0])
        else:
            if kind == "burst":
                self.pruned.add(line)
            for _ in range(BURST if kind == "burst" else 1):
                present = self.edit(device, present)
        live = device.records(self.family)[line]
        self.written.append((line, live.modified, live.hash))

    def edit(self, device: Device, over: Record) -> Record:
        edited = device.put(self.family, "note", {"by": device.name}, over=over)
        self.written.append((edited.id, edited.modified, edited.hash))
        return edited

    def write_without_right(self, line: RecordId, modified: int) -> None:
        user = self.rogue.user
        body = Body(line, self.family, "note", modified + 1, user.id, user.device, {"mine": True})
        forbidden = compose(user.device_key, body)
        self.rogue.perform(lambda turn: merge(turn, self.family, [forbidden], None))

    def winner(self, line: RecordId) -> Hash:
        return max((modified, digest) for each, modified, digest in self.written if each == line)[1]


@settings(
    max_examples=25,
    # Worlds shrink too slowly, and a story of a few steps can be read as it is.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(STEPS, SKEWS, st.integers(0, 2**20), st.sampled_from([CALM, STORMY]), st.booleans())
def test_all_devices_end_with_the_same_records_and_all_conflicts_that_they_can_know(
    steps: list[Step],
    skews_ms: list[int],
    seed: int,
    conditions: Conditions,
    rogue_is_elder: bool,
) -> None:
    story = Story(seed, rogue_is_elder=rogue_is_elder)
    story.world.conditions = conditions
    for device, skew_ms in zip(story.devices, skews_ms, strict=True):
        device.skew_ms = skew_ms
    for step in steps:
        story.play(step)
    story.world.conditions = CALM
    for device in story.devices:
        device.go_online()
    # Until the slowest clock says that all was written in its past.
    story.world.run(2 * DAY_MS)
    check_the_same(story)
    check_the_same_conflicts(story)
    check_quiet(story.world, [*story.devices, story.rogue])


def check_the_same(story: Story) -> None:
    for device in story.devices:
        there = live(device, story.family)
        assert {line: there[line] for line in story.lines} == {
            line: story.winner(line) for line in story.lines
        }
        versions = versions_of(device, story.family, story.lines)
        assert story.rogue.user.id not in {version.signer for version in versions.values()}
        # With the version that beat another, its entry in the log is pruned.
        whole = [line for line in story.lines if line not in story.pruned]
        logged = logged_conflicts(device, story.family, whole)
        assert logged >= conflicts_in(versions, whole)
        assert device.is_level(story.family), device.engine.why_not_level(story.family)


def check_the_same_conflicts(story: Story) -> None:
    """Every device has the losers that a model has which knows all versions there are."""
    whole = [line for line in story.lines if line not in story.pruned]
    known = [versions_of(device, story.family, whole) for device in story.devices]
    everything = {version.hash: version for versions in known for version in versions.values()}
    expected = conflicts_in(everything, whole)
    for device in story.devices:
        unseen = device.read(lambda snapshot: snapshot.unseen_hashes(story.family))
        assert set(unseen) & everything.keys() == expected


def versions_of(device: Device, family: GroupId, lines: list[RecordId]) -> Mapping[Hash, Signed]:
    def read(snapshot: Snapshot) -> list[Signed]:
        found = list(snapshot.live(family, lines).values())
        return found + [each for line in lines for each in snapshot.history(family, line)]

    return {version.hash: version for version in device.read(read)}


def conflicts_in(versions: Mapping[Hash, Signed], lines: list[RecordId]) -> set[Hash]:
    """What a device that has these versions must have been told of."""
    found = set[Hash]()
    for line in lines:
        mine = [version for version in versions.values() if version.id == line]
        winner = max(mine, key=lambda version: version.order)
        unseen = [loser for loser in mine if loser is not winner and not had_seen(winner, loser)]
        found |= {
            loser.hash
            for loser in unseen
            if not any(had_seen(other, loser) for other in mine if other is not loser)
        }
    return found


def logged_conflicts(device: Device, family: GroupId, lines: list[RecordId]) -> set[Hash]:
    changes = [each for each in device.changes(family) if each.conflict]
    return {
        each.previous.hash for each in changes if each.previous and each.record.id in set(lines)
    }


def check_quiet(world: World, devices: list[Device]) -> None:
    """Hours pass and everybody reconnects, and nothing is sent or asked for again."""
    before = len(world.sent)
    world.run(6 * 60 * MINUTE_MS)
    assert world.sent[before:] == []
    for device in devices:
        device.restart()
        world.settle()
    traffic = world.traffic(before)
    assert traffic["Batch"] == 0
    assert traffic["Want"] == 0


@pytest.mark.parametrize("rogue_is_elder", [True, False])
def test_a_loser_that_all_others_refused_is_not_asked_for_again(*, rogue_is_elder: bool) -> None:
    story = Story(1, rogue_is_elder=rogue_is_elder)
    line = story.lines[0]
    story.write_without_right(line, story.rogue.now().wall_ms)
    story.world.run(MINUTE_MS)
    story.write(story.devices[0], line, "edit")
    story.world.settle()
    assert len(story.rogue.read(lambda snapshot: snapshot.unseen_hashes(story.family))) == 1
    check_quiet(story.world, [*story.devices, story.rogue])


@pytest.mark.parametrize("rogue_is_elder", [True, False])
def test_records_that_all_others_refused_are_not_asked_for_again(*, rogue_is_elder: bool) -> None:
    """So many that a comparison comes upon ranges where the others have nothing."""
    story = Story(1, rogue_is_elder=rogue_is_elder)
    story.devices[0].put_many(story.family, "note", [{"n": n} for n in range(500)])
    story.world.settle()
    later_ms = story.rogue.now().wall_ms
    for number in range(100):
        story.write_without_right(RecordId(f"{number:026}"), later_ms + number)
    story.world.settle()
    check_quiet(story.world, [*story.devices, story.rogue])


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
        assert logged_conflicts(device, family, [note.id]) == {loser.hash}
        assert sum(each.conflict for each in device.changes(family)) == 1
    assert logged_conflicts(cleo, family, [note.id]) <= {loser.hash}


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
    assert logged_conflicts(ana, family, [note.id]) == {loser.hash}
    assert sum(each.conflict for each in ana.changes(family)) == 1

"""Any versions, in any order, over any network: the same records everywhere, and then quiet.

The model, of what is live: of all versions of an id that anybody wrote and nobody refuses, the one
with the highest (modified, hash).

Of conflicts: all versions that lost and that nobody had seen who wrote another. These every device
has, whatever history has let go of, and has told its app of them. Nor does any have others, but for
records of which a device wrote over an older version than its own last one: its later edits then
count as seen together with that, though whoever saw the one may not have seen what the other had.
There, and where somebody has more than 20 conflicts of one record, all devices still have the same
ones, and all that follow from the versions that any of them keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine as hypothesis_engine

from peerstack import limits
from peerstack.engine import upkeep
from peerstack.engine.merging import merge
from peerstack.ids import GroupId, RecordId
from peerstack.keys import Hash
from peerstack.record import Body, Signed, compose, had_seen
from peerstack.session.wire import Batch, decode_untrusted
from peerstack.store import Snapshot
from peerstack.testing.conditions import CALM, STORMY, Conditions
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import conflicts_at, family_of, live, told_conflicts

DAY_MS = 24 * 60 * 60 * 1000
MINUTE_MS = 60 * 1000
RECORDS = 3
NAMES = ("ana", "ben", "cleo")
BURST = limits.HISTORY_PER_SIGNER + 5
SHRINKING_S = 90
"""A world shrinks slowly, and after this long its story is short enough to be read."""


@dataclass(frozen=True)
class Step:
    """What a device does, and how long nothing more is done then."""

    device: int
    line: int
    kind: str
    pick: int
    """Which version is written over: 0 is the live one, 1 the newest in history, and so on."""
    wait_ms: int


KINDS = (
    *("edit", "edit", "edit", "delete", "stale", "stale", "burst", "flood"),
    *("rogue", "restart", "offline", "online"),
)
WAITS_MS = [0, 0, 1, 30, 200, 5_000]


def steps(waits_ms: list[int]) -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step,
        st.integers(0, len(NAMES) - 1),
        st.integers(0, RECORDS - 1),
        st.sampled_from(KINDS),
        st.integers(1, 4),
        st.sampled_from(waits_ms),
    )
    return st.lists(step, max_size=14)


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
        self.written: dict[RecordId, list[Signed]] = {line: [] for line in self.lines}
        """All versions that anybody wrote who may."""
        self.flooded = set[RecordId]()
        """Records of which somebody may have more conflicts than are kept."""
        for line in self.lines:
            self.note(self.devices[0], line)

    def tell(self, played: list[Step], conditions: Conditions) -> None:
        """Play steps, and then have everybody online over a good network."""
        self.world.conditions = conditions
        for step in played:
            self.play(step)
        self.world.conditions = CALM
        for device in self.devices:
            device.go_online()

    def play(self, step: Step) -> None:
        device, line = self.devices[step.device], self.lines[step.line]
        match step.kind:
            case "restart":
                device.restart()
            case "offline":
                device.go_offline()
            case "online":
                device.go_online()
            case "rogue":
                self.write_without_right(line, device.now().wall_ms)
            case "delete":
                if device.get(self.family, line) is not None:
                    device.delete(self.family, line)
                    self.note(device, line)
            case kind:
                self.write(device, line, kind, step.pick)
        self.world.run(step.wait_ms)

    def write(self, device: Device, line: RecordId, kind: str, pick: int) -> None:
        versions = [device.records(self.family)[line], *device.history(self.family, line)]
        over = versions[pick % len(versions) if kind in ("stale", "flood") else 0]
        if kind == "flood":
            self.flooded.add(line)
        for _ in range(BURST if kind in ("burst", "flood") else 1):
            if over.hash not in {each.hash for each in versions_of(device, self.family, line)}:
                return
            edited = device.put(self.family, "note", {"by": device.name}, over=over)
            self.note(device, line)
            over = edited if kind == "burst" else over

    def note(self, device: Device, line: RecordId) -> None:
        """Note the version that a device has just written."""
        present = device.read(lambda snapshot: snapshot.get(self.family, line))
        assert present is not None
        self.written[line].append(present)

    def write_without_right(self, line: RecordId, modified: int) -> None:
        user = self.rogue.user
        body = Body(line, self.family, "note", modified + 1, user.id, user.device, {"mine": True})
        forbidden = compose(user.device_key, body)
        self.rogue.tampered = True
        self.rogue.perform(lambda turn: merge(turn, self.family, [forbidden], None))


@pytest.fixture(scope="module", autouse=True)
def _shrinking_ends() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hypothesis_engine, "MAX_SHRINKING_SECONDS", SHRINKING_S)
        yield


@pytest.mark.timeout(900)  # Where it fails, it shrinks; and other work may share the machine.
@pytest.mark.parametrize("conditions", [CALM, STORMY], ids=["calm", "stormy"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(steps(WAITS_MS), SKEWS, st.integers(0, 2**20))
def test_all_devices_end_with_the_same_records_and_the_same_conflicts(
    conditions: Conditions, played: list[Step], skews_ms: list[int], seed: int
) -> None:
    story = Story(seed)
    for device, skew_ms in zip(story.devices, skews_ms, strict=True):
        device.skew_ms = skew_ms
    story.tell(played, conditions)
    # Until the slowest clock says that all was written in its past.
    story.world.run(max(skews_ms) - min(skews_ms) + 60 * MINUTE_MS)
    check_the_same(story)
    check_level(story.devices, story.family)
    for line in story.lines:
        check_conflicts(story, line)
    check_quiet(story.world, [*story.devices, story.rogue])


@pytest.fixture(scope="module")
def _a_history_of_an_hour() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "HISTORY_MS", 60 * MINUTE_MS)
        patch.setattr(upkeep, "_SWEEP_MS", MINUTE_MS)
        yield


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_a_history_of_an_hour")
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(steps([*WAITS_MS, 20 * MINUTE_MS, 50 * MINUTE_MS]), st.integers(0, 2**20))
def test_devices_differ_in_no_conflict_but_for_what_one_of_them_had_for_its_time(
    played: list[Step], seed: int
) -> None:
    story = Story(seed)
    story.tell(played, STORMY)
    story.world.run(10 * MINUTE_MS)
    check_the_same(story)
    for line in story.lines:
        for device in story.devices:
            told = told_conflicts(device, story.family, line)
            assert told.keys() >= conflicts_at(device, story.family, line)
        for one, other in permutations(story.devices, 2):
            check_that_age_explains_what_is_lacking(story, line, one, other)
    before = len(story.world.sent)
    for device in story.devices:
        device.restart()
        story.world.run(MINUTE_MS)
    assert story.flooded or notes_sent(story.world, before) == []


def check_that_age_explains_what_is_lacking(
    story: Story, line: RecordId, one: Device, other: Device
) -> None:
    """Where conflicts differ and the second device lacks the latest that do, it had that before."""
    family, written = story.family, story.written[line]
    mine, theirs = (conflicts_at(device, family, line) for device in (one, other))
    differing = sorted((each.order for each in written if each.hash in mine ^ theirs), reverse=True)
    if differing and differing[0][1] in mine:
        latest = Hash(differing[0][1])
        assert latest not in {version.hash for version in versions_of(other, family, line)}
        assert other.read(lambda snapshot: snapshot.known(family, [latest])) == {latest}


def check_the_same(story: Story) -> None:
    winners = {line: winner_of(written).hash for line, written in story.written.items()}
    for device in story.devices:
        there = live(device, story.family)
        assert {line: there[line] for line in story.lines} == winners
        for line in story.lines:
            signers = {version.signer for version in versions_of(device, story.family, line)}
            assert story.rogue.user.id not in signers


def check_conflicts(story: Story, line: RecordId) -> None:
    kept = {
        version.hash: version
        for device in story.devices
        for version in versions_of(device, story.family, line)
    }
    everywhere = conflicts_among(kept.values())
    for device in story.devices:
        assert conflicts_at(device, story.family, line) == everywhere
        told = told_conflicts(device, story.family, line)
        assert told.keys() >= everywhere
    if line in story.flooded:
        return
    unseen = seen_by_nobody(story.written[line])
    assert everywhere >= unseen
    if seeing_is_transitive(story.written[line]):
        assert everywhere == unseen
        assert {told[each] for each in everywhere} <= {1}


def winner_of(versions: Iterable[Signed]) -> Signed:
    return max(versions, key=lambda version: version.order)


def seen_by_nobody(versions: list[Signed]) -> set[Hash]:
    """The versions that lost, and that nobody had seen who wrote another."""
    lost = [version for version in versions if version is not winner_of(versions)]
    return {one.hash for one in lost if not any(had_seen(other, one) for other in versions)}


def conflicts_among(versions: Iterable[Signed]) -> set[Hash]:
    """What a device makes of these versions: see `docs/protocol.md`, "The conflicts"."""
    winner, *losers = sorted(versions, key=lambda version: version.order, reverse=True)
    found: list[Signed] = []
    for one in losers:
        of_signer = sum(later.signer == one.signer for later in found)
        if of_signer < 20 and not any(had_seen(later, one) for later in [winner, *found]):
            found.append(one)
    return {one.hash for one in found}


def seeing_is_transitive(versions: list[Signed]) -> bool:
    """Whether the author of each version had seen all that authors had seen whom they had seen."""
    places = range(len(versions))
    seen = [{two for two in places if had_seen(versions[one], versions[two])} for one in places]
    return all(seen[two] <= seen[one] for one in places for two in seen[one])


def versions_of(device: Device, family: GroupId, line: RecordId) -> list[Signed]:
    def read(snapshot: Snapshot) -> list[Signed]:
        return [*snapshot.live(family, [line]).values(), *snapshot.history(family, line)]

    return device.read(read)


def notes_sent(world: World, since: int) -> list[bytes]:
    """The notes in what was sent behind the first `since` messages; marks may be told any time."""
    messages = [decode_untrusted(sent.data) for sent in world.sent[since:] if sent.kind == "Batch"]
    bodies = [body for each in messages if isinstance(each, Batch) for body in each.bodies]
    return [body for body in bodies if b'"type":"note"' in body]


def check_level(devices: list[Device], family: GroupId) -> None:
    for device in devices:
        assert device.is_level(family), device.engine.levels.why_not(family)


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

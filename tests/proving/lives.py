"""Random lives of users, devices and groups in a world where everything goes wrong.

A story is a list of steps, each a name and numbers, so that one can be drawn, written down, cut
shorter and told again. What somebody may not do is not done.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from peerstack.engine import revoking
from peerstack.engine.merging import merge
from peerstack.errors import LocalError
from peerstack.groups.statements import Role, RoleName
from peerstack.ids import GroupId, RecordId
from peerstack.record import Body, compose
from peerstack.testing.conditions import CALM, HOSTILE, STORMY
from peerstack.testing.device import Device
from peerstack.testing.liar import Liar
from peerstack.testing.world import World
from tests.simulation.papers import Papers, papers_of, recover

NAMES: Final = ("ana", "ben", "cy", "di", "eva", "fay")
GROUPS: Final = 3
DEVICES_EACH: Final = 3
LIARS: Final = 2
NUMBERS: Final = 10
"""What every step has to throw with."""
MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
BACKDATED_MS: Final = 60 * MINUTE_MS
REPLAYED: Final = 1_000
BIG_CHARS: Final = 20_000
LINK_WITHIN_MS: Final = 14 * MINUTE_MS
"""A minute less than the link lasts. A server that lies may have named another day until then."""

Roll = Callable[[int], int]


class NothingCameOfIt(Exception):
    """A step found nothing that it could be done with."""


class Step(NamedTuple):
    """One thing that somebody does, or that happens to them."""

    what: str
    numbers: Sequence[int]


class Story(NamedTuple):
    """How many people there are, what chance they live by, and what happens."""

    people: int
    seed: str
    steps: Sequence[Step]


class Before(NamedTuple):
    """How things stood before all was well."""

    sent: int
    """How many messages had been sent."""
    logged: dict[str, int]
    """Where the log of changes of each device ended, by its name."""
    versions: dict[str, dict[bytes, int]]
    """What each device had, by its name."""
    statements: dict[str, dict[bytes, int]]


@dataclass
class Lives:
    """What the people of one story have, and what they may do next."""

    world: World
    devices: list[Device]
    groups: list[GroupId] = field(default_factory=list)
    papers: dict[str, Papers] = field(default_factory=dict)
    """By user, since papers outlive devices."""
    done: Counter[str] = field(default_factory=Counter)
    """How often each step came to something: one that never does shows nothing."""

    # --- Groups. --------------------------------------------------------------------------------

    def create(self, roll: Roll) -> None:
        _demand(len(self.groups) < GROUPS)
        self.groups.append(self._device(roll).create_group("Group"))

    def join(self, roll: Roll) -> None:
        group = self._group(roll)
        host, guest = self._at(roll, group, Role.ADMIN), self._device(roll)
        guest.join(host.invite(group, self._role(roll)))
        self.world.run(MINUTE_MS)

    def set_role(self, roll: Roll) -> None:
        group = self._group(roll)
        device, other = self._at(roll, group, Role.ADMIN), self._at(roll, group)
        device.set_role(group, other.user.id, self._role(roll))

    def remove(self, roll: Roll) -> None:
        group = self._group(roll)
        device, other = self._at(roll, group, Role.ADMIN), self._at(roll, group)
        device.remove(group, other.user.id)

    def leave(self, roll: Roll) -> None:
        group = self._group(roll)
        self._at(roll, group).leave(group)

    # --- Records. -------------------------------------------------------------------------------

    def write(self, roll: Roll) -> None:
        group = self._group(roll)
        self._at(roll, group, Role.WRITER).put(group, "note", {"n": roll(1_000)})

    def write_anyway(self, roll: Roll) -> None:
        """By a program that does not care about roles: its record is offered to everybody."""
        device, group = self._device(roll), self._group(roll)
        has_it = device.read(lambda kept: kept.group(group)) is not None
        _demand(has_it and sum(not each.honest for each in self.devices) < LIARS)
        user, now_ms = device.user, device.now().wall_ms
        record_id = RecordId(f"{roll(1_000):026}")
        body = Body(record_id, group, "note", now_ms, user.id, user.device, {"n": 1})
        signed = compose(user.device_key, body)
        device.tampered = True
        device.perform(lambda turn: merge(turn, group, [signed], None))

    def write_much(self, roll: Roll) -> None:
        group, count = self._group(roll), 1 + roll(300)
        self._at(roll, group, Role.WRITER).put_many(group, "note", [{"n": n} for n in range(count)])

    def write_big(self, roll: Roll) -> None:
        group, text = self._group(roll), f"{roll(1_000):04d}" * (BIG_CHARS // 4)
        self._at(roll, group, Role.WRITER).put(group, "note", {"text": text})

    def edit(self, roll: Roll) -> None:
        group = self._group(roll)
        device = self._at(roll, group, Role.WRITER)
        notes = device.find(group, "note")
        _demand(notes)
        device.update(group, notes[roll(len(notes))].id, {"n": roll(1_000)})

    def edit_at_once(self, roll: Roll) -> None:
        """At two devices, in the same millisecond."""
        group = self._group(roll)
        one, other = (self._at(roll, group, Role.WRITER) for _ in range(2))
        theirs = {note.id for note in other.find(group, "note")}
        shared = [note for note in one.find(group, "note") if note.id in theirs]
        _demand(shared)
        note = shared[roll(len(shared))].id
        for device in (one, other):
            device.update(group, note, {"n": roll(1_000)})

    def delete(self, roll: Roll) -> None:
        group = self._group(roll)
        device = self._at(roll, group, Role.WRITER)
        notes = device.find(group, "note")
        _demand(notes)
        device.delete(group, notes[roll(len(notes))].id)

    def backdate(self, roll: Roll) -> None:
        self._at_another_time(roll, -BACKDATED_MS)

    def post_date(self, roll: Roll) -> None:
        self._at_another_time(roll, BACKDATED_MS)

    def _at_another_time(self, roll: Roll, by_ms: int) -> None:
        group = self._group(roll)
        device = self._at(roll, group, Role.WRITER)
        skew_ms, device.skew_ms = device.skew_ms, by_ms
        try:
            device.put(group, "note", {"dated": roll(1_000)})
        finally:
            device.skew_ms = skew_ms

    # --- Devices and keys. ----------------------------------------------------------------------

    def link(self, roll: Roll) -> None:
        device = self._device(roll)
        _demand(len(self._of_one_user(device)) < DEVICES_EACH and self._is_free(device))
        device.go_online()
        self.world.conditions = CALM
        self.world.heal()
        boots, text = device.boots, device.link_device()
        new = self.world.device(self._new_name(device), link=text)

        def is_over() -> bool:
            # A link is kept in memory alone, and nobody is let in by a device that was revoked.
            return device.boots > boots or device.perform(lambda turn: turn.is_revoked)

        self.world.run_until(
            lambda: is_over() or bool(device.digits and new.digits), LINK_WITHIN_MS
        )
        if is_over():
            new.go_offline()
            raise NothingCameOfIt
        device.confirm_link()
        self.devices.append(new)
        self.world.run_until(lambda: new.is_linked or is_over(), LINK_WITHIN_MS)

    def revoke(self, roll: Roll) -> None:
        device, other = self._device(roll), self._device(roll)
        ended = other.user.device
        device.perform(lambda turn: revoking.revoke_device(turn, ended, force=False))

    def confirm_phrase(self, roll: Roll) -> None:
        device = self._device(roll)
        _demand(device.user.id not in self.papers and self._is_free(device))
        self.papers[device.user.id] = papers_of(device)

    def recover(self, roll: Roll) -> None:
        """From the papers of once; made a second time, that is a fork."""
        lost = self._device(roll)
        papers = self.papers.get(lost.user.id)
        if papers is None or len(self._of_one_user(lost)) > DEVICES_EACH:
            raise NothingCameOfIt
        lost.go_offline()
        new = recover(self.world, papers, self._new_name(lost), lost)
        self.devices.append(new)

    # --- What goes wrong. -----------------------------------------------------------------------

    def go_offline(self, roll: Roll) -> None:
        self._device(roll).go_offline()

    def go_online(self, roll: Roll) -> None:
        self._device(roll).go_online()

    def restart(self, roll: Roll) -> None:
        self._device(roll).restart()

    def crash(self, roll: Roll) -> None:
        self._device(roll).crash_after(1 + roll(20), committed=roll(2) == 0)

    def clock_jumps(self, roll: Roll) -> None:
        jumps_ms = (-40 * DAY_MS, -DAY_MS, -MINUTE_MS, 0, 0, MINUTE_MS, 8 * MINUTE_MS)
        self._device(roll).skew_ms = jumps_ms[roll(len(jumps_ms))]

    def weather(self, roll: Roll) -> None:
        self.world.conditions = (CALM, STORMY, HOSTILE)[roll(3)]

    def partition(self, roll: Roll) -> None:
        cut = 1 + roll(len(self.devices))
        self.world.partition(set(self.devices[:cut]), set(self.devices[cut:]))

    def heal(self, _: Roll) -> None:
        self.world.heal()

    def server_restarts(self, roll: Roll) -> None:
        self.world.server.stop()
        self.world.run(roll(3) * MINUTE_MS)
        self.world.server.start()

    def turn_liar(self, roll: Roll) -> None:
        device = self._device(roll)
        _demand(sum(not each.honest for each in self.devices) < LIARS)
        seed = f"{self.world.seed}/{device.name}"
        device.tongue = Liar(device.user, seed, lambda: _everything_said(self.world))

    def wait(self, roll: Roll) -> None:
        self.world.run(1 + roll(10) * MINUTE_MS)

    # --- Who, and where. ------------------------------------------------------------------------

    def _device(self, roll: Roll) -> Device:
        return self.devices[roll(len(self.devices))]

    def _at(self, roll: Roll, group: GroupId, role: Role = Role.READER) -> Device:
        """A device at which somebody may do what takes a role; but for once in a while."""
        may = [each for each in self.devices if (each.role(group) or 0) >= role]
        return self._device(roll) if not may or roll(8) == 0 else may[roll(len(may))]

    def _group(self, roll: Roll) -> GroupId:
        if not self.groups:
            self.create(roll)
        return self.groups[roll(len(self.groups))]

    def _role(self, roll: Roll) -> RoleName:
        roles: tuple[RoleName, ...] = ("reader", "writer", "admin")
        return roles[roll(len(roles))]

    def _of_one_user(self, device: Device) -> list[Device]:
        return [each for each in self.devices if each.user.id == device.user.id]

    def _new_name(self, device: Device) -> str:
        return f"{device.name.partition('-')[0]}-{len(self.world.devices)}"

    def _is_free(self, device: Device) -> bool:
        return device.honest and not device.perform(lambda turn: turn.is_revoked)


def _demand(condition: object) -> None:
    if not condition:
        raise NothingCameOfIt


def _everything_said(world: World) -> Sequence[bytes]:
    return [sent.data for sent in world.sent[-REPLAYED:]]


OFTEN: Final = {"join": 4, "write": 4, "edit": 4, "set_role": 2, "go_online": 3, "wait": 3}
WHAT: Final = tuple(
    name
    for name, member in vars(Lives).items()
    if callable(member) and not name.startswith("_")
    for _ in range(OFTEN.get(name, 1))
)
"""What may happen, as often as its weight."""


def story_of(seed: int) -> Story:
    """The story that a seed tells. Most begin with a group that all are in."""
    chance = random.Random(seed)
    people = chance.randint(2, len(NAMES))
    joins = [[0, 1, 0, guest, chance.randrange(3)] for guest in range(1, people)]
    beginning = [Step("create", [0]), *(Step("join", numbers) for numbers in joins)]
    steps = [
        Step(chance.choice(WHAT), [chance.randrange(1_000) for _ in range(NUMBERS)])
        for _ in range(chance.randint(10, 60))
    ]
    return Story(people, str(seed), [*beginning, *steps] if chance.random() < 0.8 else steps)


def live_in(world: World, story: Story) -> Lives:
    """The people of a story, each at a device."""
    return Lives(world, [world.device(name) for name in NAMES[: story.people]])


def tell(lives: Lives, story: Story) -> None:
    """Live a story through. Raises what does not hold meanwhile."""
    world = lives.world
    for step in story.steps:
        numbers = iter(step.numbers)
        try:
            getattr(lives, step.what)(lambda below, numbers=numbers: next(numbers, 0) % below)
            lives.done[step.what] += 1
            world.note(f"{step.what} {step.numbers}")
        except NothingCameOfIt:
            world.note(f"{step.what} {step.numbers}: nothing came of it")
        except LocalError as error:
            world.note(f"{step.what} {step.numbers}: {error}")
        world.run(1_000)


def heal(lives: Lives) -> Before:
    """Let all be well: the network is good, clocks are right, and everybody honest is there.

    Returns what everybody had before.
    """
    world = lives.world
    world.note("all is well")
    before = Before(
        len(world.sent),
        {each.name: each.read(lambda snapshot: snapshot.last_seq()) for each in lives.devices},
        {each.name: versions_at(each) for each in lives.devices},
        {each.name: statements_at(each) for each in lives.devices},
    )
    world.conditions = CALM
    world.heal()
    for device in lives.devices:
        device.skew_ms = 0
        if device.honest:
            device.go_online()
        else:
            device.go_offline()
    world.run(2 * BACKDATED_MS)
    world.settle()
    return before


def versions_at(device: Device) -> dict[bytes, int]:
    """The hashes of all versions that a device has, live or lost, and their sizes in bytes."""
    found: dict[bytes, int] = {}
    with device.store.snapshot() as snapshot:
        for row in snapshot.groups():
            live = snapshot.read_slice(row.id, b"", None, 1_000_000)
            lost = snapshot.lost(row.id, [each.id for each in live]).values()
            for signed in (*live, *(each for line in lost for each in line)):
                found[signed.hash] = len(signed.body) + len(signed.signature)
    return found


def withdrawn_at(device: Device, since: int) -> dict[bytes, int]:
    """The same of those that counted and were withdrawn, as a seal does that comes behind them."""
    with device.store.snapshot() as snapshot:
        groups = [row.id for row in snapshot.groups()]
    changes = [each for group in groups for each in device.changes(group, since)]
    gone = [each.record for each in changes if each.withdrawn]
    return {each.hash: len(each.body) + len(each.signature) for each in gone}


def statements_at(device: Device) -> dict[bytes, int]:
    """The hashes of all statements that a device has, and their sizes in bytes."""
    with device.store.snapshot() as snapshot:
        said = [each for row in snapshot.groups() for each in snapshot.statements(row.id)]
    return {each.hash: len(each.body) + len(each.signature) for each in said}

"""A member with the code and all its own keys, and eyes on what honest devices make of it.

What it signs is made with its keys alone, as no honest device would make it, and told over the wire
by a program that holds the keys of a member.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson

from peerstack.groups.membership import GroupState
from peerstack.groups.statements import Role
from peerstack.identity import User
from peerstack.ids import GroupId, IdFactory, RecordId, UserId
from peerstack.keys import Hash, Label, Secret, sha256
from peerstack.reconcile.fingerprint import Fingerprint
from peerstack.record import JsonObject, Signed
from peerstack.session.wire import Kind
from peerstack.store import Snapshot
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.people import Person
from tests.simulation.ends import waits
from tests.simulation.people import family_of
from tests.simulation.scripted import NOTE, Scripted, secret_of, written_by


class Order(enum.Enum):
    """In which order honest devices hear of an end, and of what was made behind it."""

    HEARD = "all have heard of the end"
    BACKWARDS = "the same, and all is said from the last to the first"
    RESTARTS = "the same, and they restart in the middle and at the end"
    THIRD = "all but one hear it from an honest device that had heard of the end"
    UNHEARD = "all but one hear it from an honest device that had not"


@dataclass
class Never:
    """What an honest device may not come to, at no moment."""

    hashes: set[Hash] = field(default_factory=set)
    """Versions that are never live, never in history, and of which no app is told."""
    outsiders: set[UserId] = field(default_factory=set)
    """Who never holds a role."""
    roles: dict[UserId, Role] = field(default_factory=dict)
    """Who never holds more than this."""


class WatchedWorld(World):
    """A world in which some devices are looked at after every single thing that happens."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.looks = 0
        self._watched: list[Callable[[], None]] = []

    def watch(self, group: GroupId, never: Never, *devices: Device) -> None:
        """From now on, look at these devices."""
        for device in devices:
            self._watched.append(_Eyes(group, never, device).look)

    def step(self) -> bool:
        happened = super().step()
        self.looks += 1
        for look in self._watched:
            look()
        return happened


class _Eyes:
    def __init__(self, group: GroupId, never: Never, device: Device) -> None:
        self._group = group
        self._never = never
        self._device = device
        self._told = 0
        self._records: Fingerprint | None = None
        self._statements = b""
        self._seen: tuple[int, int] | None = None

    def look(self) -> None:
        """Look at everything that has changed since the last time. Raises `AssertionError`."""
        seen = (self._device.store.rows_written(), len(self._never.hashes))
        # Most steps change nothing on most devices.
        if seen != self._seen:
            self._device.read(self._look)
            self._seen = seen

    def _look(self, snapshot: Snapshot) -> None:
        name, group, never = self._device.name, self._group, self._never.hashes
        news = snapshot.changes(self._told, limit=1_000) if snapshot.last_seq() > self._told else []
        for change in news:
            self._told = change.seq
            assert change.record.hash not in never, f"{name}'s app is told of {change.record!r}"
        lost = {each.hash for each in snapshot.kept(never)}
        assert not lost, f"in history on {name}"
        row = snapshot.group(group)
        if row is not None and row.root != self._records:
            self._records = row.root
            live = {each.hash for each in snapshot.read_slice(group, b"", None, 10_000)}
            assert not live & never, f"live on {name}"
        if row is not None and row.statements_root != self._statements:
            self._statements = row.statements_root
            self._look_at_roles(snapshot)

    def _look_at_roles(self, snapshot: Snapshot) -> None:
        own = snapshot.statements(self._group)
        identities = snapshot.identities({each.signer for each in own})
        members = GroupState.of(self._group, [*own, *identities]).members()
        assert not members.keys() & self._never.outsiders, f"a member on {self._device.name}"
        for user, most in self._never.roles.items():
            assert members.get(user, Role.READER) <= most, f"risen on {self._device.name}"


@dataclass
class Scene:
    """Ana founded it; Cy is an admin too; Dora and Eve write. Ben is up to no good, and Eve his."""

    world: WatchedWorld
    group: GroupId
    ana: Device
    cy: Device
    dora: Device
    ben: Device
    eve: Device
    never: Never = field(default_factory=Never)

    @classmethod
    def begin(cls, *, ben: str = "writer", seed: int = 0) -> Scene:
        """All of them level, Ben and Eve off the net; `ben` is the role that he has."""
        world = WatchedWorld(seed)
        group, (ana, cy, dora, mallory, eve) = family_of(world, "ana", "cy", "dora", "ben", "eve")
        scene = cls(world, group, ana, cy, dora, mallory, eve)
        scene.ana.set_role(group, scene.cy.user.id, "admin")
        if ben == "admin":
            scene.ana.set_role(group, scene.ben.user.id, "admin")
        world.settle()
        return scene

    @property
    def honest(self) -> tuple[Device, ...]:
        return self.ana, self.cy, self.dora

    @property
    def mallory(self) -> Person:
        """Ben's keys."""
        return keys_of(self.ben)

    def forbid(self, *items: Signed, outsiders: Iterable[UserId] = ()) -> None:
        """See to it that none of these records, and nobody of these, ever counts."""
        self.never.hashes.update(each.hash for each in items if not each.is_statement)
        self.never.outsiders.update(outsiders)

    def off_the_net(self) -> None:
        """Ben and Eve say nothing any more but by script."""
        for device in (self.ben, self.eve):
            device.go_offline()
        self.world.settle()

    def state(self) -> GroupState:
        """What Ana knows."""
        return self.ana.perform(lambda turn: turn.state(self.group))

    def right_of(self, device: Device, role: Role = Role.READER) -> Signed:
        """The oldest statement that gives somebody a role, as Ana knows it."""
        state = self.state()
        grant = state.grant_for(device.user.id, role)
        assert grant is not None
        return state.forms[grant.hash][0]

    def consent_of(self, device: Device) -> Signed:
        state = self.state()
        consent = state.consent_of(device.user.id)
        assert consent is not None
        return state.forms[consent][0]

    def all_know(self) -> None:
        """Let everybody come level, and see that they judged all that they had to."""
        self.world.settle()
        for device in self.honest:
            assert not waits(device)
            assert device.records(self.group) == self.ana.records(self.group)
            assert device.members(self.group) == self.ana.members(self.group)

    def tell(self, listener: Device, items: Sequence[Signed]) -> Scripted:
        """Say all of it to one device by Eve's keys, who is a member, in this order."""
        secret = secret_of(self.eve, self.group)
        return tell(self.world, listener, self.eve.user, self.group, secret, items)

    def carry_out(
        self, order: Order, items: Sequence[Signed], end: Callable[[], None] | None = None
    ) -> None:
        """Let honest devices have all of it, before or after most of them hear of an end.

        Each of them wrote something meanwhile, apart from the others; all of that is to survive.
        """
        self.world.partition(*({each} for each in self.honest))
        wrote = [each.put(self.group, "note", {"by": each.name}) for each in self.honest]
        if end is not None:
            end()
        watched = self.honest
        if order is Order.UNHEARD:
            # Not of Cy: what an admin's device takes before it hears of an end, it may name.
            self.world.partition({self.ana, self.cy}, {self.dora})
            watched = self.honest[:2]
        else:
            self.world.heal()
        self.world.settle()
        self.world.watch(self.group, self.never, *watched)
        self._tell_in(order, items)
        self.world.heal()
        self.all_know()
        self.nothing_counts()
        for device in self.honest:
            for note in wrote:
                assert device.get(self.group, note.id) == note

    def _tell_in(self, order: Order, items: Sequence[Signed]) -> None:
        match order:
            case Order.HEARD:
                for device in self.honest:
                    self.tell(device, items)
            case Order.BACKWARDS:
                for device in self.honest:
                    self.tell(device, items[::-1])
            case Order.RESTARTS:
                half = len(items) // 2
                for some in (items[:half], items[half:]):
                    for device in self.honest:
                        self.tell(device, some)
                        device.restart()
            case Order.THIRD | Order.UNHEARD:
                self.tell(self.dora, items)

    def nothing_counts(self) -> None:
        """See that on no honest device anything forbidden counts, whatever was so before."""
        for device in self.honest:
            live = {each.hash for each in device.records(self.group).values()}
            assert not live & self.never.hashes
            assert not device.read(lambda snapshot: snapshot.kept(self.never.hashes))
            members = device.members(self.group)
            assert not members.keys() & self.never.outsiders
            for user, most in self.never.roles.items():
                assert members.get(user, Role.READER) <= most


def keys_of(device: Device) -> Person:
    """What somebody signs with the keys of a device, as they like."""
    entropy = SeededEntropy(f"ids by the keys of {device.name}")
    return Person(device.user, IdFactory(entropy))


def tell(
    world: World,
    listener: Device,
    user: User,
    group: GroupId,
    secret: Secret,
    items: Sequence[Signed],
) -> Scripted:
    """Say something to a device, in the given order, and hang up."""
    script = Scripted(world, listener, user, seed=f"{user.name}/{listener.name}").shake_hands()
    script.name_groups(group, secret)
    world.run(200)
    numbered = enumerate(_runs(items))
    for number, run in numbered:
        if script.is_cut_off:
            break
        kind = Kind.STATEMENTS if run[0].is_statement else Kind.RECORDS
        script.gives(*run, number=number, kind=kind)
    if not script.is_cut_off:
        assert script.acknowledged == list(range(len(_runs(items)))), "it was not taken in"
        script.plug.end_it()
    return script


def _runs(items: Sequence[Signed]) -> list[list[Signed]]:
    runs: list[list[Signed]] = []
    for item in items:
        if not runs or runs[-1][0].is_statement is not item.is_statement:
            runs.append([])
        runs[-1].append(item)
    return runs


def raw(user: User, group: GroupId, **fields: object) -> Signed:
    """A record with any fields at all, signed all the same."""
    like = written_by(user, group, NOTE, 1, {})
    body = orjson.dumps(orjson.loads(like.body) | fields)
    digest = sha256(body)
    signature = like.signature[:1] + user.device_key.sign(Label.RECORD, digest)
    return msgspec.structs.replace(like, body=body, hash=digest, signature=signature)


def note_by(
    who: Person, group: GroupId, modified: int, value: JsonObject, over: Signed | None = None
) -> Signed:
    """A note, or a version of one, that says it has seen all."""
    if over is None:
        return who.writes(group, modified, value)
    seen = {**over.seen, over.device: over.modified}
    return who.writes(group, modified, value, id=RecordId(over.id), seen=seen)

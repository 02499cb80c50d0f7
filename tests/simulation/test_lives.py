"""Random lives of users, devices and groups: whoever knows the same judges the same, and in the end
all who belong together have the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from peerstack.engine import revoking
from peerstack.errors import LocalError
from peerstack.groups.rules import judge_record
from peerstack.groups.statements import Role, RoleName
from peerstack.ids import GroupId, RecordId
from peerstack.record import Signed
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.linking import link
from tests.simulation.people import live

NAMES = ("ana", "ben", "cy", "di", "eva", "fay")
GROUPS = 3
DEVICES_EACH = 3
MINUTE_MS = 60_000
BACKDATED_MS = 60 * MINUTE_MS

Roll = Callable[[int], int]


@dataclass
class Lives:
    """What the people of one story have, and what they may do next."""

    world: World
    devices: list[Device]
    groups: list[GroupId] = field(default_factory=list)
    written: dict[GroupId, set[RecordId]] = field(default_factory=dict)

    def create(self, roll: Roll) -> None:
        if len(self.groups) < GROUPS:
            self.groups.append(self._device(roll).create_group("Group"))

    def join(self, roll: Roll) -> None:
        host, guest, group = self._device(roll), self._device(roll), self._group(roll)
        guest.join(host.invite(group, self._role(roll)))
        self.world.run(MINUTE_MS)

    def write(self, roll: Roll) -> None:
        device, group = self._device(roll), self._group(roll)
        self._wrote(group, device.put(group, "note", {"n": roll(1_000)}).id)

    def edit(self, roll: Roll) -> None:
        device, group = self._device(roll), self._group(roll)
        notes = device.find(group, "note")
        if notes:
            device.update(group, notes[roll(len(notes))].id, {"n": roll(1_000)})

    def backdate(self, roll: Roll) -> None:
        device = self._device(roll)
        skew_ms, device.skew_ms = device.skew_ms, -BACKDATED_MS
        try:
            group = self._group(roll)
            self._wrote(group, device.put(group, "note", {"backdated": roll(1_000)}).id)
        finally:
            device.skew_ms = skew_ms

    def set_role(self, roll: Roll) -> None:
        device, other = self._device(roll), self._device(roll)
        device.set_role(self._group(roll), other.user.id, self._role(roll))

    def remove(self, roll: Roll) -> None:
        device, other = self._device(roll), self._device(roll)
        device.remove(self._group(roll), other.user.id)

    def leave(self, roll: Roll) -> None:
        self._device(roll).leave(self._group(roll))

    def link(self, roll: Roll) -> None:
        device = self._device(roll)
        mine = [each for each in self.devices if each.user.id == device.user.id]
        if len(mine) < DEVICES_EACH and self._is_free(device):
            device.go_online()
            name = f"{device.name}-{len(self.devices)}"
            self.devices.append(link(self.world, device, name))

    def revoke(self, roll: Roll) -> None:
        device, other = self._device(roll), self._device(roll)
        ended = other.user.device
        device.perform(lambda turn: revoking.revoke_device(turn, ended, force=False))

    def go_offline(self, roll: Roll) -> None:
        self._device(roll).go_offline()

    def go_online(self, roll: Roll) -> None:
        self._device(roll).go_online()

    def restart(self, roll: Roll) -> None:
        self._device(roll).restart()

    def wait(self, roll: Roll) -> None:
        self.world.run(1 + roll(10) * MINUTE_MS)

    def end(self) -> None:
        """Everybody comes back, and has the time that it takes."""
        for device in self.devices:
            device.go_online()
        self.world.settle()

    def _device(self, roll: Roll) -> Device:
        return self.devices[roll(len(self.devices))]

    def _group(self, roll: Roll) -> GroupId:
        if not self.groups:
            self.create(roll)
        return self.groups[roll(len(self.groups))]

    def _role(self, roll: Roll) -> RoleName:
        roles: tuple[RoleName, ...] = ("reader", "writer", "admin")
        return roles[roll(len(roles))]

    def _wrote(self, group: GroupId, record: RecordId) -> None:
        self.written.setdefault(group, set()).add(record)

    def _is_free(self, device: Device) -> bool:
        return not device.perform(lambda turn: turn.is_revoked)


WHAT = (
    Lives.create,
    Lives.join,
    Lives.join,
    Lives.write,
    Lives.write,
    Lives.edit,
    Lives.backdate,
    Lives.set_role,
    Lives.set_role,
    Lives.remove,
    Lives.leave,
    Lives.link,
    Lives.revoke,
    Lives.go_offline,
    Lives.go_online,
    Lives.go_online,
    Lives.restart,
    Lives.wait,
)
STEPS = st.lists(
    st.tuples(st.sampled_from(WHAT), st.lists(st.integers(0, 999), min_size=5, max_size=5)),
    min_size=5,
    max_size=40,
)


def live_through(people: int, steps: Iterable[tuple[Callable[..., None], list[int]]]) -> Lives:
    """A story; what somebody may not do is not done."""
    world = World("lives")
    lives = Lives(world, [world.device(name) for name in NAMES[:people]])
    for do, numbers in steps:
        rolls = iter(numbers)
        try:
            do(lives, lambda below, rolls=rolls: next(rolls) % below)
            world.note(f"{do.__name__} {numbers}")
        except LocalError as error:
            world.note(f"{do.__name__} {numbers}: {error}")
        world.run(1_000)
    return lives


@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.integers(2, 6), STEPS)
def test_whoever_knows_the_same_judges_the_same_and_members_end_level(
    people: int, steps: list[tuple[Callable[..., None], list[int]]]
) -> None:
    lives = live_through(people, steps)
    for group in lives.groups:
        check_agreement(lives, group)
    lives.end()
    for group in lives.groups:
        check_agreement(lives, group)
        check_level(lives, group)


def check_agreement(lives: Lives, group: GroupId) -> None:
    """Devices with the same statements agree on all roles and every record's verdict."""
    pool = all_versions(lives, group)
    for one, other in combinations(lives.devices, 2):
        if statements(one, group) != statements(other, group):
            continue
        assert one.members(group) == other.members(group)
        assert verdicts(one, group, pool) == verdicts(other, group, pool)


def check_level(lives: Lives, group: GroupId) -> None:
    """The devices of members that count have the same statements and records."""
    inside = [device for device in lives.devices if is_inside(device, group)]
    members = {device.user.id: role for device in inside for role in [device.role(group)]}
    for one, other in combinations(inside, 2):
        assert statements(one, group) == statements(other, group), (one, other)
        assert live(one, group) == live(other, group), (one, other)
        assert one.members(group).keys() <= members.keys() | one.members(group).keys()


def is_inside(device: Device, group: GroupId) -> bool:
    revoked = device.perform(lambda turn: turn.is_revoked)
    return not revoked and device.role(group) is not None


def statements(device: Device, group: GroupId) -> list[bytes]:
    return list(device.read(lambda kept: kept.statement_hashes(group)))


def all_versions(lives: Lives, group: GroupId) -> list[Signed]:
    """Every version of every record that is live or in history anywhere."""
    found: dict[bytes, Signed] = {}
    for device in lives.devices:
        for signed in device.read(lambda kept: kept.read_slice(group, b"", None, 100_000)):
            found[signed.hash] = signed
            found.update((each.hash, each) for each in lost_of(device, group, signed.id))
    return [found[key] for key in sorted(found)]


def lost_of(device: Device, group: GroupId, record_id: RecordId) -> list[Signed]:
    return device.read(lambda kept: kept.history(group, record_id))


def verdicts(device: Device, group: GroupId, pool: list[Signed]) -> list[object]:
    state = device.perform(lambda turn: turn.state(group))
    times = sorted({signed.modified for signed in pool})
    roles: list[object] = [
        state.role_at(user, time_ms) for user in sorted(state.identities) for time_ms in times
    ]
    far_ms = lives_end_ms(pool)
    return roles + [judge_record(state, signed, far_ms) for signed in pool]


def lives_end_ms(pool: list[Signed]) -> int:
    return max((signed.modified for signed in pool), default=0)


def test_the_story_tells_of_every_role() -> None:
    """The generator reaches what it is about: a fixed story with all that may happen."""
    steps = [(do, [n, n + 1, n + 2, n, n]) for n, do in enumerate(WHAT)]
    lives = live_through(4, steps)
    lives.end()
    assert lives.groups
    assert any(
        Role.ADMIN in device.members(group).values()
        for group in lives.groups
        for device in lives.devices
    )

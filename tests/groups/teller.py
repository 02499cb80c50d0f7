"""Random lives of up to six people with three devices each in one group, honest and hostile.

A story is told by steps of small numbers. Each step looks among what was said before for something
to say it about; much of it is right, and some is backdated, by who may not, or about what is not
there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from peerstack.groups.statements import SEAL_TYPE, RoleName, Seal
from peerstack.ids import IdFactory
from peerstack.keys import Hash, Signer
from peerstack.record import Signed, compose
from peerstack.testing.ports import SeededEntropy
from tests.groups import endings
from tests.people import T0, Person, person

NAMES = ("ana", "bo", "cy", "di", "eli", "flo")
ROLES: tuple[RoleName, ...] = ("reader", "writer", "admin")
PART_HASHES = 2


def _at_devices(name: str) -> list[Person]:
    who = person(name)
    return [who, who.at_new_device("phone", T0 + 2), who.at_new_device("tablet", T0 + 3)]


# Ids that derive take long, so these are made once.
DEVICES = [_at_devices(name) for name in NAMES]
FOUNDING = DEVICES[0][0].founds(T0 + 100)
GROUP = FOUNDING.group


class Step(NamedTuple):
    """What happens next: the numbers choose who, about what, and when."""

    kind: str
    who: int
    what: int
    how: int
    back_ms: int


class Held(NamedTuple):
    """A grant, and who has it."""

    said: Signed
    holder: Person
    role: RoleName


@dataclass
class Story:
    """What everybody said, and wrote."""

    statements: list[Signed] = field(default_factory=list)
    records: list[Signed] = field(default_factory=list)

    def arriving(self, seed: int) -> list[Signed]:
        """All statements in some order, a few of them twice."""
        order = random.Random(seed)
        twice = [*self.statements, *order.sample(self.statements, len(self.statements) // 4)]
        order.shuffle(twice)
        return twice


class Teller:
    """Tells a story, step by step."""

    def __init__(self) -> None:
        ids = IdFactory(SeededEntropy("ids of a story"))
        self._devices = [[replace(each, ids=ids) for each in mine] for mine in DEVICES]
        self._people = [mine[0] for mine in self._devices]
        self._now = T0 + 100
        self.story = Story()
        self._grants = [Held(FOUNDING, self._people[0], "admin")]
        self._invites: list[tuple[Signed, RoleName]] = []
        self._joins: list[tuple[Signed, Person, RoleName]] = []
        self._closes: list[tuple[Signed, Sequence[Hash]]] = []
        self._revokes: list[tuple[Signed, Person]] = []
        self._rotations: list[tuple[Signed, Person, Signer]] = []
        for laptop, *others in self._devices:
            self._say(*laptop.user.statements, *(each.user.statements[-1] for each in others))
        self._say(FOUNDING)
        self._begin()

    def _begin(self) -> None:
        """A group with admins below each other, and members that others let in."""
        for kind, who, what, how in (
            ("invite", 0, 0, 2),  # Ana invites an admin, ...
            ("join", 1, 0, 0),
            ("admit", 0, 0, 0),  # ... who is Bo.
            ("invite", 1, 1, 1),  # Bo invites writers.
            ("join", 2, 1, 0),
            ("admit", 1, 1, 0),
            ("grant", 1, 1, 2),  # Cy, an admin by Bo's grant.
            ("join", 3, 1, 0),
            ("admit", 2, 2, 0),
        ):
            self.tell(Step(kind, who, what, how, 0))

    def tell(self, step: Step) -> None:
        self._now += 10
        at_ms = self._now - step.back_ms
        telling: Callable[[Step, int], None] = getattr(self, f"_{step.kind}")
        telling(step, max(at_ms, T0))

    def _say(self, *said: Signed) -> None:
        self.story.statements.extend(said)

    def _at_device(self, who: Person, number: int) -> Person:
        mine = self._devices[self._people.index(who)]
        return mine[(0, 0, 0, 1, 2)[number % 5]]

    def _right(self, number: int, role: RoleName = "reader") -> Held:
        fitting = [each for each in self._grants if ROLES.index(each.role) >= ROLES.index(role)]
        return fitting[number % len(fitting)]

    # --- Coming in. -----------------------------------------------------------------------------

    def _invite(self, step: Step, at_ms: int) -> None:
        right = self._right(step.who, "admin")
        role, who = ROLES[step.how % 3], self._at_device(right.holder, step.what)
        if step.how == 4:
            invite = who.invites(right.said, at_ms, role, expires=at_ms + 100)
        else:
            invite = who.invites(right.said, at_ms, role)
        self._invites.append((invite, role))
        self._say(invite)

    def _join(self, step: Step, at_ms: int) -> None:
        who = self._at_device(self._people[step.who % 6], step.how)
        if step.how == 5:
            self._joins.append((who.consents(GROUP, at_ms), who, "reader"))
        else:
            invite, role = self._invites[step.what % len(self._invites)]
            self._joins.append((who.joins(invite, at_ms), who, role))
        self._say(self._joins[-1][0])

    def _admit(self, step: Step, at_ms: int) -> None:
        join, newcomer, role = self._joins[step.what % len(self._joins)]
        right = self._right(step.who, "admin" if role == "admin" else "reader")
        admit = self._at_device(right.holder, step.how).admits(right.said, join, at_ms)
        self._grants.append(Held(admit, self._person(newcomer), role))
        self._say(admit)

    def _person(self, at_device: Person) -> Person:
        return next(each for each in self._people if each.id == at_device.id)

    def _grant(self, step: Step, at_ms: int) -> None:
        right = self._right(step.who, "admin")
        join, newcomer, _ = self._joins[step.what % len(self._joins)]
        role = ROLES[step.how % 3]
        who = self._at_device(right.holder, step.how)
        grant = who.grants(right.said, newcomer.id, role, join, at_ms)
        self._grants.append(Held(grant, self._person(newcomer), role))
        self._say(grant)

    # --- Ending and sealing. --------------------------------------------------------------------

    def _close(self, step: Step, at_ms: int) -> None:
        right = self._right(step.who, "admin")
        target = self._right(step.what)
        stays = self._written_by(target.holder, step.how)
        self._end(right, target.said, at_ms, stays, step.how)

    def _remove(self, step: Step, at_ms: int) -> None:
        """As an honest device does it: the end, and all parts of its seal at once."""
        self._close(step, at_ms)
        close, stays = self._closes[-1]
        right = self._right(step.who, "admin")
        self._say_parts(right, self._at_device(right.holder, step.how), close, at_ms + 1, stays)

    def _close_invite(self, step: Step, at_ms: int) -> None:
        invite, _ = self._invites[step.what % len(self._invites)]
        self._end(self._right(step.who, "admin"), invite, at_ms, [], step.how)

    def _leave(self, step: Step, at_ms: int) -> None:
        right = self._right(step.who)
        self._end(right, right.said, at_ms, [], step.how)

    def _give_up(self, step: Step, at_ms: int) -> None:
        right = self._right(step.who)
        mine = [each for each in self._grants if each.holder == right.holder]
        self._end(right, mine[step.what % len(mine)].said, at_ms, [], step.how)

    def _end(
        self, right: Held, target: Signed, at_ms: int, stays: Sequence[Hash], how: int
    ) -> None:
        who = self._at_device(right.holder, how)
        close = endings.closes_over(who, right.said, target, at_ms, stays)
        self._closes.append((close, stays))
        self._say(close)

    def _written_by(self, who: Person, how: int) -> list[Hash]:
        """All that somebody said and wrote so far; some of it; or nothing."""
        everything = (*self.story.statements, *self.story.records)
        mine = endings.hashes(each for each in everything if each.signer == who.id and each.device)
        return [mine, mine, mine[::2], mine[1::2], [], mine][how % 6]

    def _seal(self, step: Step, at_ms: int) -> None:
        if not self._closes:
            return
        close, committed = self._closes[step.what % len(self._closes)]
        stays = committed if step.how % 2 else self._written_by(self._ended_by(close), step.how)
        right = self._right(step.who, "admin")
        self._say_parts(right, self._at_device(right.holder, step.how), close, at_ms, stays)

    def _spoil(self, step: Step, at_ms: int) -> None:
        """Parts that claim to be of another's seal, and hold something else."""
        if self._closes:
            close, committed = self._closes[step.what % len(self._closes)]
            right = self._right(step.who, "admin")
            who = self._at_device(right.holder, step.how)
            (seal,) = endings.seals(who, right.said, close, at_ms)
            claimed = endings.closes_over(who, right.said, close, at_ms, committed).value
            value = seal.value | {name: claimed[name] for name in ("count", "root")}
            value["hashes"] = [each.hex() for each in self._written_by(right.holder, 0)[:2]]
            self._say(who.states(GROUP, SEAL_TYPE, at_ms, Seal(**value)))

    def _ended_by(self, close: Signed) -> Person:
        target = close.value["target"]
        ended = (each.holder for each in self._grants if each.said.hash.hex() == target)
        return next(ended, self._people[0])

    def _seal_device(self, step: Step, at_ms: int) -> None:
        if not self._revokes:
            return
        revoke, who = self._revokes[step.what % len(self._revokes)]
        mine = [each for each in self._grants if each.holder == who]
        if mine:
            right = mine[step.who % len(mine)]
            stays = self._written_by(who, step.how)
            at_device = self._devices[self._people.index(who)][step.how % 3]
            self._say_parts(right, at_device, revoke, at_ms, stays)

    def _say_parts(
        self, right: Held, who: Person, ends: Signed, at_ms: int, stays: Sequence[Hash]
    ) -> None:
        size = max(PART_HASHES, len(stays) // 3)
        self._say(*endings.seals_over(who, right.said, ends, at_ms, stays, size))

    # --- Devices and root keys. -----------------------------------------------------------------

    def _revoke(self, step: Step, at_ms: int) -> None:
        who = self._people[step.who % 6]
        device = self._devices[step.who % 6][step.what % 3].user.device
        later = [each for each in self._rotations if each[1] == who]
        under, _, root = later[-1] if later and step.how % 2 else (None, who, None)
        revoke = endings.revokes(who, device, at_ms, under=under, root=root)
        self._revokes.append((revoke, who))
        self._say(revoke)

    def _rotate(self, step: Step, at_ms: int) -> None:
        who = self._people[step.who % 6]
        certificates = [each.user.statements[-1] for each in self._devices[step.who % 6]]
        keeps = [each for at, each in enumerate(certificates) if not step.what >> at & 1]
        later = [each for each in self._rotations if each[1] == who]
        if len(later) == 1 and step.how < 4:
            under, root = later[0][0], endings.third_root(who)
        else:
            under, root = None, endings.second_root(who)
        rotation = endings.rotates(who, at_ms, keeps, under=under, root=root)
        self._rotations.append((rotation, who, root))
        self._say(rotation)

    def _certify_again(self, step: Step, at_ms: int) -> None:
        if self._rotations:
            rotation, who, root = self._rotations[step.who % len(self._rotations)]
            device = self._devices[self._people.index(who)][step.what % 3]
            certificate = device.user.statements[-1]
            self._say(endings.certifies_again(who, certificate, rotation, root))

    # --- Anything else. -------------------------------------------------------------------------

    def _write(self, step: Step, at_ms: int) -> None:
        who = self._at_device(self._people[step.who % 6], step.how)
        type_name = "$profile" if step.what % 4 == 0 else "note"
        group = GROUP
        self.story.records.append(who.writes(group, at_ms, type_name=type_name))

    def _say_something_later(self, step: Step, at_ms: int) -> None:
        who = self._at_device(self._people[step.who % 6], step.how)
        body = who.body(GROUP, "$later.version", at_ms, {"any": []})
        self._say(compose(who.user.device_key, body))

    def _forge(self, step: Step, at_ms: int) -> None:
        genuine = self.story.statements[step.what % len(self.story.statements)]
        self._say(msgspec.structs.replace(genuine, signature=b"\x01" + bytes(64)))

    def end(self) -> Story:
        """The story, and records of everybody at many times that nobody named."""
        times = range(T0 + 105, self._now + 60, 97)
        for mine in self._devices:
            for at_ms in times:
                for who in mine[:2]:
                    self.story.records.append(who.writes(GROUP, at_ms))
        return self.story

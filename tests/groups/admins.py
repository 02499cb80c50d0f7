"""A group with admins below and beside each other, and what a device makes of more about it.

Ana (founder) ── Bo (admin) ── Di (admin) ── Eli (writer, by Bo's invite)
              └─ Cy (admin) ── Flo (reader)
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import TypeVar

from peerstack.groups.effect import Standing
from peerstack.groups.membership import GroupState
from peerstack.groups.rules import Admitted, Held, Quarantined, judge_record
from peerstack.groups.statements import RoleName
from peerstack.record import Signed
from tests.groups.folding import Fold, fold
from tests.people import NOW, T0, Person, person

T = TypeVar("T")

ANA, BO, CY, DI, ELI, FLO, MALLORY = EVERYBODY = [
    person(name) for name in ("ana", "bo", "cy", "di", "eli", "flo", "mallory")
]
PEOPLE = [statement for each in EVERYBODY for statement in each.user.statements]

FOUNDING = ANA.founds(T0 + 100)
GROUP = FOUNDING.group
CONSENTS = {each.id: each.consents(GROUP, T0 + 105) for each in EVERYBODY}


def makes(by: Person, under: Signed, who: Person, role: RoleName, modified: int) -> Signed:
    """A grant by the consent that everybody has given."""
    return by.grants(under, who.id, role, CONSENTS[who.id], modified)


BOS = makes(ANA, FOUNDING, BO, "admin", T0 + 110)
CYS = makes(ANA, FOUNDING, CY, "admin", T0 + 120)
DIS = makes(BO, BOS, DI, "admin", T0 + 130)
INVITE = BO.invites(BOS, T0 + 140)
JOIN = ELI.joins(INVITE, T0 + 150)
ELIS = DI.admits(DIS, JOIN, T0 + 160)
FLOS = makes(CY, CYS, FLO, "reader", T0 + 170)

STORY = [FOUNDING, *CONSENTS.values(), BOS, CYS, DIS, INVITE, JOIN, ELIS, FLOS]


def known(*more: Signed) -> Fold:
    """What a device has that knows this group, and more about it."""
    return fold(GROUP, [*PEOPLE, *STORY, *more])


def state(*more: Signed) -> GroupState:
    """The same, where all of it is admitted."""
    device = known(*more)
    assert device.held == {}, "a statement is missing"
    assert device.refused == {}
    return device.state


def everywhere(question: Callable[[GroupState], T], *more: Signed) -> T:
    """The answer that devices have to which this arrived, and more, in whatever order."""
    answers = []
    for seed in range(5):
        arriving = [*PEOPLE, *STORY, *more]
        random.Random(seed).shuffle(arriving)
        answers.append(question(fold(GROUP, arriving).state))
    assert all(answer == answers[0] for answer in answers), "the order matters"
    return answers[0]


def members(now: GroupState) -> set[str]:
    """Who is in the group, by name."""
    return {now.identities[user].name for user in now.members()}


def verdict(signed: Signed, *before: Signed) -> str:
    return known(*before, signed).verdict(signed)


def judged(record: Signed, now: GroupState, now_ms: int = NOW) -> str:
    """ "admitted", "held", "quarantined", or the reason of the refusal."""
    match judge_record(now, record, now_ms):
        case Admitted():
            return "admitted"
        case Held():
            return "held"
        case Quarantined():
            return "quarantined"
        case refused:
            return refused.reason.value


def standing(grant: Signed, now: GroupState) -> Standing | None:
    """The grant with its ends, where it stands."""
    of_everybody = itertools.chain.from_iterable(now.effect.standing.values())
    return next((each for each in of_everybody if each.grant.hash == grant.hash), None)


def is_open(grant: Signed, now: GroupState) -> bool:
    """Whether a grant stands and has no end."""
    found = standing(grant, now)
    return found is not None and found.end is None

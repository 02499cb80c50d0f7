"""A small group, what a device makes of its statements, and ways to spoil one of them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from peerstack.groups.membership import GroupState
from peerstack.keys import Signer
from peerstack.record import Body, Signed, compose
from tests.groups.folding import Fold, fold
from tests.people import T0, person, signer

ANA, BO, CY, MALLORY = (person(name) for name in ("ana", "bo", "cy", "mallory"))
PEOPLE = [statement for each in (ANA, BO, CY, MALLORY) for statement in each.user.statements]
INCEPTION, CERTIFICATE = ANA.user.statements

FOUNDING = ANA.founds(T0 + 100)
GROUP = FOUNDING.group
INVITE = ANA.invites(FOUNDING, T0 + 200, expires=T0 + 1_000)
JOIN = BO.joins(INVITE, T0 + 300)
ADMIT = ANA.admits(FOUNDING, JOIN, T0 + 400)
READ_INVITE = ANA.invites(FOUNDING, T0 + 210, "reader")
READ_JOIN = CY.joins(READ_INVITE, T0 + 310)
READ_ADMIT = BO.admits(ADMIT, READ_JOIN, T0 + 410)
"""Ana is the founder, Bo a writer, Cy a reader; Mallory has a link, and no role."""

STORY = [FOUNDING, INVITE, JOIN, ADMIT, READ_INVITE, READ_JOIN, READ_ADMIT]
NOWHERE = signer("no statement").public.hex()


def device() -> Fold:
    """A device that has everything there is to know."""
    return fold(GROUP, [*PEOPLE, *STORY])


STATE: GroupState = device().state


def verdict(signed: Signed, *before: Signed) -> str:
    known = device()
    for each in (*before, signed):
        known.receive(each)
    return known.verdict(signed)


def user_verdict(signed: Signed, *before: Signed) -> str:
    return fold(ANA.id, [*before, signed]).verdict(signed)


def changed(signed: Signed, key: Signer, **changes: Any) -> Signed:
    """The statement with other fields, signed anew; None takes a field away."""
    fields = {name: getattr(signed, name) for name in ("id", "group", "type", "modified", "signer")}
    body = Body(**fields, device=signed.device or UNSET, value=signed.value)
    return compose(key, msgspec.structs.replace(body, **changes))

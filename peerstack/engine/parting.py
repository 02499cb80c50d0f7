"""Leaving a group, until somebody in it knows.

Whoever has left is no member, and would meet nobody; so the group is met until a member shows that
the leave has arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from peerstack.engine.turn import Turn
from peerstack.ids import GroupId
from peerstack.record import Signed

_UNTOLD: Final = "leaves to be told"


def untold(turn: Turn) -> dict[GroupId, str]:
    """The groups that this user left and nobody in them is known to know of; and the leaves."""
    return turn.tx.profile_get(_UNTOLD) or {}


def remember_leave(turn: Turn, leave: Signed) -> None:
    """This device's user has left a group."""
    turn.tx.profile_set(_UNTOLD, untold(turn) | {leave.group: leave.hash.hex()})
    turn.meet_anew()


def note_told(turn: Turn, group: GroupId, shown: Iterable[Signed]) -> None:
    """A peer showed statements of a group: where our leave is among them, it is known there."""
    leave = untold(turn).get(group)
    if leave is not None and leave in {signed.hash.hex() for signed in shown}:
        forget_leave(turn, group)


def forget_leave(turn: Turn, group: GroupId) -> None:
    """Nobody has to be told any more."""
    rest = {each: leave for each, leave in untold(turn).items() if each != group}
    turn.tx.profile_set(_UNTOLD, rest)
    turn.meet_anew()

"""What becomes of groups that this user is not in any more.

Whoever has left is no member, and would meet nobody; so the group is met until a member shows that
the leave has arrived. Whoever was removed looks for a while whether they were let back in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from peerstack import limits
from peerstack.engine import marks
from peerstack.engine.turn import Turn
from peerstack.errors import NotAllowed, NotFound
from peerstack.groups.membership import Membership
from peerstack.ids import GroupId
from peerstack.record import Signed

_UNTOLD: Final = "leaves to be told"
_AHEAD: Final = "ends dated ahead"


def untold(turn: Turn) -> dict[GroupId, str]:
    """The groups that this user left and nobody in them is known to know of; and the leaves."""
    return turn.tx.profile_get(_UNTOLD) or {}


def removed_lately(turn: Turn) -> Iterator[GroupId]:
    """The groups that this user was removed from not long ago: an admin may let them back in."""
    for group in turn.groups():
        state, me = turn.state(group), turn.me.user.id
        ended_ms = state.ended_ms(me)
        if ended_ms is None or state.membership(me) is not Membership.REMOVED:
            continue
        if turn.now.wall_ms - ended_by_now(turn, group, ended_ms) < limits.NEWCOMER_MS:
            yield group


def ended_by_now(turn: Turn, what: str, said_ms: int) -> int:
    """When something ended (Unix milliseconds), as it says; or when this device heard of it.

    That is where it says a time to come: whoever signs it may say any, and nothing is waited for
    that long. `what` names it, for good.
    """
    now_ms = turn.now.wall_ms
    if said_ms <= now_ms:
        return said_ms
    heard: dict[str, int] = turn.tx.profile_get(_AHEAD) or {}
    if what not in heard:
        turn.tx.profile_set(_AHEAD, heard | {what: now_ms})
    return heard.get(what, now_ms)


def erase(turn: Turn, group: GroupId) -> None:
    """Remove all that is here of a group that this user is not in any more.

    Raises `NotAllowed` for one that they are in, and `NotFound` for one that is not here.
    """
    if turn.row(group) is None:
        raise NotFound(f"there is nothing of a group {group} on this device")
    if turn.state(group).role(turn.me.user.id) is not None:
        raise NotAllowed("you are in that group; leave it first, and then erase what is left of it")
    turn.tx.drop_group(group)
    forget_leave(turn, group)
    marks.keep_known(turn, group, {})
    turn.forget_group(group)


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

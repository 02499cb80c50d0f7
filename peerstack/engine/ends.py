"""Word of what has ended, as news: who may read what hangs on it, so it waits for nobody's turn."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from peerstack import limits
from peerstack.engine.turn import Turn
from peerstack.groups.statements import CLOSE_TYPE
from peerstack.identity import REVOKE_TYPE, ROTATE_TYPE
from peerstack.ids import GroupId
from peerstack.keys import Hash
from peerstack.record import Signed
from peerstack.session.peer import Peer

_ENDS: Final = frozenset([CLOSE_TYPE, REVOKE_TYPE, ROTATE_TYPE])


def tell(turn: Turn, peers: Iterable[Peer]) -> list[GroupId]:
    """Tell who is connected of the ends that count since this turn.

    Returns the groups in which others may soon have to be told by `Peer.pass_on`.
    """
    signed, heard = _news(turn)
    groups = sorted(turn.tx.roots_before) if signed or heard else []
    for group in groups:
        own = [each for each in signed if turn.is_of(group, each)]
        others = [each for each in heard if turn.is_of(group, each)]
        stand = turn.roots(group).statements
        for peer in peers:
            peer.tell(group, own, others, stand)
    return groups if heard else []


def _news(turn: Turn) -> tuple[list[Signed], list[Signed]]:
    """Ends that this device has signed, and that it has heard of, with what was signed with them.

    A lower role is given before the higher one ends: who heard of the end alone would take its
    holder for removed. And a seal names what stays, even where that is dated behind the end.
    """
    signed = _in_order(turn, turn.signed)
    fresh = turn.tx.counting_now - turn.signed
    heard = _in_order(turn, fresh) if len(fresh) <= limits.BATCH_RECORDS else []
    enders = {each.signer for each in heard if each.type in _ENDS}
    others = [each for each in heard if each.signer in enders]
    if any(each.type in _ENDS for each in signed):
        return signed, others
    # What this device has sealed of what it heard goes along with that.
    return [], [*others, *signed] if others else []


def _in_order(turn: Turn, hashes: Collection[Hash]) -> list[Signed]:
    found = turn.tx.statements_by_hash(hashes, settled=True) if hashes else []
    return sorted(found, key=lambda each: each.order)

"""Word of what has ended, as news: who may read what hangs on it, so it waits for nobody's turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from peerstack import limits
from peerstack.engine.turn import Turn
from peerstack.groups.statements import CLOSE_TYPE, SEAL_TYPE
from peerstack.identity import REVOKE_TYPE, ROTATE_TYPE
from peerstack.ids import GroupId
from peerstack.session.peer import Peer

_ENDS: Final = frozenset([CLOSE_TYPE, REVOKE_TYPE, ROTATE_TYPE])


def tell(turn: Turn, peers: Iterable[Peer]) -> list[GroupId]:
    """Tell who is connected of the ends that count since this turn, with what came about with them.

    Returns the groups in which others may soon have to be told by `Peer.pass_on`.

    A lower role is given before the higher one ends: who heard of one alone would take its holder
    for removed. Not the seals, which may be large: until they come, what is earlier stays. More
    statements than a batch has records are no news: levels tell of them.
    """
    fresh = turn.tx.counting_now
    if not 0 < len(fresh) <= limits.BATCH_RECORDS:
        return []
    found = turn.tx.statements_by_hash(fresh, settled=True)
    if not any(each.type in _ENDS for each in found):
        return []
    news = sorted((each for each in found if each.type != SEAL_TYPE), key=lambda each: each.order)
    groups = sorted(turn.tx.roots_before)
    for group in groups:
        here = [each for each in news if turn.is_of(group, each)]
        own = [each for each in here if each.hash in turn.signed]
        heard = [each for each in here if each.hash not in turn.signed]
        for peer in peers:
            peer.tell(group, own, heard)
    return groups

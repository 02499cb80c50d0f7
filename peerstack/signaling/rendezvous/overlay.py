"""Whom a device wants to be connected to, in a place where many meet. Pure arithmetic on a ring.

Knows nothing of how they are reached.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable

from peerstack import limits
from peerstack.signaling.rendezvous.boxes import Peer


def choose(center: Peer, others: Iterable[Peer], count: int = limits.PEERS_PER_GROUP) -> list[Peer]:
    """The `count` of `others` that `center` wants, best first.

    First the next one on the ring, so that the whole ring hangs together; then devices of the same
    user; then those 2, 4, 8, ... steps on, so that it is few links across (the fingers of Chord,
    https://doi.org/10.1145/383059.383071); then the next ones.
    """
    ring = _ring(center, others)
    own = [peer for peer in ring if peer.user == center.user]
    fingers = [ring[2**power - 1] for power in range(len(ring).bit_length())]
    return list(dict.fromkeys(ring[:1] + own + fingers + ring))[:count]


def neighbours(center: Peer, others: Iterable[Peer]) -> frozenset[Peer]:
    """The next of `others` on the ring, and the one before `center`."""
    ring = _ring(center, others)
    return frozenset(ring[:1] + ring[-1:])


def _ring(center: Peer, others: Iterable[Peer]) -> list[Peer]:
    """The others in their order, beginning behind `center`."""
    ring = sorted(others, key=lambda peer: peer.rank)
    start = bisect(ring, center.rank, key=lambda peer: peer.rank)
    return ring[start:] + ring[:start]

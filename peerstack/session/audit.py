"""A sample of what two equal sums stand for.

Who crafts many records can make two different sets of one sum (Wagner's generalised birthday); a
plain hash over some records from a random place on tells such sets apart. Place and hash follow
from what only the two devices know, and knew only when they had met. So nobody else can aim at
either, the hash may be short, and the place need not be said. Knows no order of messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from peerstack import limits
from peerstack.ids import GroupId
from peerstack.keys import Hash, Label, derive
from peerstack.reconcile import Item, Span, plain_hash
from peerstack.session.wire import AUDIT_BYTES, Kind

_RANK_BYTES: Final = 8


class Audit:
    """What is sampled of one group's records between two devices."""

    def __init__(self, transcript: Hash, group: GroupId) -> None:
        self._seed = derive(transcript, Label.AUDIT, group.encode(), bytes([Kind.RECORDS]))

    def rank(self, count: int) -> int:
        """How many of `count` records stand before the sample."""
        places = max(1, count - limits.AUDIT_ITEMS + 1)
        return int.from_bytes(self._seed[:_RANK_BYTES], "big") % places

    def digest(self, items: Sequence[Item]) -> bytes:
        """What is said of the sample."""
        return plain_hash(self._seed, items)[:AUDIT_BYTES]


def span_of(items: Sequence[Item]) -> Span:
    """The keys that a sample covers; what is not a full one reaches up to the end."""
    is_full = len(items) == limits.AUDIT_ITEMS
    return Span(items[0].key if items else b"", items[-1].key + b"\0" if is_full else None)

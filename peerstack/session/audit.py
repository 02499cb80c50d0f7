"""A sample of what two equal sums stand for.

Who crafts many records can make two different sets of one sum (Wagner's generalised birthday); a
plain hash over some records from a random place on tells such sets apart. Knows no order of
messages.
"""

from __future__ import annotations

from peerstack import limits
from peerstack.reconcile import Item, OrderedSet, Span, plain_hash
from peerstack.session.wire import TAG_BYTES, Audit, Gap


def sample(ordered: OrderedSet, start: bytes) -> Audit:
    """16 bytes of a plain hash over the first `limits.AUDIT_ITEMS` items from `start` on."""
    return Audit(start, plain_hash(_items(ordered, start))[:TAG_BYTES])


def sampled(ordered: OrderedSet, start: bytes) -> Gap:
    """The span that a sample covers."""
    items = _items(ordered, start)
    is_full = len(items) == limits.AUDIT_ITEMS
    return Gap(start, items[-1].key + b"\0" if is_full else None)


def _items(ordered: OrderedSet, start: bytes) -> list[Item]:
    return list(ordered.items(Span(start, None), limits.AUDIT_ITEMS))

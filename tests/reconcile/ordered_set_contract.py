"""What every `OrderedSet` promises, checked against the plain list of its items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from peerstack.reconcile import EVERYTHING, Item, OrderedSet, Span


def check_ordered_set(ordered: OrderedSet, items: Sequence[Item], span: Span, parts: int) -> None:
    """Fails unless `ordered` holds exactly `items` (ascending) and answers for `span`."""
    inside = [item for item in items if item.key in span]
    assert list(ordered.items(EVERYTHING, len(items) + 1)) == list(items)
    assert list(ordered.items(span, len(items) + 1)) == inside
    assert list(ordered.items(span, 3)) == inside[:3]
    assert ordered.fingerprint(span).count == len(inside)
    _check_split(ordered, inside, span, parts)


def _check_split(ordered: OrderedSet, inside: Sequence[Item], span: Span, parts: int) -> None:
    pieces = ordered.split(span, parts)
    assert pieces[0][0].lower == span.lower
    assert pieces[-1][0].upper == span.upper
    assert all(left.upper == right.lower for (left, _), (right, _) in pairwise(pieces))
    assert all(ordered.fingerprint(piece) == fingerprint for piece, fingerprint in pieces)
    assert sum(fingerprint.count for _, fingerprint in pieces) == len(inside)
    assert len(pieces) <= 2 * parts
    if parts >= 2 and len(inside) >= 2:
        assert sum(fingerprint.count > 0 for _, fingerprint in pieces) >= 2

"""An ordered set held in memory: for tests, and for small sets such as a group's statements.

It is a value: to change the set, build another. Knows nothing of peers and messages.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from operator import attrgetter

from peerstack.reconcile.fingerprint import Fingerprint, Item, Sum, hashed_fingerprint
from peerstack.reconcile.span import Span, shortest_bound

SliceFingerprint = Callable[[int, int], Fingerprint]
"""From positions `start` and `stop` in the sorted items to the fingerprint of that slice."""


def summed(items: Sequence[Item]) -> SliceFingerprint:
    """Fingerprints as sums, the kind that a store maintains for records."""
    totals = list(accumulate(map(Sum.of, items), Sum.plus, initial=Sum()))
    return lambda start, stop: totals[stop].minus(totals[start]).fingerprint()


def hashed(items: Sequence[Item]) -> SliceFingerprint:
    """Fingerprints as a hash over sorted keys, for statements: costs a pass over the slice."""
    return lambda start, stop: hashed_fingerprint(item.key for item in items[start:stop])


class MemorySet:
    """An `OrderedSet` over a sorted list."""

    def __init__(
        self,
        items: Iterable[Item],
        fingerprints: Callable[[Sequence[Item]], SliceFingerprint] = summed,
    ) -> None:
        """Hold `items`, in any order, compared by `fingerprints` (`summed` or `hashed`)."""
        self._items = sorted(items, key=attrgetter("key"))
        self._keys = [item.key for item in self._items]
        self._fingerprint = fingerprints(self._items)

    def fingerprint(self, span: Span) -> Fingerprint:
        """See `OrderedSet`."""
        return self._fingerprint(*self._slice(span))

    def items(self, span: Span, limit: int) -> Sequence[Item]:
        """See `OrderedSet`."""
        start, stop = self._slice(span)
        return self._items[start : min(stop, start + limit)]

    def split(self, span: Span, parts: int) -> Sequence[tuple[Span, Fingerprint]]:
        """See `OrderedSet`. Counts differ by one at most."""
        start, stop = self._slice(span)
        parts = max(1, min(parts, stop - start))
        cuts = [start + (stop - start) * part // parts for part in range(parts + 1)]
        inner = [shortest_bound(self._keys[cut - 1], self._keys[cut]) for cut in cuts[1:-1]]
        bounds = [span.lower, *inner]
        uppers: list[bytes | None] = [*inner, span.upper]
        return [
            (Span(lower, upper), self._fingerprint(first, last))
            for lower, upper, (first, last) in zip(bounds, uppers, pairwise(cuts), strict=True)
        ]

    def _slice(self, span: Span) -> tuple[int, int]:
        start = bisect_left(self._keys, span.lower)
        if span.upper is None:
            return start, len(self._keys)
        return start, bisect_left(self._keys, span.upper)

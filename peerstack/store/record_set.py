"""A group's live records as an `OrderedSet`: what reconciliation asks about.

Knows blocks and keys; nothing of peers, or of what a record says.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from sqlalchemy import Connection

from peerstack.ids import GroupId
from peerstack.reconcile import EVERYTHING, Fingerprint, Item, MemorySet, Span, Sum
from peerstack.store.blocks import BLOCK_ITEMS, read_items
from peerstack.store.rows import fetch


class _Blocks(NamedTuple):
    """A group's blocks, ascending; of each, and of the end, what stands before it in all."""

    firsts: list[bytes]
    counts: list[int]
    totals: list[int]

    def before(self, place: int) -> Sum:
        """The sum of all blocks before this one, not reduced to 256 bits."""
        return Sum(self.counts[place], self.totals[place])


class RecordSet:
    """An `OrderedSet` over the live records of a group.

    For use within one transaction, until the next write: it reads the group's blocks once, when
    first asked about anything but everything.
    """

    def __init__(self, connection: Connection, group: GroupId) -> None:
        self._connection = connection
        self._group = group
        self._sums = dict[bytes, Sum]()

    def fingerprint(self, span: Span) -> Fingerprint:
        """See `OrderedSet`. That of everything costs one row."""
        if span == EVERYTHING:
            return self._root()
        return self._after(span.upper).minus(self._before(span.lower)).fingerprint()

    def items(self, span: Span, limit: int) -> Sequence[Item]:
        """See `OrderedSet`."""
        return read_items(self._connection, self._group, span, limit)

    def split(self, span: Span, parts: int) -> Sequence[tuple[Span, Fingerprint]]:
        """See `OrderedSet`. Cuts between blocks, or in a small span between items."""
        start, stop = self._before(span.lower).count, self._after(span.upper).count
        if stop - start <= 2 * BLOCK_ITEMS:
            return MemorySet(self.items(span, stop - start)).split(span, parts)
        cuts = [start + (stop - start) * part // parts for part in range(1, parts)]
        near = {self._bound_near(count) for count in cuts} - {span.lower}
        inner = sorted(bound for bound in near if bound in span)
        pieces = map(Span, [span.lower, *inner], [*inner, span.upper])
        return [(piece, self.fingerprint(piece)) for piece in pieces]

    @cached_property
    def _blocks(self) -> _Blocks:
        rows = fetch(
            self._connection,
            "SELECT first_key, count, sum FROM blocks WHERE group_id = ? ORDER BY first_key",
            (self._group,),
        ) or [(b"", 0, b"")]
        counts = accumulate((count for _, count, _ in rows), initial=0)
        totals = accumulate((int.from_bytes(total, "big") for *_, total in rows), initial=0)
        return _Blocks([first for first, *_ in rows], list(counts), list(totals))

    def _root(self) -> Fingerprint:
        sql = "SELECT count, sum FROM groups WHERE id = ?"
        rows = fetch(self._connection, sql, (self._group,))
        return Sum.load(*rows[0]).fingerprint() if rows else Sum().fingerprint()

    def _after(self, upper: bytes | None) -> Sum:
        return self._blocks.before(-1) if upper is None else self._before(upper)

    def _before(self, bound: bytes) -> Sum:
        """The sum of all items before `bound`; costs no reading where a block begins."""
        known = self._sums.get(bound)
        if known is None:
            place = bisect_right(self._blocks.firsts, bound) - 1
            known = self._blocks.before(place)
            if self._blocks.firsts[place] != bound:
                for item in self.items(Span(self._blocks.firsts[place], bound), BLOCK_ITEMS):
                    known = known.plus(Sum.of(item))
            self._sums[bound] = known
        return known

    def _bound_near(self, count: int) -> bytes:
        """Where that block begins which has closest to `count` items before it."""
        counts = self._blocks.counts
        place = bisect_left(counts, count, hi=len(counts) - 2)
        if place and count - counts[place - 1] < counts[place] - count:
            place -= 1
        return self._blocks.firsts[place]

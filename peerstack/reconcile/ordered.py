"""What reconciliation needs of a set: three questions about a span. Knows no implementation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from peerstack.reconcile.fingerprint import Fingerprint, Item
from peerstack.reconcile.span import Span


class OrderedSet(Protocol):
    """Items in ascending order of their keys; at most one item for a key.

    It may change between two calls of a `Reconciler`, never within one.
    """

    def fingerprint(self, span: Span) -> Fingerprint:
        """Count and digest of the items in `span`; the same items have the same digest anywhere."""
        ...

    def items(self, span: Span, limit: int) -> Sequence[Item]:
        """The first `limit` items of `span` (or as many as there are), ascending."""
        ...

    def split(self, span: Span, parts: int) -> Sequence[tuple[Span, Fingerprint]]:
        """Contiguous pieces that cover `span` exactly, with their fingerprints, ascending.

        About `parts` pieces of about equal counts, never more than twice as many. A span of two
        items or more falls into at least two pieces that are not empty, where `parts` is 2 or more.
        """
        ...

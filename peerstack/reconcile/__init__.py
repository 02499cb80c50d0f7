"""Range-based set reconciliation over ordered keys and fingerprints. Knows no records."""

from __future__ import annotations

from peerstack.reconcile.findings import Gap, Step
from peerstack.reconcile.fingerprint import (
    Fingerprint,
    Item,
    Sum,
    hashed_fingerprint,
    plain_hash,
)
from peerstack.reconcile.memory import MemorySet, hashed, summed
from peerstack.reconcile.ordered import OrderedSet
from peerstack.reconcile.reconciler import Reconciler
from peerstack.reconcile.span import EVERYTHING, Span, shortest_bound
from peerstack.reconcile.wire import Message

__all__ = [
    "EVERYTHING",
    "Fingerprint",
    "Gap",
    "Item",
    "MemorySet",
    "Message",
    "OrderedSet",
    "Reconciler",
    "Span",
    "Step",
    "Sum",
    "hashed",
    "hashed_fingerprint",
    "plain_hash",
    "shortest_bound",
    "summed",
]

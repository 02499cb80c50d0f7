"""Batches: items as they are sent, in messages of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from peerstack import limits
from peerstack.keys import HASH_BYTES
from peerstack.record import Signed
from peerstack.session.wire import Batch, Kind, encode


class Packed(NamedTuple):
    """One batch as it is sent."""

    encoded: bytes
    items: int


def packed(channel: int, kind: Kind, items: Sequence[Signed], number: int) -> Iterator[Packed]:
    """Items in batches that are no larger than a message, numbered from `number` on."""
    for some in batches_of(items):
        for batch in _split(channel, kind, some, number):
            yield batch
            number += 1


def _split(channel: int, kind: Kind, items: Sequence[Signed], number: int) -> list[Packed]:
    bodies, signatures = (item.body for item in items), (item.signature for item in items)
    encoded = encode(Batch(channel, kind, number, tuple(bodies), tuple(signatures)))
    if len(encoded) <= limits.MESSAGE_BYTES or len(items) == 1:
        return [Packed(encoded, len(items))]
    half = len(items) // 2
    first = _split(channel, kind, items[:half], number)
    return first + _split(channel, kind, items[half:], number + len(first))


def batches_of(items: Sequence[Signed]) -> Iterator[Sequence[Signed]]:
    """Runs of items that make good batches: bounded in number and in bytes."""
    start = size_bytes = 0
    for place, item in enumerate(items):
        item_bytes = len(item.body) + len(item.signature) + 2 * HASH_BYTES
        full = size_bytes + item_bytes > limits.BATCH_BYTES
        if place > start and (full or place - start >= limits.BATCH_RECORDS):
            yield items[start:place]
            start, size_bytes = place, 0
        size_bytes += item_bytes
    if start < len(items):
        yield items[start:]

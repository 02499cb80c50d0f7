from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack.reconcile import (
    EVERYTHING,
    Item,
    MemorySet,
    Span,
    Sum,
    hashed,
    hashed_fingerprint,
    summed,
)
from peerstack.reconcile.memory import SliceFingerprint
from tests.reconcile.ordered_set_contract import check_ordered_set
from tests.reconcile.samples import hashes, records

keys = st.binary(min_size=1, max_size=3)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    lower = draw(st.binary(max_size=3))
    return Span(lower, draw(st.none() | keys.filter(lambda upper: upper > lower)))


@pytest.mark.parametrize("fingerprints", [summed, hashed])
@given(members=st.sets(keys, max_size=40), span=spans(), parts=st.integers(1, 20))
def test_a_memory_set_keeps_the_contract(
    fingerprints: Callable[[Sequence[Item]], SliceFingerprint],
    members: set[bytes],
    span: Span,
    parts: int,
) -> None:
    items = [Item(key, bytes(32)) for key in sorted(members)]

    check_ordered_set(MemorySet(reversed(items), fingerprints), items, span, parts)


def test_a_summed_set_has_the_sum_of_its_items_for_root() -> None:
    items = records(50, Random(1))
    total = Sum()
    for item in items:
        total = total.plus(Sum.of(item))

    assert MemorySet(items).fingerprint(EVERYTHING) == total.fingerprint()


def test_a_hashed_set_has_the_hash_of_its_sorted_keys_for_root() -> None:
    items = hashes(50, Random(1))

    root = MemorySet(items, hashed).fingerprint(EVERYTHING)

    assert root == hashed_fingerprint(sorted(item.key for item in items))


def test_bounds_of_records_are_short() -> None:
    pieces = MemorySet(records(10_000, Random(1))).split(EVERYTHING, 64)

    assert max(len(piece.lower) for piece, _ in pieces) <= 6

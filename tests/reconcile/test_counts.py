"""What a run may cost, in turns and bytes; each line of the table is asserted.

A turn is half a round trip. The roots that start a run (one message, before the first turn) are
the session's; so four turns are two and a half round trips from the first root to the last
difference known. What was asked for by name travels after them, and is not counted here.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import pytest

from peerstack import limits
from peerstack.reconcile import Item, MemorySet
from tests.reconcile.samples import edited, records, without
from tests.reconcile.two_sides import reconcile


class Case(NamedTuple):
    starter: list[Item]
    shower: list[Item]


def _random_absent(count: int, differences: int) -> Case:
    random = Random(count)
    items = records(count, random)
    absent = random.sample(range(count), differences)
    half = differences // 2
    return Case(without(items, absent[:half]), without(items, absent[half:]))


def _random_edited(count: int, differences: int) -> Case:
    random = Random(count)
    items = records(count, random)
    return Case(edited(items, differences, random), items)


def _newest_absent_from_starter(count: int, differences: int) -> Case:
    items = records(count, Random(count))
    return Case(items[:-differences], items)


def _newest_absent_from_shower(count: int, differences: int) -> Case:
    items = records(count, Random(count))
    return Case(items, items[:-differences])


@pytest.mark.parametrize(
    ("make", "count", "differences", "turns_max", "bytes_max"),
    [
        (_random_absent, 1_000, 100, 3, 15_000),
        (_random_absent, 10_000, 100, 4, 50_000),
        (_random_absent, 100_000, 100, 4, 100_000),
        (_random_edited, 100_000, 100, 4, 105_000),
        (_random_absent, 100_000, 1, 4, 5_000),
        (_newest_absent_from_starter, 100_000, 100, 4, 7_000),
        (_newest_absent_from_shower, 100_000, 100, 3, 6_000),
        (_newest_absent_from_starter, 100_000, 1, 3, 4_000),
        (_newest_absent_from_shower, 100_000, 1, 3, 4_000),
        (_newest_absent_from_starter, 100_000, 20_000, 6, 8_000),
    ],
)
def test_a_run_keeps_its_counts(
    make: Callable[[int, int], Case], count: int, differences: int, turns_max: int, bytes_max: int
) -> None:
    case = make(count, differences)

    run = reconcile(MemorySet(case.starter), MemorySet(case.shower))

    starter, shower = set(case.starter), set(case.shower)
    assert set(run.starter.all_missing(run.shower, case.shower)) == shower - starter
    assert set(run.shower.all_missing(run.starter, case.starter)) == starter - shower
    assert run.turns <= turns_max
    assert run.total_bytes <= bytes_max
    assert max(run.sizes_bytes) <= limits.RECONCILE_MESSAGE_BYTES

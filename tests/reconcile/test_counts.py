"""What a run may cost, in turns, flights and bytes; each line of the table is asserted.

A turn is one flight, which is half a round trip. Flights count the root that starts a run as well,
and what follows it until the last item has arrived: so six flights are three round trips in all.
The bytes are those of the turns; the root and the items are the session's.
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


def _random_edited_by_shower(count: int, differences: int) -> Case:
    return Case(*reversed(_random_edited(count, differences)))


def _newest_absent_from_starter(count: int, differences: int) -> Case:
    items = records(count, Random(count))
    return Case(items[:-differences], items)


def _newest_absent_from_shower(count: int, differences: int) -> Case:
    items = records(count, Random(count))
    return Case(items, items[:-differences])


@pytest.mark.parametrize(
    ("make", "count", "differences", "turns_max", "flights_max", "bytes_max"),
    [
        (_random_absent, 1_000, 100, 3, 5, 10_000),
        (_random_absent, 10_000, 100, 4, 6, 45_000),
        (_random_absent, 100_000, 100, 4, 6, 95_000),
        (_random_edited, 100_000, 100, 4, 6, 95_000),
        (_random_edited_by_shower, 100_000, 100, 4, 6, 95_000),
        (_random_absent, 100_000, 1, 4, 6, 5_000),
        (_newest_absent_from_starter, 100_000, 100, 4, 5, 4_000),
        (_newest_absent_from_shower, 100_000, 100, 3, 4, 4_000),
        (_newest_absent_from_starter, 100_000, 1, 3, 5, 4_000),
        (_newest_absent_from_shower, 100_000, 1, 3, 4, 4_000),
        (_newest_absent_from_starter, 100_000, 20_000, 6, 7, 6_000),
    ],
)
def test_a_run_keeps_its_counts(
    make: Callable[[int, int], Case],
    count: int,
    differences: int,
    turns_max: int,
    flights_max: int,
    bytes_max: int,
) -> None:
    case = make(count, differences)

    run = reconcile(MemorySet(case.starter), MemorySet(case.shower))

    starter, shower = set(case.starter), set(case.shower)
    assert set(run.starter.all_missing(run.shower, case.shower)) == shower - starter
    assert set(run.shower.all_missing(run.starter, case.starter)) == starter - shower
    assert run.turns <= turns_max
    assert run.flights <= flights_max
    assert run.total_bytes <= bytes_max
    assert max(run.sizes_bytes) <= limits.RECONCILE_MESSAGE_BYTES

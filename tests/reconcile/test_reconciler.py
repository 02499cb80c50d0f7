from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.reconcile import (
    EVERYTHING,
    Fingerprint,
    Gap,
    Item,
    MemorySet,
    Message,
    OrderedSet,
    Reconciler,
    Span,
    hashed,
    summed,
)
from peerstack.reconcile.memory import SliceFingerprint
from peerstack.reconcile.wire import Differ, Leaf
from tests.reconcile.samples import hashes, records, without
from tests.reconcile.two_sides import SALT, Run, reconcile

LIE = Fingerprint(1, bytes(16))
Flavour = Callable[[Sequence[Item]], SliceFingerprint]

# Few keys, close together, of two versions: neighbours, prefixes and equal keys are all common.
close_keys = st.binary(min_size=1, max_size=2)
small_sets = st.dictionaries(close_keys, st.sampled_from([b"one", b"two"]), max_size=400)


def _items(mapping: dict[bytes, bytes]) -> list[Item]:
    return [
        Item(key, hashlib.sha256(version + key).digest())
        for key, version in sorted(mapping.items())
    ]


def _key(item: Item) -> bytes:
    return item.key


def _assert_both_know(run: Run, starter: list[Item], shower: list[Item]) -> None:
    """Both sides found exactly the difference, and nothing twice."""
    only_starter = sorted(set(starter) - set(shower), key=_key)
    only_shower = sorted(set(shower) - set(starter), key=_key)
    assert sorted(run.starter.all_missing(run.shower, shower), key=_key) == only_shower
    assert sorted(run.starter.all_surplus(starter), key=_key) == only_starter
    assert sorted(run.shower.all_missing(run.starter, starter), key=_key) == only_starter
    assert sorted(run.shower.all_surplus(shower), key=_key) == only_shower
    assert all(step.complete for step in [*run.starter.steps, *run.shower.steps])


@given(
    starter=small_sets,
    shower=small_sets,
    starter_eager=st.booleans(),
    shower_eager=st.booleans(),
    again=st.booleans(),
)
def test_both_sides_learn_the_whole_difference_of_any_two_sets(
    starter: dict[bytes, bytes],
    shower: dict[bytes, bytes],
    starter_eager: bool,
    shower_eager: bool,
    again: bool,
) -> None:
    run = reconcile(
        MemorySet(_items(starter)),
        MemorySet(_items(shower)),
        turns_max=8,
        starter_eager=starter_eager,
        shower_eager=shower_eager,
        again=again,
    )

    _assert_both_know(run, _items(starter), _items(shower))


@pytest.mark.parametrize("flavour", [summed, hashed])
@given(
    count=st.integers(0, 3_000),
    starter_lacks=st.sets(st.integers(0, 3_000), max_size=200),
    shower_lacks=st.sets(st.integers(0, 3_000), max_size=200),
    cut_off=st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)),
    seed=st.integers(0, 9),
    starter_eager=st.booleans(),
    shower_eager=st.booleans(),
)
def test_both_sides_learn_the_whole_difference_of_two_edited_copies(
    flavour: Flavour,
    count: int,
    starter_lacks: set[int],
    shower_lacks: set[int],
    cut_off: tuple[int, int],
    seed: int,
    starter_eager: bool,
    shower_eager: bool,
) -> None:
    items = (records if flavour is summed else hashes)(count, Random(seed))
    starter = without(items, starter_lacks | set(range(*cut_off)))
    shower = without(items, shower_lacks)

    run = reconcile(
        MemorySet(starter, flavour),
        MemorySet(shower, flavour),
        turns_max=8,
        starter_eager=starter_eager,
        shower_eager=shower_eager,
    )

    _assert_both_know(run, starter, shower)


def test_an_item_that_differs_under_one_key_is_both_missing_and_surplus() -> None:
    ours, theirs = Item(b"key", bytes(32)), Item(b"key", b"\xff" * 32)

    run = reconcile(MemorySet([ours]), MemorySet([theirs]))

    _assert_both_know(run, [ours], [theirs])


@pytest.mark.parametrize("again", [True, False])
def test_equal_roots_need_no_message(*, again: bool) -> None:
    ordered = MemorySet(records(1_000, Random(1)))

    reconciler = Reconciler(ordered, SALT)
    start = reconciler.start_again if again else reconciler.start
    step = start(ordered.fingerprint(EVERYTHING))

    assert step.done
    assert step.messages == ()


@pytest.mark.parametrize("starter_lacks", [True, False])
@pytest.mark.parametrize("count", [1, 8, 9, 100, 10_000])
def test_who_compared_before_finds_what_is_young_by_a_few_names(
    count: int, *, starter_lacks: bool
) -> None:
    whole = records(count, Random(count))
    complete, short = MemorySet(whole), MemorySet(whole[:-1])
    starter, shower = (short, complete) if starter_lacks else (complete, short)
    run = reconcile(starter, shower, again=True)

    lacking = run.starter if starter_lacks else run.shower
    holder = run.shower if starter_lacks else run.starter
    assert lacking.all_missing(holder, whole) == whole[-1:]
    assert run.turns <= 2
    assert run.total_bytes < 250


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (Item(b"key", b"\x07" * 32), "1b0896d53f9eb381"),
        (Item(b"other key", b"\x07" * 32), "1b0896d53f9eb381"),
        (Item(b"\x07" * 32, b""), "1b0896d53f9eb381"),
        (Item(b"key", b"\x08" * 32), "d34bfa3c2de261b6"),
    ],
)
def test_known_names(item: Item, name: str) -> None:
    """The hash of what stands there, salted; of the key only where there is no other."""
    step = Reconciler(MemorySet([item]), b"salt").start(LIE)

    assert step.messages == (Message(b"", (Leaf(None, bytes.fromhex(name), True),), True),)


@pytest.mark.parametrize("starter_is_empty", [True, False])
def test_an_empty_side_costs_one_tiny_message_and_one_gap(*, starter_is_empty: bool) -> None:
    empty, full = MemorySet([]), MemorySet(records(5_000, Random(1)))
    gap = [Gap(EVERYTHING, 5_000)]

    run = reconcile(empty, full) if starter_is_empty else reconcile(full, empty)

    lacking, holding = (run.starter, run.shower) if starter_is_empty else (run.shower, run.starter)
    assert (lacking.missing_gaps, lacking.surplus_gaps) == (gap, [])
    assert (holding.missing_gaps, holding.surplus_gaps) == ([], gap)
    assert run.turns == 1
    assert run.total_bytes < 20


def test_a_long_stretch_that_one_side_lacks_is_one_gap_and_few_items() -> None:
    items = records(20_000, Random(1))

    run = reconcile(MemorySet(items), MemorySet(items[:5_000] + items[15_000:]))

    assert len(run.starter.surplus_gaps) <= 3
    assert len(run.shower.missing_gaps) <= 3
    assert sum(gap.count for gap in run.starter.surplus_gaps) > 9_500
    assert run.total_bytes < 40_000


@pytest.mark.parametrize("starter_eager", [True, False])
@pytest.mark.parametrize("shower_eager", [True, False])
def test_sets_that_share_nothing_are_told_apart_in_bounded_turns(
    monkeypatch: pytest.MonkeyPatch,
    starter_eager: bool,
    shower_eager: bool,
) -> None:
    """More than one turn has room for: the remainder is asked about in the turns that follow."""
    monkeypatch.setattr(limits, "RECONCILE_TURN_MESSAGES", 1)
    items = records(20_000, Random(1))

    run = reconcile(
        MemorySet(items[::2]),
        MemorySet(items[1::2]),
        starter_eager=starter_eager,
        shower_eager=shower_eager,
    )

    _assert_both_know(run, items[::2], items[1::2])
    assert 4 < run.turns < 60


def test_what_is_asked_for_by_name_is_reported_to_its_holder_exactly() -> None:
    items = records(100, Random(1))

    run = reconcile(MemorySet(items[:60]), MemorySet(items[40:]))

    assert run.turns == 2
    assert run.starter.requested == items[:40]
    assert (run.starter.was_asked, run.starter.asked) == (True, 0)
    assert (run.shower.has_asked, run.shower.asked, run.shower.missing) == (True, 40, [])


def test_what_an_eager_leaf_does_not_name_is_requested_and_not_shown() -> None:
    items = records(100, Random(1))

    run = reconcile(MemorySet(items[:60]), MemorySet(items[40:]))

    assert (run.starter.has_asked, run.starter.missing) == (True, [])
    assert (run.shower.was_asked, run.shower.requested) == (True, items[60:])
    assert run.shower.surplus == items[60:]


def test_where_an_eager_leaf_lacks_items_the_answer_is_an_empty_turn() -> None:
    items = records(100, Random(1))

    run = reconcile(MemorySet(items[:60]), MemorySet(items))

    (step,) = run.shower.steps
    assert step.messages == (Message(b"", (), True),)
    assert step.requested == tuple(items[60:])
    assert (step.done, step.has_asked) == (True, False)


@pytest.mark.parametrize("shower_eager", [True, False])
def test_a_leaf_that_is_not_eager_is_shown_what_it_does_not_name(*, shower_eager: bool) -> None:
    """Whoever asks decides, whatever the other would."""
    items = records(50, Random(1))

    run = reconcile(
        MemorySet(items[:40]), MemorySet(items), starter_eager=False, shower_eager=shower_eager
    )

    (step,) = run.shower.steps
    assert step.messages == (Message(b"", (Differ(None, tuple(items[40:]), b""),), True),)
    assert (step.was_asked, step.requested, step.surplus) == (False, (), tuple(items[40:]))
    assert (run.starter.has_asked, run.starter.missing) == (False, items[40:])


def test_what_is_known_is_not_asked_for_by_name() -> None:
    items = records(100, Random(1))
    known = [item.digest for item in items[:10]]

    run = reconcile(MemorySet(items[:60]), MemorySet(items[40:]), shower_knows=known)

    assert run.starter.requested == items[10:40]
    assert run.shower.asked == 30


def test_where_all_is_known_nobody_asks_and_the_run_ends() -> None:
    items = hashes(50, Random(1))
    known = [item.key for item in items[:10]]

    run = reconcile(
        MemorySet(items, hashed),
        MemorySet(items[10:], hashed),
        shower_knows=known,
        starter_eager=False,
    )

    assert run.turns == 2
    assert (run.starter.has_asked, run.starter.was_asked) == (False, False)
    assert (run.shower.has_asked, run.shower.was_asked) == (False, False)


@pytest.mark.parametrize("starter_is_empty", [True, False])
def test_where_all_that_a_side_lacks_is_known_to_it_it_does_not_ask(
    *, starter_is_empty: bool
) -> None:
    items = hashes(50, Random(1))
    known = [item.key for item in items]
    empty, full = MemorySet([], hashed), MemorySet(items, hashed)

    if starter_is_empty:
        run = reconcile(empty, full, starter_knows=known, starter_eager=False)
    else:
        run = reconcile(full, empty, shower_knows=known, shower_eager=False)

    lacking = run.starter if starter_is_empty else run.shower
    assert (lacking.has_asked, lacking.missing_gaps) == (False, [])


@pytest.mark.parametrize("starter_is_empty", [True, False])
def test_of_what_a_side_lacks_it_gets_what_is_not_known_to_it(*, starter_is_empty: bool) -> None:
    items = hashes(50, Random(1))
    known = [item.key for item in items[10:]]
    empty, full = MemorySet([], hashed), MemorySet(items, hashed)

    if starter_is_empty:
        run = reconcile(empty, full, starter_knows=known, starter_eager=False)
        assert set(run.starter.missing) == set(items)
    else:
        run = reconcile(full, empty, shower_knows=known, shower_eager=False)
        assert set(run.starter.requested) == set(items[:10])


def test_an_eager_leaf_has_asked_though_nothing_is_left_to_send() -> None:
    """Its sender waits for the answer, which has to come."""
    items = records(50, Random(1))

    run = reconcile(MemorySet(items), MemorySet(items[10:]))

    assert (run.starter.has_asked, run.starter.asked) == (True, 0)
    assert (run.shower.was_asked, run.shower.requested) == (True, [])


def test_what_is_known_is_shown_to_us_all_the_same() -> None:
    """Whoever shows an item was not asked for it; its reader decides what to do."""
    items = records(50, Random(1))
    known = [item.digest for item in items]

    run = reconcile(
        MemorySet(items[:40]), MemorySet(items), starter_knows=known, starter_eager=False
    )

    assert run.starter.missing == items[40:]


def test_what_is_known_is_sent_to_an_eager_leaf_all_the_same() -> None:
    items = records(50, Random(1))
    known = [item.digest for item in items]

    run = reconcile(MemorySet(items[:40]), MemorySet(items), starter_knows=known)

    assert run.shower.requested == items[40:]


@given(
    stages=st.tuples(*[st.lists(small_sets, min_size=1, max_size=5)] * 2),
    final=st.tuples(small_sets, small_sets),
    starter_eager=st.booleans(),
    shower_eager=st.booleans(),
)
def test_a_run_over_changing_sets_ends_and_the_next_one_is_exact(
    stages: tuple[list[dict[bytes, bytes]], ...],
    final: tuple[dict[bytes, bytes], ...],
    starter_eager: bool,
    shower_eager: bool,
) -> None:
    """Whatever comes, goes or is edited between two messages."""
    starter, shower = (
        ChangingSet([_items(stage) for stage in [*before, after]])
        for before, after in zip(stages, final, strict=True)
    )

    reconcile(
        starter, shower, turns_max=100, starter_eager=starter_eager, shower_eager=shower_eager
    )
    starter.settle()
    shower.settle()
    run = reconcile(starter, shower)

    _assert_both_know(run, _items(final[0]), _items(final[1]))


def test_a_leaf_that_outgrew_its_bound_is_compared_in_pieces() -> None:
    items = records(2_000, Random(1))
    growing = ChangingSet([items[:20], items])

    run = reconcile(MemorySet(items[:10]), growing, turns_max=20)

    assert set(run.starter.all_missing(run.shower, items)) == set(items[10:])


class ChangingSet:
    """A set that is another after each question that it is asked, until it settles."""

    def __init__(self, stages: list[list[Item]]) -> None:
        self._stages = [MemorySet(stage) for stage in stages]

    def settle(self) -> None:
        del self._stages[:-1]

    def fingerprint(self, span: Span) -> Fingerprint:
        return self._next().fingerprint(span)

    def items(self, span: Span, limit: int) -> Sequence[Item]:
        return self._next().items(span, limit)

    def split(self, span: Span, parts: int) -> Sequence[tuple[Span, Fingerprint]]:
        return self._next().split(span, parts)

    def _next(self) -> OrderedSet:
        return self._stages.pop(0) if len(self._stages) > 1 else self._stages[0]

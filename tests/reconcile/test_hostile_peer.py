"""A peer may say anything: it costs bounded work, and raises nothing but `RemoteError`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.reconcile import (
    EVERYTHING,
    Fingerprint,
    Item,
    MemorySet,
    Message,
    Reconciler,
)
from peerstack.reconcile.wire import NAME_BYTES, Compare, Differ, Holds, Leaf, Range, Skip
from tests.reconcile.samples import records
from tests.reconcile.two_sides import SALT

ITEMS = records(2_000, Random(1))
OURS = MemorySet(ITEMS)
LIE = Fingerprint(1_000, bytes(16))

counts = st.integers(0, limits.INTEGER_MAX)
fingerprints = st.builds(Fingerprint, counts, st.binary(min_size=16, max_size=16))
names = st.binary(max_size=40)
keys = st.sampled_from([item.key for item in ITEMS[::100]]) | st.binary(min_size=1, max_size=5)
uppers = st.none() | keys
ranges = st.one_of(
    st.builds(Skip, uppers),
    st.builds(Compare, uppers, fingerprints),
    st.builds(Leaf, uppers, names, st.booleans()),
    st.builds(
        Differ,
        uppers,
        st.lists(st.builds(Item, keys, st.binary(max_size=32)), max_size=4).map(
            lambda shown: tuple(sorted(shown, key=lambda item: item.key))
        ),
        names,
    ),
    st.builds(Holds, uppers, counts),
)


def _ascending(entries: list[Range]) -> tuple[Range, ...]:
    return tuple(sorted(entries, key=lambda entry: (entry.upper is None, entry.upper or b"")))


messages = st.builds(
    Message,
    st.just(b"") | keys,
    st.lists(ranges, max_size=8).map(tuple) | st.lists(ranges, max_size=8).map(_ascending),
    st.booleans(),
)


def _name(item: Item) -> bytes:
    return hashlib.sha256(SALT + item.digest).digest()[:NAME_BYTES]


def _whole(*entries: Range, last: bool = True) -> Message:
    return Message(b"", entries, last)


@given(st.lists(messages, max_size=20))
def test_whatever_a_peer_says_is_answered_within_bounds_or_refused(said: list[Message]) -> None:
    reconciler = Reconciler(OURS, SALT)

    for message in said:
        try:
            step = reconciler.receive(message)
        except RemoteError:
            return
        assert len(step.messages) <= limits.RECONCILE_TURN_MESSAGES
        for reply in step.messages:
            assert len(msgspec.msgpack.encode(reply)) <= limits.RECONCILE_MESSAGE_BYTES


def test_an_overlap_between_two_messages_of_a_turn_is_malformed() -> None:
    reconciler = Reconciler(OURS, SALT)
    reconciler.receive(Message(b"a", (Compare(b"c", LIE),), False))

    with pytest.raises(RemoteError) as refused:
        reconciler.receive(Message(b"b", (Compare(b"d", LIE),), True))

    assert refused.value.reason is Reason.MALFORMED


def test_a_turn_without_an_end_is_refused() -> None:
    reconciler = Reconciler(OURS, SALT)
    for _ in range(limits.RECONCILE_TURN_MESSAGES):
        reconciler.receive(_whole(last=False))

    with pytest.raises(RemoteError) as refused:
        reconciler.receive(_whole(last=False))

    assert refused.value.reason is Reason.TOO_MANY


def test_nothing_is_said_after_the_end() -> None:
    reconciler = Reconciler(OURS, SALT)
    assert reconciler.receive(_whole()).done

    with pytest.raises(RemoteError) as refused:
        reconciler.receive(_whole())

    assert refused.value.reason is Reason.UNEXPECTED


def test_a_peer_that_always_asks_again_is_left_after_a_bounded_number_of_turns() -> None:
    reconciler = Reconciler(OURS, SALT)
    turns, step = 1, reconciler.receive(_whole(Compare(None, LIE)))

    while not step.done:
        turns, step = turns + 1, reconciler.receive(_whole(Compare(None, LIE)))

    assert turns == limits.RECONCILE_TURNS + 1
    assert not step.complete
    assert step.messages == (Message(b"", (), True),)


def test_what_a_peer_states_in_the_final_turn_counts_even_after_many() -> None:
    reconciler = Reconciler(OURS, SALT)
    for _ in range(limits.RECONCILE_TURNS):
        reconciler.receive(_whole(Compare(None, LIE)))

    step = reconciler.receive(_whole(Holds(None, 0)))

    assert step.done
    assert step.complete
    assert [gap.span for gap in step.surplus_gaps] == [EVERYTHING]


@pytest.mark.parametrize("sends", [True, False])
def test_a_leaf_laid_over_a_large_range_does_not_fetch_it(*, sends: bool) -> None:
    """No list of ours is longer than a leaf: the range is compared in pieces instead."""
    step = Reconciler(OURS, SALT).receive(_whole(Leaf(None, bytes(8), sends)))

    (message,) = step.messages
    assert all(isinstance(entry, Compare) for entry in message.ranges)
    assert (step.was_asked, step.requested) == (sends, ())


def test_wanting_from_a_large_range_is_served_from_a_leaf_of_it() -> None:
    """What lies behind was never in a leaf of ours; it is not looked for."""
    names_there = b"".join(_name(item) for item in ITEMS[255:257])

    step = Reconciler(OURS, SALT).receive(_whole(Differ(None, (), names_there)))

    assert step.done
    assert step.messages == ()
    assert step.requested == (ITEMS[limits.LEAF_ITEMS_MAX - 1],)


def test_what_we_hold_already_is_not_missing_though_a_peer_shows_it() -> None:
    few, strange = MemorySet(ITEMS[:3]), Item(b"strange", bytes(32))

    step = Reconciler(few, SALT).receive(_whole(Differ(None, (ITEMS[0], strange), b"")))

    assert step.missing == (strange,)


def test_items_shown_in_a_large_range_are_noted_and_raise_no_question() -> None:
    strange = Item(b"strange", bytes(32))

    step = Reconciler(OURS, SALT).receive(_whole(Differ(None, (strange,), b"")))

    assert step.done
    assert step.missing == (strange,)


def test_names_that_nobody_has_are_wanted_in_vain() -> None:
    few = MemorySet(ITEMS[:3])

    step = Reconciler(few, SALT).receive(_whole(Differ(None, (), bytes(80))))

    assert step.done
    assert step.was_asked
    assert step.requested == ()
    assert step.surplus == ()


def test_a_name_wanted_twice_is_one_request() -> None:
    step = Reconciler(OURS, SALT).receive(_whole(Differ(None, (), _name(ITEMS[0]) * 2)))

    assert step.requested == (ITEMS[0],)


def test_names_wanted_behind_a_full_turn_are_noted_and_served_when_they_come_again() -> None:
    """The peer waits for an answer to its request, even if it does not repeat it."""
    many = records(10_000, Random(2))
    reconciler = Reconciler(MemorySet(many), SALT)
    pieces = MemorySet(many[:-1]).split(EVERYTHING, 60)
    questions = [Leaf(piece.upper, b"", False) for piece, _ in pieces[:-1]]
    wanted = Differ(None, (), _name(many[-1]))

    step = reconciler.receive(_whole(*questions, wanted))

    assert step.was_asked
    assert step.requested == ()
    again = Message(pieces[-1][0].lower, (wanted,), True)
    assert reconciler.receive(again).requested == (many[-1],)


def test_an_eager_leaf_behind_a_full_turn_is_noted_and_served_when_it_comes_again() -> None:
    many = records(10_000, Random(2))
    reconciler = Reconciler(MemorySet(many), SALT)
    pieces = MemorySet(many).split(EVERYTHING, 60)
    eager, (youngest, _) = Leaf(None, b"", True), pieces[-1]

    step = reconciler.receive(
        _whole(*[Leaf(piece.upper, b"", False) for piece, _ in pieces[:-1]], eager)
    )

    assert step.was_asked
    assert step.requested == ()
    again = reconciler.receive(Message(youngest.lower, (eager,), True))
    assert again.requested == tuple(item for item in many if item.key in youngest)


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(lambda upper: Compare(upper, Fingerprint(100, bytes(16))), id="compare"),
        pytest.param(lambda upper: Leaf(upper, bytes(800), True), id="eager leaf"),
    ],
)
def test_what_finds_no_room_in_a_turn_has_asked_for_nothing_and_brings_nothing(
    monkeypatch: pytest.MonkeyPatch, question: Callable[[bytes | None], Range]
) -> None:
    """Neither an eager leaf of ours nor our answer to one, until the range comes again."""
    monkeypatch.setattr(limits, "RECONCILE_TURN_MESSAGES", 1)
    uppers = [piece.upper for piece, _ in OURS.split(EVERYTHING, len(ITEMS))]
    single = [Leaf(upper, b"", False) for upper in uppers]
    (full,) = Reconciler(OURS, SALT).receive(_whole(*single)).messages
    fitting = len(full.ranges) - 1
    behind = question(uppers[fitting + 99])

    step = Reconciler(OURS, SALT).receive(_whole(*single[:fitting], behind))

    remainder = step.messages[-1].ranges[-1]
    assert isinstance(remainder, Compare)
    assert remainder.upper is None
    assert (step.has_asked, step.asked, step.requested) == (False, 0, ())
    assert step.surplus == tuple(ITEMS[:fitting])


def test_an_eager_leaf_after_the_bounded_number_of_turns_is_noted() -> None:
    """The peer does not know that we have stopped, and waits for what it asked for."""
    reconciler = Reconciler(OURS, SALT)
    for _ in range(limits.RECONCILE_TURNS):
        reconciler.receive(_whole(Compare(None, LIE)))

    step = reconciler.receive(_whole(Leaf(None, b"", True)))

    assert not step.complete
    assert step.was_asked
    assert step.requested == ()


def test_a_turn_full_of_questions_gets_no_more_than_a_full_turn() -> None:
    many = MemorySet(records(10_000, Random(2)))
    reconciler = Reconciler(many, SALT)
    pieces = many.split(EVERYTHING, 60)
    questions = tuple(Leaf(piece.upper, b"", False) for piece, _ in pieces)

    step = reconciler.receive(_whole(*questions))

    assert len(step.messages) == limits.RECONCILE_TURN_MESSAGES
    remainder = step.messages[-1].ranges[-1]
    assert isinstance(remainder, Compare)
    assert remainder.upper is None


def test_equal_names_need_the_salt() -> None:
    """Names differ from run to run, so that none can be forged in advance."""
    few, peer_root = MemorySet(ITEMS[:3]), Fingerprint(3, bytes(16))

    (one,) = Reconciler(few, b"one").start(peer_root).messages
    (other,) = Reconciler(few, b"other").start(peer_root).messages

    assert one != other


def test_a_flood_of_eager_leaves_has_no_more_sent_than_a_turns_share() -> None:
    many = MemorySet(records(20_000, Random(3)))
    pieces = many.split(EVERYTHING, 200)
    questions = tuple(Leaf(piece.upper, b"", True) for piece, _ in pieces)

    step = Reconciler(many, SALT).receive(_whole(*questions))

    assert 0 < len(step.requested) <= limits.RECONCILE_SENT_ITEMS
    assert step.messages

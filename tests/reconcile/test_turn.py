from __future__ import annotations

import msgspec
import pytest

from peerstack import limits
from peerstack.reconcile import Fingerprint, Item, Message, Span
from peerstack.reconcile.turn import Turn
from peerstack.reconcile.wire import (
    Compare,
    Differ,
    Holds,
    Leaf,
    Skip,
    decode_untrusted_ranges,
)

FINGERPRINT = Fingerprint(limits.INTEGER_MAX, bytes(16))
LARGEST_KEY_TAIL = bytes(limits.RECONCILE_KEY_BYTES - 4)


def _spans(count: int) -> list[Span]:
    """Spans with the longest bounds that there are, and room between them."""
    bounds = [number.to_bytes(4, "big") + LARGEST_KEY_TAIL for number in range(2 * count)]
    return [Span(bounds[2 * n], bounds[2 * n + 1]) for n in range(count)]


def _largest_differ(span: Span) -> Differ:
    keys = [span.lower[:-2] + number.to_bytes(2, "big") for number in range(limits.LEAF_ITEMS_MAX)]
    items = tuple(Item(key, bytes(32)) for key in keys)
    return Differ(span.upper, items, bytes(8 * limits.LEAF_ITEMS_MAX))


def _fill(turn: Turn, differ_every: int = 50) -> list[Message]:
    """Say as much as there is room for, of ranges of all sizes, and then the remainder."""
    for number, span in enumerate(_spans(10_000)):
        entry = (
            _largest_differ(span)
            if number % differ_every == 0
            else Compare(span.upper, FINGERPRINT)
        )
        if not turn.add(span, entry):
            turn.add_remainder(Span(span.lower, None), Compare(None, FINGERPRINT))
            return [*turn.take(), *turn.end()]
    raise AssertionError("a turn has no end")


def test_a_turn_that_says_nothing_is_one_small_message() -> None:
    messages = Turn().end()

    assert messages == (Message(b"", (), True),)


@pytest.mark.parametrize("differ_every", [1, 50, 10_000])
def test_a_full_turn_keeps_the_bounds_of_messages_and_their_number(differ_every: int) -> None:
    messages = _fill(Turn(), differ_every)

    assert len(messages) == limits.RECONCILE_TURN_MESSAGES
    assert all(
        len(msgspec.msgpack.encode(message)) <= limits.RECONCILE_MESSAGE_BYTES
        for message in messages
    )


def test_only_the_final_message_of_a_turn_is_last() -> None:
    *others, final = _fill(Turn())

    assert final.last
    assert not any(message.last for message in others)


def test_messages_of_one_turn_ascend_and_end_with_the_remainder() -> None:
    reached: bytes | None = b""

    for message in _fill(Turn()):
        reached = decode_untrusted_ranges(message, reached)[-1][0].upper

    assert reached is None


def test_a_message_never_holds_more_ranges_than_the_grammar_allows() -> None:
    turn = Turn()
    for number in range(0, 60_000, 2):
        lower, upper = number.to_bytes(2, "big"), (number + 1).to_bytes(2, "big")
        turn.add(Span(lower, upper), Holds(upper, 0))

    messages = [*turn.take(), *turn.end()]

    assert max(len(message.ranges) for message in messages) <= limits.RECONCILE_RANGES
    assert all(
        len(msgspec.msgpack.encode(message)) <= limits.RECONCILE_MESSAGE_BYTES
        for message in messages
    )


def test_what_lies_between_is_skipped() -> None:
    turn = Turn()
    turn.add(Span(b"b", b"c"), Leaf(b"c", b"", True))
    turn.add(Span(b"x", None), Leaf(None, b"", True))

    (message,) = turn.end()

    ranges = (Leaf(b"c", b"", True), Skip(b"x"), Leaf(None, b"", True))
    assert message == Message(b"b", ranges, True)


def test_neighbouring_gaps_of_one_side_become_one() -> None:
    turn = Turn()
    turn.add(Span(b"a", b"b"), Holds(b"b", 2))
    turn.add(Span(b"b", b"c"), Holds(b"c", 3))
    turn.add(Span(b"c", b"d"), Holds(b"d", 0))
    turn.add(Span(b"e", None), Holds(None, 0))

    (message,) = turn.end()

    assert message.ranges == (Holds(b"c", 5), Holds(b"d", 0), Skip(b"e"), Holds(None, 0))


def test_a_turn_asks_once_it_holds_a_question() -> None:
    turn = Turn()
    turn.add(Span(b"a", b"b"), Holds(b"b", 2))
    assert not turn.asks

    turn.add(Span(b"b", None), Compare(None, FINGERPRINT))

    assert turn.asks

from __future__ import annotations

import msgspec
import pytest

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.reconcile import Fingerprint, Item, Message, Span
from peerstack.reconcile.wire import (
    Compare,
    Differ,
    Holds,
    Leaf,
    Range,
    Skip,
    asks,
    decode_untrusted_ranges,
    wants,
)

FINGERPRINT = Fingerprint(3, bytes(range(16)))


def _item(key: bytes) -> Item:
    return Item(key, b"")


def _message(*ranges: Range, lower: bytes = b"") -> Message:
    return Message(lower, ranges, True)


def test_known_bytes() -> None:
    message = _message(
        Skip(b"b"),
        Compare(b"c", FINGERPRINT),
        Leaf(b"d", b"12345678", True),
        Differ(b"f", (Item(b"e", b"\x07"),), b""),
        Holds(None, 300),
        lower=b"a",
    )

    data = msgspec.msgpack.encode(message)

    assert data.hex(" ") == (
        "93 c4 01 61 95 "  # three fields: lower "a", five ranges,
        "92 00 c4 01 62 "
        "93 01 c4 01 63 92 03 c4 10 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f "
        "94 02 c4 01 64 c4 08 31 32 33 34 35 36 37 38 c3 "
        "94 03 c4 01 66 91 92 c4 01 65 c4 01 07 c4 00 "
        "93 04 c0 cd 01 2c "
        "c3"  # and whether this message is the turn's last
    )
    assert msgspec.msgpack.decode(data, type=Message) == message


def test_each_range_begins_where_the_one_before_ended() -> None:
    message = _message(Skip(b"b"), Compare(b"c", FINGERPRINT), Holds(None, 1), lower=b"a")

    spans = [span for span, _ in decode_untrusted_ranges(message, b"")]

    assert spans == [Span(b"a", b"b"), Span(b"b", b"c"), Span(b"c", None)]


@pytest.mark.parametrize(
    ("entry", "is_question"),
    [
        (Skip(None), False),
        (Compare(None, FINGERPRINT), True),
        (Leaf(None, b"", True), True),
        (Leaf(None, b"", False), True),
        (Differ(None, (), b"12345678"), False),
        (Differ(None, (_item(b"a"),), b""), False),
        (Holds(None, 3), False),
    ],
)
def test_what_has_to_be_answered(entry: Range, *, is_question: bool) -> None:
    assert asks(entry) is is_question


@pytest.mark.parametrize(
    ("entry", "is_request"),
    [
        (Skip(None), False),
        (Compare(None, FINGERPRINT), False),
        (Leaf(None, b"", True), True),
        (Leaf(None, b"12345678", False), False),
        (Differ(None, (), b"12345678"), True),
        (Differ(None, (_item(b"a"),), b""), False),
        (Holds(None, 3), False),
    ],
)
def test_what_asks_for_items(entry: Range, *, is_request: bool) -> None:
    """An eager leaf does so even where it turns out that there are none."""
    assert wants(entry) is is_request


@pytest.mark.parametrize(
    ("message", "reached"),
    [
        pytest.param(_message(Skip(b"b"), Skip(b"b")), b"", id="an empty range"),
        pytest.param(_message(Skip(b"b"), Skip(b"a")), b"", id="a bound that goes back"),
        pytest.param(_message(Skip(b"")), b"", id="an upper bound below everything"),
        pytest.param(_message(Skip(None), Skip(b"b")), b"", id="a range behind everything"),
        pytest.param(_message(Skip(None), Skip(None)), b"", id="everything twice"),
        pytest.param(_message(Skip(None), lower=b"a"), b"b", id="an overlap with before"),
        pytest.param(_message(Skip(None), lower=b"a"), None, id="more behind everything"),
        pytest.param(_message(Leaf(None, b"1234567", True)), b"", id="a name cut short"),
        pytest.param(_message(Differ(None, (), b"1")), b"", id="a wanted name cut short"),
        pytest.param(
            _message(Differ(None, (_item(b"b"), _item(b"a")), b"")), b"", id="unsorted items"
        ),
        pytest.param(
            _message(Differ(None, (_item(b"b"), _item(b"b")), b"")), b"", id="an item twice"
        ),
        pytest.param(
            _message(Differ(b"b", (_item(b"b"),), b"")), b"", id="an item behind its range"
        ),
        pytest.param(
            _message(Differ(None, (_item(b"a"),), b""), lower=b"b"), b"", id="an item before it"
        ),
    ],
)
def test_what_breaks_the_grammar_is_malformed(message: Message, reached: bytes | None) -> None:
    with pytest.raises(RemoteError) as refused:
        decode_untrusted_ranges(message, reached)

    assert refused.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(_message(lower=bytes(limits.RECONCILE_KEY_BYTES + 1)), id="long lower"),
        pytest.param(_message(Skip(bytes(limits.RECONCILE_KEY_BYTES + 1))), id="long upper"),
        pytest.param(_message(Holds(None, -1)), id="negative count"),
        pytest.param(_message(Holds(None, limits.INTEGER_MAX + 1)), id="huge count"),
        pytest.param(_message(Compare(None, Fingerprint(1, bytes(15)))), id="short digest"),
        pytest.param(_message(Compare(None, Fingerprint(-1, bytes(16)))), id="negative compare"),
        pytest.param(
            _message(Leaf(None, bytes(8 * limits.LEAF_ITEMS_MAX + 8), True)), id="big leaf"
        ),
        pytest.param(_message(Differ(None, (), bytes(8 * limits.LEAF_ITEMS_MAX + 8))), id="wants"),
        pytest.param(
            _message(Differ(None, (_item(b"a"),) * (limits.LEAF_ITEMS_MAX + 1), b"")),
            id="too many items",
        ),
        pytest.param(_message(Differ(None, (_item(b""),), b"")), id="empty key"),
        pytest.param(_message(Differ(None, (Item(b"a", bytes(33)),), b"")), id="long hash"),
        pytest.param(_message(*[Skip(None)] * (limits.RECONCILE_RANGES + 1)), id="many ranges"),
    ],
)
def test_types_refuse_what_is_out_of_bounds(message: Message) -> None:
    data = msgspec.msgpack.encode(message)

    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(data, type=Message)

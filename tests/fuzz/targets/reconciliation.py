"""A peer that compares sets as it likes: answered within bounds, or refused."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from peerstack import limits
from peerstack.errors import RemoteError
from peerstack.reconcile import EVERYTHING, Fingerprint, Item, MemorySet, Message, Reconciler, Span
from peerstack.reconcile.wire import Compare, Differ, Holds, Leaf, Range, Skip
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.reconcile.samples import records
from tests.reconcile.two_sides import SALT

ITEMS: Final = tuple(records(600, Random(1)))
OURS: Final = MemorySet(ITEMS)
COUNTS: Final = (0, 1, 100, 600, limits.INTEGER_MAX)
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Message).decode


def run(data: bytes) -> None:
    """How the run begins, then messages: built from the bytes, or the bytes themselves."""
    reader = Reader(data)
    reconciler = Reconciler(OURS, SALT, eager=reader.flag())
    if reader.flag():
        _check(reconciler.start(Fingerprint(reader.pick(COUNTS), reader.exactly(16))).messages)
    while reader:
        try:
            message = _message(reader)
            step = reconciler.receive(message)
        except (RemoteError, msgspec.MsgspecError):
            return
        _check(step.messages)
        assert all(item in ITEMS for item in step.surplus)
        if step.done:
            return


def _check(messages: object) -> None:
    assert isinstance(messages, list | tuple)
    assert len(messages) <= limits.RECONCILE_TURN_MESSAGES
    for message in messages:
        encoded = _encode(message)
        assert len(encoded) <= limits.RECONCILE_MESSAGE_BYTES
        assert _decode(encoded) == message


def _message(reader: Reader) -> Message:
    """As the wire would bring it, with everything that the types say checked."""
    if reader.number() % 4 == 0:
        return _decode(reader.chunk())
    lower = _key(reader) if reader.flag() else b""
    ranges = [ranged(reader) for _ in range(reader.number() % 8)]
    if reader.number() % 8:
        ranges.sort(key=lambda each: (each.upper is None, each.upper or b""))
    return _decode(_encode(Message(lower, tuple(ranges), reader.flag())))


def ranged(reader: Reader) -> Range:
    """One range, around keys that this device really has."""
    upper = _key(reader) if reader.number() % 4 else None
    match reader.number() % 5:
        case 0:
            return Skip(upper)
        case 1:
            return Compare(upper, _fingerprint(reader, upper))
        case 2:
            return Leaf(upper, reader.chunk(), reader.flag())
        case 3:
            shown = tuple(
                Item(_key(reader), reader.exactly(32)) for _ in range(reader.number() % 4)
            )
            return Differ(upper, tuple(sorted(shown, key=lambda each: each.key)), reader.chunk())
    return Holds(upper, reader.pick(COUNTS))


def _fingerprint(reader: Reader, upper: bytes | None) -> Fingerprint:
    if reader.flag():
        return OURS.fingerprint(EVERYTHING if upper is None else Span(b"", upper))
    return Fingerprint(reader.pick(COUNTS), reader.exactly(16))


def _key(reader: Reader) -> bytes:
    if reader.number() % 4 == 0:
        return reader.chunk() or b"k"
    return ITEMS[reader.number(2) % len(ITEMS)].key


TARGET = Target(
    "reconciliation",
    run,
    (
        "peerstack.reconcile.reconciler._PeerTurn.take_untrusted",
        "peerstack.reconcile.wire._check_untrusted_content",
        "peerstack.reconcile.wire.decode_untrusted_ranges",
    ),
)

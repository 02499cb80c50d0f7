"""The messages of a reconciliation, as typed values, and the check of what types cannot say.

Knows the grammar and its bounds; not what a message means, nor how the session carries it.

::

    turn    = message* and one more message that is `last`
    message = lower, range*, last      ranges are contiguous from `lower` on; uppers ascend
    range   = skip | compare | leaf | differ | holds        each with its upper bound

A question is a `compare` or a `leaf`.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.reconcile.fingerprint import Fingerprint, Item
from peerstack.reconcile.span import Span

NAME_BYTES: Final = 8
"""Length of an item's short name, which holds within one run."""

_Lower = Annotated[bytes, msgspec.Meta(max_length=limits.RECONCILE_KEY_BYTES)]
_Upper = Annotated[bytes, msgspec.Meta(max_length=limits.RECONCILE_KEY_BYTES)] | None
_Names = Annotated[bytes, msgspec.Meta(max_length=NAME_BYTES * limits.LEAF_ITEMS_MAX)]


class _Range(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    upper: _Upper


class Skip(_Range, tag=0, frozen=True):
    """Nothing to say here."""


class Compare(_Range, tag=1, frozen=True):
    """A question: my items here amount to this; what of yours?"""

    fingerprint: Fingerprint


class Leaf(_Range, tag=2, frozen=True):
    """A question: these are the names of all my items here; which differ?

    `sends` (the leaf is eager): send me what you have here beside them, without showing it first.
    """

    names: _Names
    sends: bool


class Differ(_Range, tag=3, frozen=True):
    """Items of mine that you lack or hold differently; and names that I lack: send me those.

    Shows no items where the leaf has asked to be sent them.
    """

    items: Annotated[tuple[Item, ...], msgspec.Meta(max_length=limits.LEAF_ITEMS_MAX)]
    wanted: _Names


class Holds(_Range, tag=4, frozen=True):
    """Only one of us has anything here: I hold `count` items, which is none if you are the one."""

    count: Annotated[int, msgspec.Meta(ge=0, le=limits.INTEGER_MAX)]


Range = Skip | Compare | Leaf | Differ | Holds


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A part of a turn: ranges from `lower` on; what lies behind the last of them is skipped."""

    lower: _Lower
    ranges: Annotated[tuple[Range, ...], msgspec.Meta(max_length=limits.RECONCILE_RANGES)]
    last: bool


def asks(entry: Range) -> bool:
    """Whether `entry` is a question, so that the peer has to answer."""
    return isinstance(entry, Compare | Leaf)


def wants(entry: Range) -> bool:
    """Whether `entry` asks for items themselves, outside of the comparison."""
    match entry:
        case Leaf(sends=sends):
            return sends
        case Differ(wanted=wanted):
            return bool(wanted)
    return False


def split_names(names: bytes) -> list[bytes]:
    """The single names of a `leaf` or of what a `differ` wants."""
    return [names[at : at + NAME_BYTES] for at in range(0, len(names), NAME_BYTES)]


def decode_untrusted_ranges(message: Message, reached: bytes | None) -> list[tuple[Span, Range]]:
    """The ranges of `message` with their spans, ascending and not overlapping.

    `reached` is where the turn's earlier messages ended (`None`: behind every key).
    Raises `RemoteError(MALFORMED)` where bounds or items do not ascend, or lie outside.
    """
    ranges: list[tuple[Span, Range]] = []
    lower: bytes | None = message.lower
    if message.ranges and (reached is None or message.lower < reached):
        raise RemoteError(Reason.MALFORMED, "a message overlaps the one before it")
    for entry in message.ranges:
        if lower is None or (entry.upper is not None and entry.upper <= lower):
            raise RemoteError(Reason.MALFORMED, "the bounds of ranges do not ascend")
        span = Span(lower, entry.upper)
        _check_untrusted_content(span, entry)
        ranges.append((span, entry))
        lower = entry.upper
    return ranges


def _check_untrusted_content(span: Span, entry: Range) -> None:
    match entry:
        case Leaf(names=names) | Differ(wanted=names):
            if len(names) % NAME_BYTES:
                raise RemoteError(Reason.MALFORMED, "a name is cut short")
    if isinstance(entry, Differ):
        before = b""
        for item in entry.items:
            if item.key <= before or item.key not in span:
                raise RemoteError(Reason.MALFORMED, "items do not ascend within their range")
            before = item.key

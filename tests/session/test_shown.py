"""A level says what has changed since the last one, and is understood by whoever heard that."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from peerstack.errors import RemoteError
from peerstack.reconcile import hashed_fingerprint
from peerstack.session.replica import Roots
from peerstack.session.shown import level_of, roots_untrusted
from peerstack.session.wire import Level, decode_untrusted, encode

NONE = hashed_fingerprint(())
SOME = hashed_fingerprint((b"a" * 32,))
OTHER = hashed_fingerprint((b"b" * 32,))

STANDS = [Roots(*each) for each in product((NONE, SOME, OTHER), repeat=3)]


def said(roots: Roots, before: Roots | None) -> Level:
    """The level as it comes out of the pipe."""
    level = decode_untrusted(encode(level_of(3, roots, before, closes=True, audit=None)))
    assert isinstance(level, Level)
    return level


@pytest.mark.parametrize("first", STANDS)
def test_what_was_shown_is_understood_whatever_changes(first: Roots) -> None:
    steps = [first, *STANDS, *reversed(STANDS), first]
    assert roots_untrusted(said(first, None), None) == first
    for before, after in pairwise(steps):
        assert roots_untrusted(said(after, before), before) == after


def test_a_level_takes_no_bytes_for_what_is_as_before() -> None:
    before = Roots(SOME, SOME, SOME)
    assert said(before, before) == Level(3, None, None, closes=True)
    # A byte each: how it is packed, the array, its number, the channel, and five fields.
    assert len(encode(said(before, before))) == 9
    assert said(before._replace(records=OTHER), before) == Level(3, None, OTHER, closes=True)
    assert said(before._replace(conflicts=NONE), before).conflicts == NONE


@pytest.mark.parametrize(
    "level", [Level(0, None, SOME), Level(0, SOME, None), Level(0, None, None, conflicts=SOME)]
)
def test_a_first_level_that_leaves_something_out_is_refused(level: Level) -> None:
    with pytest.raises(RemoteError, match="a first level"):
        roots_untrusted(level, None)

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerstack.reconcile import EVERYTHING, Span, shortest_bound


def test_a_span_holds_its_lower_bound_and_not_its_upper() -> None:
    span = Span(b"b", b"d")

    assert [key for key in (b"a", b"b", b"c", b"cz", b"d") if key in span] == [b"b", b"c", b"cz"]


@given(st.binary())
def test_everything_holds_every_key(key: bytes) -> None:
    assert key in EVERYTHING


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_a_bound_separates_two_keys_and_no_shorter_one_does(one: bytes, other: bytes) -> None:
    left, right = min(one, other), max(one, other)
    if left == right:
        return

    bound = shortest_bound(left, right)

    assert left < bound <= right
    assert right.startswith(bound)
    assert not left < bound[:-1]

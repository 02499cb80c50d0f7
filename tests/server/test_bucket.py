"""`bucket`: how much may happen how fast."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from peerstack_server.bucket import Rate, TokenBucket


def test_a_full_bucket_gives_its_burst_and_then_names_the_wait() -> None:
    bucket = TokenBucket(Rate(per_second=10, burst=3), now_ms=0)

    assert [bucket.take(1, 0) for _ in range(4)] == [0, 0, 0, 100]


def test_waiting_as_long_as_named_is_enough() -> None:
    bucket = TokenBucket(Rate(per_second=7, burst=1), now_ms=0)
    bucket.take(1, 0)

    assert bucket.take(1, bucket.take(1, 0)) == 0


def test_more_than_the_burst_costs_a_full_bucket() -> None:
    bucket = TokenBucket(Rate(per_second=1, burst=5), now_ms=0)

    assert bucket.take(50, 0) == 0
    assert bucket.take(50, 0) == 5_000


def test_a_clock_that_steps_back_gives_nothing() -> None:
    bucket = TokenBucket(Rate(per_second=1, burst=1), now_ms=10_000)
    bucket.take(1, 10_000)

    assert bucket.take(1, 0) > 0
    assert bucket.take(1, 10_500) == 500


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 8)), max_size=60))
def test_never_more_than_burst_plus_rate_times_time(steps: list[tuple[int, int]]) -> None:
    bucket, now_ms, taken = TokenBucket(Rate(per_second=20, burst=10), 0), 0, 0
    for pause_ms, amount in steps:
        now_ms += pause_ms
        if bucket.take(amount, now_ms) == 0:
            taken += amount

    assert taken <= 10 + 20 * now_ms / 1000 + 1e-6

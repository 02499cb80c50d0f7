"""A token bucket: how much of something may happen how fast. Knows no clock.

https://en.wikipedia.org/wiki/Token_bucket
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` in the long run, `burst` at once after a rest."""

    per_second: float
    burst: float


class TokenBucket:
    """Full at first; what is taken flows back at the rate."""

    __slots__ = ("_at_ms", "_level", "_rate")

    def __init__(self, rate: Rate, now_ms: int) -> None:
        self._rate = rate
        self._level = rate.burst
        self._at_ms = now_ms

    def take(self, amount: float, now_ms: int) -> int:
        """Take `amount` and return 0, or take nothing and return the milliseconds to wait.

        An amount above the burst could never be taken; it costs a full bucket.
        """
        self._refill(now_ms)
        burst = self._rate.burst
        taken = amount if amount < burst else burst
        if taken > self._level:
            missing = taken - self._level
            return max(1, math.ceil(missing / self._rate.per_second * 1000))
        self._level -= taken
        return 0

    def is_full(self, now_ms: int) -> bool:
        """Whether forgetting this bucket would forget nothing."""
        self._refill(now_ms)
        return self._level >= self._rate.burst

    def _refill(self, now_ms: int) -> None:
        elapsed_ms = now_ms - self._at_ms
        if elapsed_ms > 0:
            rate = self._rate
            level = self._level + elapsed_ms * rate.per_second / 1000
            self._level = level if level < rate.burst else rate.burst
            self._at_ms = now_ms

"""Cutting a story that fails down to what it takes: delta debugging, as in Zeller and Hildebrandt,
"Simplifying and isolating failure-inducing input" (2002), by halves of halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrunk(
    steps: Sequence[T], fails: Callable[[Sequence[T]], bool], budget: int = 200
) -> Sequence[T]:
    """The steps without those that a failure does not need, by at most `budget` tries."""
    size = max(1, len(steps) // 2)
    while budget > 0:
        start, before = 0, len(steps)
        while start < len(steps) and budget > 0:
            without = [*steps[:start], *steps[start + size :]]
            budget -= 1
            if fails(without):
                steps = without
            else:
                start += size
        if size == 1 and len(steps) == before:
            break
        size = max(1, size // 2)
    return steps

"""Chance from a seed: the same throws in every run, on every machine."""

from __future__ import annotations

from typing import Final

from peerstack.testing.ports import SeededEntropy

_BYTES: Final = 8


class Dice:
    """Throws that depend on the seed and on how many came before, and on nothing else."""

    def __init__(self, seed: str) -> None:
        self._entropy = SeededEntropy(f"dice/{seed}")

    def below(self, bound: int) -> int:
        """A number from 0 up to, not including, `bound`."""
        return int.from_bytes(self._entropy.draw(_BYTES), "big") % bound

    def between(self, bounds: tuple[int, int]) -> int:
        """A number from the first of `bounds` up to and including the second."""
        lowest, highest = bounds
        return lowest + self.below(highest - lowest + 1)

    def happens(self, chance: float) -> bool:
        """Whether something happens whose chance is 0.0 (never) to 1.0 (always)."""
        if chance <= 0:
            return False
        return self.below(2**53) < chance * 2**53

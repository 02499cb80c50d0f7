"""A clock that is moved by hand and entropy from a seed, so that a run can be repeated exactly.

Stand-ins for what `peerstack.ports` names. Knows nothing else of peerstack.
"""

from __future__ import annotations

import hashlib

from peerstack.ports import Instant


class SeededEntropy:
    """The same bytes for the same seed, in the same order of draws. **Never for real keys.**

    The stream is SHA-256(seed's UTF-8, counter as 8 bytes big endian) for counter 0, 1, 2, ...
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._counter = 0
        self._left = b""

    def draw(self, size_bytes: int) -> bytes:
        """The next `size_bytes` bytes of the stream."""
        while len(self._left) < size_bytes:
            self._left += hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
        drawn, self._left = self._left[:size_bytes], self._left[size_bytes:]
        return drawn


class ManualClock:
    """A device's two clocks, which stand still until they are moved."""

    def __init__(self, wall_ms: int, mono_ms: int = 0) -> None:
        self._now = Instant(mono_ms, wall_ms)

    def now(self) -> Instant:
        """The present instant on both clocks."""
        return self._now

    def advance(self, elapsed_ms: int) -> None:
        """Let time pass: both clocks move. Raises `ValueError` where it would run backwards."""
        if elapsed_ms < 0:
            raise ValueError("time does not run backwards; to correct a wrong clock, set_wall")
        self._now = Instant(self._now.mono_ms + elapsed_ms, self._now.wall_ms + elapsed_ms)

    def set_wall(self, wall_ms: int) -> None:
        """Set the wall clock, forward or back, as a person does; no time passes."""
        self._now = self._now._replace(wall_ms=wall_ms)

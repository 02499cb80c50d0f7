"""The system's clock and entropy."""

from __future__ import annotations

import os
import time

from peerstack.ports import Instant


class SystemClock:
    """The machine's two clocks."""

    def now(self) -> Instant:
        """The present instant on both clocks."""
        return Instant(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


class SystemEntropy:
    """The operating system's randomness."""

    def draw(self, size_bytes: int) -> bytes:
        """`size_bytes` bytes fit for keys."""
        return os.urandom(size_bytes)

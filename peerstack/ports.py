"""Clock and entropy: the only ambient inputs of everything below `node`.

Nothing that the engine stands on reads a clock or draws randomness by itself; it is handed an
`Instant` with each event and an `Entropy` once. `node` gives the system's, `testing` a seeded one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Instant(NamedTuple):
    """When an event happened, on this device's two clocks."""

    mono_ms: int
    """Monotonic milliseconds, for timers."""
    wall_ms: int
    """Unix milliseconds, which may be wrong; stamps records and judges the future."""


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> Instant:
        """The present instant on both clocks."""
        ...


class Entropy(Protocol):
    """Draws random bytes fit for keys."""

    def draw(self, size_bytes: int) -> bytes:
        """`size_bytes` bytes that nobody else can predict."""
        ...


def below(bound: int, entropy: Entropy) -> int:
    """A random number from 0 up to, not including, `bound`."""
    return int.from_bytes(entropy.draw(8), "big") % bound

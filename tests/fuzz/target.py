"""What a target is: a name, a function that takes any bytes, and what of the code it enters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One way into the code for bytes that somebody else made.

    `run` returns for every input, in little time and memory. Whatever it raises is a finding.
    """

    name: str
    run: Callable[[bytes], None]
    reaches: tuple[str, ...]
    """Functions that take untrusted input, by module and name, which its corpus really calls."""
    bytes_max: int = 4_096
    """The longest input worth trying."""

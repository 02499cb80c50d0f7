"""Runs inputs once, with Python alone: `python -m tests.fuzz.again TARGET FILE...`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.registry import TARGETS


def main() -> None:
    """Run each file; what a target raises is shown as Python shows it."""
    target = TARGETS[sys.argv[1]]
    for name in sys.argv[2:]:
        target.run(Path(name).read_bytes())
        print(f"{name}: fine")


if __name__ == "__main__":
    main()

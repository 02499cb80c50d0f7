"""Runs one target under atheris: `python -m tests.fuzz.drive TARGET [OPTION OR INPUT]...`.

What follows the name goes to libFuzzer: files to be run once, folders of inputs, options
(https://llvm.org/docs/LibFuzzer.html#options).
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris


def main() -> None:
    """Fuzz until told to stop, or until there is a finding; does not return."""
    # Before anything of the product is imported, or it would not be watched.
    with atheris.instrument_imports(include=["peerstack", "peerstack_server", "family_notes"]):
        from tests.fuzz.registry import TARGETS

    target = TARGETS[sys.argv[1]]
    bounds = [f"-max_len={target.bytes_max}", "-timeout=20", "-rss_limit_mb=1024"]
    # Long inputs from the start: many are sequences of steps.
    hints = ["-len_control=0", f"-dict={Path(__file__).with_name('words.dict')}"]
    atheris.Setup([sys.argv[0], *bounds, *hints, *sys.argv[2:]], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

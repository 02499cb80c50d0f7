"""Kills two devices again and again: `python -m tests.crashes.campaign --rounds 300`.

Ends with 1 where anything is wrong, and leaves the files of both devices behind then.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from tests.crashes.rounds import Rounds


def main() -> int:
    """Run, with a line for each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="how often to kill (default 300)")
    parser.add_argument("--seed", default="", help="draws who is killed when (default: a new one)")
    wanted = parser.parse_args()
    # A shell has what it starts in the background ignore SIGINT, by which `sync --stay` is ended.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seed = wanted.seed or str(SystemRandom().randrange(1_000_000))
    print(f"{wanted.rounds} rounds; SEED={seed} draws the same moments again", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="peerstack-crashes-"))
    begun = time.monotonic()
    kills = 0
    try:
        for each in Rounds(folder, seed).run(wanted.rounds):
            kills += len(each.killed)
            print(f"[{each.number:>4}/{wanted.rounds}] {each}", flush=True)
    except AssertionError as error:
        print(f"\nFAILED with SEED={seed}: {error}\nThe files are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    print(f"\n{kills} processes killed in {time.monotonic() - begun:.0f} s; nothing was lost")
    return 0


if __name__ == "__main__":
    sys.exit(main())

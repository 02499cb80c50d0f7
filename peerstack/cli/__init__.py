"""The `peerstack` command: the public API of `peerstack` for people and for scripts.

Knows how to ask and how to show; what is possible and allowed is decided below. Modules here load
quickly: the libraries for networking, and rich, are imported where they are used.
"""

from __future__ import annotations

import atexit
import gc

_COLLECT_AFTER = 50_000
"""New objects after which Python looks for cycles: a short command makes fewer, and ends."""


def main() -> None:
    """Run the command that the command line names, and exit."""
    gc.set_threshold(_COLLECT_AFTER)
    # At its end, Python would go through all modules once more to find nothing.
    atexit.register(gc.freeze)
    from peerstack.cli.app import run

    run()

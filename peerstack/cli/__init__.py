"""The `peerstack` command: the public API of `peerstack` for people and for scripts.

Knows how to ask and how to show; what is possible and allowed is decided below. Modules here load
quickly: the libraries for networking, and rich, are imported where they are used.
"""

from __future__ import annotations


def main() -> None:
    """Run the command that the command line names, and exit."""
    from peerstack.cli.app import run

    run()

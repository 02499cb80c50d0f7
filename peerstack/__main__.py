"""`python -m peerstack` is the command `peerstack`."""

from __future__ import annotations

from peerstack.cli import main

if __name__ == "__main__":
    main()

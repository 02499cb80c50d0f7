"""`python -m peerstack_server`."""

from __future__ import annotations

from peerstack_server.cli import main

if __name__ == "__main__":
    main()

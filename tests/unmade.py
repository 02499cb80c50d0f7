"""Profiles whose making was cut short."""

from __future__ import annotations

import json
from pathlib import Path

from peerstack.node.keyfile import path_of
from peerstack.store.files import database_files


def unmake(database: Path) -> None:
    """Leave a profile as a crash between its key file and its database would have left it."""
    for file in database_files(database):
        file.unlink(missing_ok=True)
    keys = path_of(database)
    keys.write_text(json.dumps({**json.loads(keys.read_text()), "fresh": True}))

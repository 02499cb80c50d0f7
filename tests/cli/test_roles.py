"""Roles, removal, leaving, invites and quarantine by the command line, through a real server."""

from __future__ import annotations

import pytest

from tests.cli.person import Person
from tests.server_process import ServerProcess


@pytest.fixture
def server() -> object:
    with ServerProcess() as process:
        yield process


def synced(ana: Person, ben: Person) -> None:
    """Ben syncs while Ana is there."""
    with ana.running("sync", "--stay") as sync:
        sync.until_event("online")
        ben.json("sync")
        sync.end()

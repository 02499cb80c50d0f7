"""Two people and a server, for the tests of the command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.person import Person
from tests.server_process import running_server


@pytest.fixture
def ana(tmp_path: Path) -> Person:
    return Person(tmp_path / "ana.db")


@pytest.fixture
def ben(tmp_path: Path) -> Person:
    return Person(tmp_path / "ben.db")


@pytest.fixture
def server() -> Iterator[str]:
    with running_server() as url:
        yield url

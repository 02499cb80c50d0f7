"""Stores for the tests: each test that takes `store` runs on a file and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from peerstack.store import Store
from tests.store.samples import GROUP, NOW, OTHER_GROUP


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = ":memory:" if request.param == "memory" else str(tmp_path / "ana.db")
    opened = Store.open(url)
    with opened.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
        transaction.add_group(OTHER_GROUP, NOW)
    yield opened
    opened.close()

"""Chromium for each test; whatever a page complains of, or asks of elsewhere, fails the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests.browser.people import Browsing
from tests.browser_there import chromium
from tests.server_process import running_server


@pytest.fixture
async def browsing(tmp_path: Path) -> AsyncIterator[Browsing]:
    """People at devices of their own, each a process, in one browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium())
        with ExitStack() as processes:
            people = Browsing(browser, tmp_path, processes)
            yield people
            assert people.complaints == []
        await browser.close()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A signaling server."""
    with running_server() as url:
        yield url

"""A transport that leaves exceptions to the event loop has not closed cleanly."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest


@pytest.fixture
async def quiet_loop() -> AsyncIterator[None]:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()
    yield
    gc.collect()
    assert complaints == []
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}

"""Linking at the old device's screen, where pages ask all the time how far it has come."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import peerstack
from family_notes.linking import Giving, Step
from tests.server_process import running_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


@dataclass
class Comparing:
    """Two devices that show the same digits."""

    old: peerstack.Node
    giving: Giving
    arriving: asyncio.Task[peerstack.Node]

    def busy(self) -> Busy:
        """What the old device is asked from now on has to wait for its end."""
        return Busy(self.old)


class Busy:
    """The engine of a device at work on something else."""

    def __init__(self, node: peerstack.Node) -> None:
        self._over = threading.Event()
        self._working = asyncio.ensure_future(node.perform(lambda _: self._over.wait(30)))

    async def end(self) -> None:
        self._over.set()
        await self._working


@asynccontextmanager
async def comparing(folder: Path, server: str) -> AsyncIterator[Comparing]:
    async with peerstack.open(folder / "old.db", "Ana", server) as old:
        giving = Giving()
        await giving.start(old)
        opening = peerstack.open_linked(folder / "new.db", giving.link, lambda _: None, "new")
        arriving = asyncio.ensure_future(opening.__aenter__())
        try:
            async with asyncio.timeout(30):
                while giving.step is not Step.COMPARE:
                    await giving.look()
            yield Comparing(old, giving, arriving)
        finally:
            arriving.cancel()
            await asyncio.wait({arriving})
            if not arriving.cancelled() and arriving.exception() is None:
                await opening.__aexit__(None, None, None)


async def test_a_page_that_asks_while_the_digits_are_confirmed_undoes_nothing(
    tmp_path: Path, server: str
) -> None:
    async with comparing(tmp_path, server) as at:
        before = at.busy()
        confirming = asyncio.ensure_future(at.giving.confirm(at.giving.digits))
        await asyncio.sleep(0)
        certified = asyncio.ensure_future(at.old.perform(lambda _: None))
        await asyncio.sleep(0)
        between = at.busy()
        await before.end()
        await certified
        looking = asyncio.ensure_future(at.giving.look())
        await asyncio.sleep(0)
        await between.end()
        await asyncio.gather(confirming, looking)

        assert at.giving.step is Step.DONE
        await at.giving.look()
        assert at.giving.step is Step.DONE
        await at.arriving


async def test_digits_stay_while_the_device_is_too_busy_to_be_asked(
    tmp_path: Path, server: str
) -> None:
    async with comparing(tmp_path, server) as at:
        digits = at.giving.digits
        busy = at.busy()
        await asyncio.sleep(0)
        await at.giving.look()
        await busy.end()
        assert (at.giving.step, at.giving.digits) == (Step.COMPARE, digits)
        await at.giving.confirm(digits)
        await at.arriving


async def test_what_was_confirmed_is_neither_confirmed_again_nor_refused_on_an_old_page(
    tmp_path: Path, server: str
) -> None:
    async with comparing(tmp_path, server) as at:
        digits = at.giving.digits
        await asyncio.gather(at.giving.confirm(digits), at.giving.confirm(digits))
        assert at.giving.step is Step.DONE
        await at.giving.refuse()
        assert (at.giving.step, at.giving.problem) == (Step.DONE, "")
        await at.arriving

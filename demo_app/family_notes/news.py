"""What pages are told while they are open: that something has changed, and where.

It watches the node, and counts. A page knows the counts that it was made at, so that it is told of
whatever came between its making and its listening.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final

import peerstack

STATUS: Final = "status"
"""The topic of connections, roles and members."""

SPACES: Final = "spaces"
"""The topic of which groups there are. All other topics are the ids of groups."""

_REST_S: Final = 0.2
"""What happens within this is told of at once: a first sync stirs a hundred times a second."""


class News:
    """Counts of what happened, by topic, and whoever waits for the next."""

    def __init__(self) -> None:
        self.status: peerstack.Status | None = None
        """What the node said of itself last."""
        self.closed = False
        self._counts = Counter[str]()
        self._stirred = asyncio.Event()

    def count(self, topic: str) -> int:
        """How often something happened."""
        return self._counts[topic]

    def tell(self, topic: str) -> None:
        """Something has happened."""
        self._counts[topic] += 1
        self._stir()

    def close(self) -> None:
        """Nothing happens any more: let go of all who listen."""
        self.closed = True
        self._stir()

    async def listen(self, seen: Mapping[str, int]) -> AsyncIterator[tuple[str, int]]:
        """Each topic of `seen` whose count is another one, with its count, until closed."""
        told = dict(seen)
        while not self.closed:
            stirred = self._stirred
            for topic in told:
                if told[topic] != self._counts[topic]:
                    told[topic] = self._counts[topic]
                    yield topic, told[topic]
            await stirred.wait()
            await asyncio.sleep(_REST_S)

    async def watch(self, node: peerstack.Node) -> None:
        """Follow a node until it is closed."""
        known: set[tuple[str, str]] = set()
        async with asyncio.TaskGroup() as tasks:
            async for status in node.live_status():
                self.status = status
                self.tell(STATUS)
                now = {(str(standing.group), standing.name) for standing in status.groups}
                if now != known:
                    self.tell(SPACES)
                for group, _ in now - known:
                    tasks.create_task(self._follow(node, group))
                known = now
                await asyncio.sleep(_REST_S)

    async def _follow(self, node: peerstack.Node, group: str) -> None:
        with suppress(peerstack.NotFound):
            changes = (await node.group(group)).changes()
            # A page may have been made before this began to listen.
            self.tell(group)
            async for _ in changes:
                self.tell(group)

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = asyncio.Event()

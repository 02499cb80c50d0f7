"""Writes into a group and syncs until it is killed: `python -m tests.crashes.writer DB GROUP SEED`.

Each write that returned is acknowledged by a line `ID HASH` on standard output, flushed at once.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Final

import peerstack

_PAUSE_S: Final = 0.05
_EDITABLE: Final = 40
_BULK: Final = 20


class Writer:
    """An app that never rests: it adds, edits and deletes, with bulks among that."""

    def __init__(self, group: peerstack.Group, random: Random) -> None:
        self._group = group
        self._random = random
        self._own = deque[str](maxlen=_EDITABLE)

    async def write(self) -> Sequence[peerstack.Record]:
        """One write; what it made live. A deletion, which returns nothing, is looked up."""
        dice = self._random.random()
        if dice < 0.3 and self._own:
            changed = self._random.choice(self._own)
            return [await self._group.update(changed, {"edited": dice})]
        if dice < 0.35 and self._own:
            gone = self._own.popleft()
            await self._group.delete(gone)
            return []
        if dice < 0.4:
            made = await self._group.put_many("note", [self._value() for _ in range(_BULK)])
        else:
            made = [await self._group.put("note", self._value())]
        self._own.extend(record.id for record in made)
        return made

    def _value(self) -> dict[str, object]:
        return {"text": "made to be interrupted " * self._random.randrange(40)}


async def _run(path: str, group: str, seed: str) -> None:
    random = Random(seed)
    async with peerstack.open(path) as node:
        writer = Writer(await node.group(group), random)
        while True:
            for record in await writer.write():
                print(record.id, record.hash.hex(), flush=True)
            await asyncio.sleep(random.random() * _PAUSE_S)


if __name__ == "__main__":
    asyncio.run(_run(*sys.argv[1:4]))

"""A device as a program, for a network of its own: asked by lines of JSON, it answers by such.

`found` makes a group with a note in it, `join` joins it by its link. Each is a new profile, so
that several can be asked for at once; a device that founded is there until the input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import peerstack

POLL_S: Final = 0.1
JOIN_S: Final = 60.0
TITLE: Final = "Milk"
FAILED: Final = "the last connection to a device failed"


async def found(stack: AsyncExitStack, folder: Path, server: str) -> dict[str, Any]:
    """A group that can be joined."""
    node = await stack.enter_async_context(peerstack.open(folder / "ana.db", "Ana", server))
    group = await node.create_group("Family")
    await group.put("note", {"title": TITLE})
    return {"link": await group.invite(role="writer")}


async def join(folder: Path, link: str) -> dict[str, Any]:
    """Join, and come level; which way, or why the first attempt at a connection failed."""
    async with peerstack.open(folder / "ben.db", "Ben") as node:
        joining = asyncio.create_task(node.join(link, timeout=JOIN_S))
        while not joining.done():
            await asyncio.wait({joining}, timeout=POLL_S)
            for problem in node.status().problems:
                if problem.startswith(FAILED) and not joining.done():
                    joining.cancel()
                    return {"way": "none", "why": problem}
        group = await joining
        await node.wait_synced()
        (connection,) = node.status().connections
        notes = [note.value["title"] for note in await group.find("note")]
        return {"way": connection.path, "notes": notes}


async def serve() -> None:
    """Answer until the input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            while line := await reader.readline():
                tasks.create_task(_answer(stack, folder, json.loads(line)))


async def _answer(stack: AsyncExitStack, folder: str, asked: dict[str, Any]) -> None:
    own = Path(folder) / str(asked["number"])
    own.mkdir()
    if asked["do"] == "found":
        answer = await found(stack, own, asked["server"])
    else:
        answer = await join(own, asked["link"])
    print(json.dumps({"number": asked["number"], **answer}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve())

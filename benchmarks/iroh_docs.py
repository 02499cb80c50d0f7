"""The first sync of iroh-docs between two processes: run by `benchmarks.rivals` where iroh is.

Stands alone: in that environment there is nothing of peerstack.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

import iroh  # type: ignore[import-not-found]

_VALUE_BYTES = 300
_LOCAL = "127.0.0.1:0"


async def _node(folder: str) -> Any:
    iroh.iroh_ffi.uniffi_set_event_loop(asyncio.get_running_loop())
    options = iroh.NodeOptions(
        enable_docs=True, ipv4_addr=_LOCAL, node_discovery=iroh.NodeDiscoveryConfig.NONE
    )
    return await iroh.Iroh.persistent_with_options(folder, options)


async def serve(count: int) -> None:
    """Hold a document with `count` entries until standard input ends."""
    with TemporaryDirectory() as folder:
        node = await _node(folder)
        author = await node.authors().create()
        doc = await node.docs().create()
        for number in range(count):
            value = f"{number} ".ljust(_VALUE_BYTES, "x").encode()
            await doc.set_bytes(author, f"note-{number}".encode(), value)
        ticket = await doc.share(iroh.ShareMode.WRITE, iroh.AddrInfoOptions.ADDRESSES)
        print(json.dumps({"ticket": str(ticket)}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await node.node().shutdown()


class _Arrivals:
    """Counts what a document tells of, until all is there."""

    def __init__(self, count: int, kind: Any) -> None:
        self.all_here = asyncio.Event()
        self._missing = count
        self._kind = kind

    async def event(self, event: Any) -> None:
        self._missing -= event.type() == self._kind
        if self._missing == 0:
            self.all_here.set()


async def measure(count: int, *, content: bool) -> None:
    """Print the seconds from joining the document to its last entry, or its last content."""
    command = [sys.executable, __file__, "serve", str(count)]
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert server.stdin is not None
    assert server.stdout is not None
    ticket = iroh.DocTicket(json.loads(await server.stdout.readline())["ticket"])
    with TemporaryDirectory() as folder:
        node = await _node(folder)
        kind = iroh.LiveEventType.CONTENT_READY if content else iroh.LiveEventType.INSERT_REMOTE
        arrivals = _Arrivals(count, kind)
        start_s = time.perf_counter()
        await node.docs().join_and_subscribe(ticket, arrivals)
        await asyncio.wait_for(arrivals.all_here.wait(), 300)
        print(json.dumps({"seconds": time.perf_counter() - start_s}), flush=True)
        server.stdin.close()
        await server.wait()
        await node.node().shutdown()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        asyncio.run(measure(int(sys.argv[2]), content=sys.argv[3] == "content"))

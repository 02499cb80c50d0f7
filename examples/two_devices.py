"""Two devices, one group: a note written on either is on both a moment later."""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

import peerstack


async def two_devices(server: str, folder: Path) -> None:
    async with (
        peerstack.open(folder / "ana.db", name="Ana", server=server) as ana,
        peerstack.open(folder / "ben.db", name="Ben") as ben,
    ):
        family = await ana.create_group("Family")
        await family.put("note", {"title": "Milk", "done": False})

        link = await family.invite(role="writer")  # send this to Ben in any messenger
        shared = await ben.join(link)  # the link carries the server's address
        await ben.wait_synced()

        changes = family.changes()
        [note] = await shared.find("note", where={"done": False})
        await shared.update(note.id, {"done": True})
        change = await anext(changes)
        print(f"Ana sees that Ben wrote {change.record.value}")


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "peerstack_server", "--port", "0"], stdout=subprocess.PIPE
        ) as server,
    ):
        assert server.stdout is not None
        try:
            address = server.stdout.readline().split()[-1].decode()
            asyncio.run(two_devices(address, Path(folder)))
        finally:
            server.terminate()

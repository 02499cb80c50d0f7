"""What the demo makes, says, and removes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import click

import peerstack
from family_notes.demo.programs import DemoFailed, program
from family_notes.desk import Desk
from family_notes.transfer import files
from family_notes.transfer.form import Parcel
from family_notes.transfer.job import Job, bring_in

FAMILY: Final = "The Millers"
PEOPLE: Final = ("Ana", "Ben")
_NOTES: Final = Path(__file__).parent / "family.jsonl"
_TRY: Final = """
Put the two windows side by side, and try:

  - write a note in one, and see it come to the other;
  - tick two things of “Shopping” at once: no tick is lost;
  - edit the same note in both, and save both: you are asked, and nothing is lost;
  - turn to the people of “The Millers”, and let Ben read only.

Ctrl-C ends it, and removes everything."""


def main() -> int:
    """Run the demo until Ctrl-C or SIGTERM; what to exit with."""
    try:
        asyncio.run(_until_told_to_stop())
    except (DemoFailed, peerstack.PeerstackError) as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    return 0


async def _until_told_to_stop() -> None:
    told = asyncio.create_task(_tell())

    def stop() -> None:
        # Once: whoever presses Ctrl-C again must not cut the tidying short.
        if not told.cancelling():
            told.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await told
    except asyncio.CancelledError:
        click.echo("\nEverything is gone again.")


async def _tell() -> None:
    async with AsyncExitStack() as programs:
        folder = Path(programs.enter_context(tempfile.TemporaryDirectory(prefix="family-notes-")))
        click.echo("A signaling server starts, at which the devices meet.")
        server = await programs.enter_async_context(
            program(
                *("peerstack-server listening on ", folder / "server.log"),
                *("peerstack_server", "--port", "0"),
            )
        )
        click.echo(f"Ana founds “{FAMILY}”, imports notes, and lets Ben in.")
        await share(folder, server)
        flags = () if _has_browser() else ("--no-browser",)
        click.echo()
        for person in PEOPLE:
            words = ("family_notes", "--folder", str(folder / person), *flags)
            running = program("Family notes is at ", folder / f"{person}.log", *words)
            address = await programs.enter_async_context(running)
            click.echo(f"{person}'s notes: {address}")
        click.echo(_TRY)
        await asyncio.get_running_loop().create_future()


async def share(folder: Path, server: str) -> None:
    """Make a profile for each of the people, in a family whose notes all of them have."""
    host, *guests = PEOPLE
    async with AsyncExitStack() as desks:
        ana = await desks.enter_async_context(Desk(folder / host, [server]))
        await ana.begin(host)
        family = await ana.node.create_group(FAMILY)
        with _NOTES.open("rb") as file:
            found = [each for each in files.read(_NOTES.name, file) if isinstance(each, Parcel)]
        await bring_in(family, found, Job(FAMILY, len(found)))
        for name in guests:
            guest = await desks.enter_async_context(Desk(folder / name))
            await guest.begin(name)
            shared = await guest.node.join(await family.invite(uses=1))
            await shared.wait_synced()


def _has_browser() -> bool:
    """Whether there is a screen to open a window on: a browser of the terminal would take that."""
    shown = {"BROWSER", "DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    return bool(shown) or sys.platform != "linux"

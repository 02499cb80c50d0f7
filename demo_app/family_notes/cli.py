"""The command `family-notes`."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import click
from platformdirs import user_data_path

import peerstack
from family_notes.desk import Desk
from family_notes.serve import CannotListen, opened_in_browser, serve
from family_notes.web.walls import Door


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="FAMILY_NOTES_FOLDER",
    help="Where the notes are kept.  [env: FAMILY_NOTES_FOLDER; default: where the system keeps "
    "the data of apps]",
)
@click.option(
    "--server",
    multiple=True,
    envvar="PEERSTACK_SERVER",
    metavar="URL",
    help="A signaling server to meet others by; remembered.  [env: PEERSTACK_SERVER]",
)
@click.option("--name", metavar="NAME", help="What others see, at the first start; else it asks.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Port on 127.0.0.1.  [default: a free one]",
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
def main(
    folder: Path | None, server: tuple[str, ...], name: str | None, port: int, no_browser: bool
) -> None:
    """Notes and lists that a family shares, on this computer and straight between your devices.

    Opens in the browser. The address that it prints lets in whoever has it, on this computer, until
    Ctrl-C ends it.
    """
    place = folder or user_data_path("family-notes", appauthor=False)
    try:
        asyncio.run(_run(Desk(place, server), name, port, no_browser=no_browser))
    except (peerstack.PeerstackError, CannotListen) as error:
        raise click.ClickException(str(error)) from error


async def _run(desk: Desk, name: str | None, port: int, *, no_browser: bool) -> None:
    with ExitStack() as until_the_end:

        def ready(door: Door) -> None:
            click.echo(f"Family notes is at {door.address}")
            if not no_browser:
                until_the_end.enter_context(opened_in_browser(door))

        async with desk:
            if name is not None:
                await desk.begin(name)
            await serve(desk, port, ready)

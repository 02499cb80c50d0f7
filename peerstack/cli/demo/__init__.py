"""`peerstack demo`: two devices meet and come level, shown step by step.

Everything runs as separate programs, by the commands that people use; nothing of the library is
called here.
"""

from __future__ import annotations

from typing import Final

import click

from peerstack.cli.call import run

NOTES: Final = 2_500
NOTES_MIN: Final = 10


@click.command()
@click.option(
    "--notes",
    type=click.IntRange(min=NOTES_MIN),
    default=NOTES,
    show_default=True,
    help="How many notes to import: docstrings of Python's standard library.",
)
def demo(notes: int) -> None:
    """Watch two devices meet through a signaling server and come level, on this machine.

    Runs everything in a temporary folder, ends by itself and cleans up.
    """
    from peerstack.cli.demo.story import tell

    run(tell(notes))


COMMANDS = (demo,)

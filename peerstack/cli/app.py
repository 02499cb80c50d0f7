"""The root of the command, and how every way of ending becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from peerstack import __version__
from peerstack.cli import (
    backup_commands,
    demo,
    device_commands,
    doctor_command,
    link_commands,
    people_commands,
    profile_commands,
    record_commands,
    recovery_commands,
    role_commands,
    sharing_commands,
    sync_commands,
    transfer_commands,
)

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="peerstack", help="Show the version and exit.")
def cli() -> None:
    """Keep data on your own devices and share it in groups, peer to peer.

    Start with `peerstack put note title=Milk`: the first write makes your profile. `--json` makes
    every command print JSON, one object a line. Environment: PEERSTACK_PROFILE, PEERSTACK_SERVER
    and PEERSTACK_PASSPHRASE stand in for what is not given.
    """


for _module in (
    profile_commands,
    device_commands,
    link_commands,
    sharing_commands,
    people_commands,
    role_commands,
    record_commands,
    transfer_commands,
    sync_commands,
    doctor_command,
    recovery_commands,
    backup_commands,
    demo,
):
    for _command in _module.COMMANDS:
        cli.add_command(_command)


def run() -> NoReturn:
    """Run the command line. 0: done; 1: could not be done; 2: wrong usage; 130: interrupted."""
    try:
        sys.exit(cli.main(prog_name="peerstack", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing may be flushed to them at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)

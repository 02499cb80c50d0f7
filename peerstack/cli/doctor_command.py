"""`doctor`: what works of all that devices need to connect, and what does not."""

from __future__ import annotations

import json
from typing import Any, Final

import click

import peerstack
from peerstack.cli.call import Call, Command, run, server_option
from peerstack.cli.output import printable

_SIGNS: Final = {True: "✓", False: "✗", None: "-"}


@click.command(cls=Command)
@server_option
@click.pass_context
def doctor(context: click.Context, call: Call) -> None:
    """Find out why devices do or do not connect: servers, STUN, TURN, clock, other devices.

    Ends with 1 where nothing can work: no server lets this device in, or it is on no network.
    """
    found, in_use = run(_doctor(call))
    call.output.result(_text(found, in_use), _document(found, in_use))
    if not found.can_connect:
        context.exit(1)


async def _doctor(call: Call) -> tuple[peerstack.Diagnosis, str]:
    """What was found, and who has the network if that is another process."""
    try:
        async with call.open(network=True) as node:
            return await node.diagnose(), ""
    except peerstack.ProfileInUse as error:
        async with call.open() as node:
            return await node.diagnose(), str(error)


def _text(found: peerstack.Diagnosis, in_use: str) -> str:
    lines = [f"{_SIGNS[each.passed]} {each.what:<10}{each.said}" for each in found.checks]
    if in_use:
        lines.append(f"{_SIGNS[None]} {'device':<10}other devices are not met here: {in_use}")
    return "\n".join(map(printable, lines))


def _document(found: peerstack.Diagnosis, in_use: str) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = json.loads(msgspec.json.encode(found))
    return {"in_use": in_use, **document}


COMMANDS = (doctor,)

"""`init`, `whoami`, `check`, `wipe`: the profile itself."""

from __future__ import annotations

from typing import Any

import click

import peerstack
from peerstack.cli.call import Call, Command, new_passphrase, run, server_option
from peerstack.cli.output import printable


@click.command(cls=Command)
@click.option("--name", metavar="NAME", help="What others see of you.  [default: your login name]")
@click.option(
    "--seal", is_flag=True, help="Seal your keys under a passphrase: asked for, or from the env."
)
@server_option
def init(call: Call, name: str | None, seal: bool) -> None:
    """Make a profile: your identity, and a database for what you write."""
    if call.exists():
        raise peerstack.LocalError(f"there is a profile at {call.path} already")
    passphrase = new_passphrase() if seal else None

    async def make() -> None:
        async with call.open(create=True, name=name, passphrase=passphrase) as node:
            _show_user(call, node)

    run(make())
    call.output.next_step("`peerstack put note title=Milk`, or `peerstack group create Family`")


@click.command(cls=Command)
def whoami(call: Call) -> None:
    """Show your name, your ids and where your data lies."""

    async def ask() -> None:
        async with call.open() as node:
            _show_user(call, node)

    run(ask())
    call.output.next_step("`peerstack groups` shows what you share, `peerstack status` how it is")


@click.command(cls=Command)
def check(call: Call) -> None:
    """Look at all that is stored, and take what the disk has broken out of use."""

    async def ask() -> list[peerstack.BrokenVersion]:
        async with call.open() as node:
            return await node.check()

    broken = run(ask())
    for each in broken:
        document = {"id": each.id, "group": each.group, "type": each.type, "hash": each.hash}
        call.output.result(printable(f"broken  {each.type} {each.id}"), document)
    if broken:
        call.output.next_step("`peerstack sync` fetches from other devices what they have of that")
    else:
        call.output.note(f"{call.path} is as it was stored")


@click.command(cls=Command)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def wipe(call: Call, yes: bool) -> None:
    """Remove the profile from this machine: keys, records and all, even one that does not open."""
    if not yes:
        said = (
            f"This removes {call.path} with its keys and all records from this machine, and cannot "
            "be undone. What other devices and people have of it stays with them."
        )
        click.echo(printable(said), err=True)
        click.confirm("Wipe it?", abort=True, err=True)
    peerstack.wipe(call.path)
    call.output.note("a recovery kit that you wrote stays where you put it")
    call.output.result(printable(f"wiped {call.path}"), {"profile": str(call.path), "wiped": True})
    call.output.next_step("`peerstack init` makes a new profile")


def _show_user(call: Call, node: peerstack.Node) -> None:
    document: dict[str, Any] = {
        "name": node.user.name,
        "user": node.user.id,
        "device": node.user.device,
        "profile": str(call.path),
        "servers": list(node.server_urls),
    }
    shown = {**document, "servers": ", ".join(node.server_urls) or "none yet"}
    call.output.result("\n".join(f"{key:8} {text}" for key, text in shown.items()), document)


COMMANDS = (init, whoami, check, wipe)

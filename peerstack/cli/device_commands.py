"""`devices`: one's own devices."""

from __future__ import annotations

from datetime import UTC, datetime

import click

import peerstack
from peerstack.cli.call import Call, Command, Listing, chosen_device, run
from peerstack.cli.output import printable
from peerstack.cli.presence import device_document, meet, online_option, online_text


@click.group(cls=Listing)
def devices() -> None:
    """List and rename your own devices."""


@devices.command("list", cls=Command)
@online_option
def list_(call: Call, online: bool) -> None:
    """List your devices, those that you revoked too."""

    async def ask() -> list[peerstack.DeviceInfo]:
        async with call.open(network=online) as node:
            if online:
                await meet(node)
            return await node.devices()

    found = run(ask())
    heads = ("NAME", "SINCE", "STATE", "ONLINE", "DEVICE")
    call.output.table(heads, [(_row(each), device_document(each)) for each in found])
    call.output.next_step("`peerstack devices rename DEVICE NAME` gives one a name of your own")


def _row(device: peerstack.DeviceInfo) -> tuple[str, ...]:
    since = datetime.fromtimestamp(device.since_ms / 1000, UTC).astimezone()
    return (device.name, f"{since:%Y-%m-%d}", _state(device), online_text(device), device.id)


def _state(device: peerstack.DeviceInfo) -> str:
    if device.active:
        return "this one" if device.this else "active"
    return "revoked" if device.revoked_ms is not None else "no longer certified"


@devices.command(cls=Command)
@click.argument("device")
@click.argument("name")
def rename(call: Call, device: str, name: str) -> None:
    """Call DEVICE (an id or a name) NAME, on all your devices; other people do not see it."""

    async def give() -> str:
        async with call.open() as node:
            chosen = chosen_device(await node.devices(), device)
            await node.rename_device(chosen.id, name)
            return chosen.id

    renamed = run(give())
    call.output.result(f"{renamed}  {printable(name)}", {"id": renamed, "name": name})
    call.output.next_step("`peerstack sync` brings the name to your other devices")


COMMANDS = (devices,)

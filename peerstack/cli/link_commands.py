"""`link` and `revoke`: bringing a new device to one's user, and ending one."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import click

import peerstack
from peerstack.cli.answers import Answers
from peerstack.cli.call import (
    Call,
    Command,
    chosen_device,
    given_passphrase,
    new_passphrase,
    run,
    server_option,
)
from peerstack.cli.output import printable
from peerstack.cli.presence import device_document
from peerstack.cli.progress import LOOK_S, show_event, told_problems

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LINGER_S: Final = 0.5
"""How long to stay once level: the other device is to hear that."""

_LEVEL_S: Final = 30.0
"""How long to wait until both devices have the same records."""

_TURNED_AWAY: Final = (
    "another device came by this link and was turned away: unless it is yours, answer no"
)


@click.command(cls=Command)
@click.argument("link", required=False)
@click.option(
    "--limited",
    is_flag=True,
    help="Do not give the new device your root key: it cannot link or revoke devices.",
)
@click.option("--device-name", metavar="NAME", help="What this new device is called.")
@click.option(
    "--seal",
    is_flag=True,
    help="Seal the new device's keys under a passphrase: asked for, or from the env.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=15 * 60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the other device.",
)
@server_option
def link(
    call: Call,
    link: str | None,
    limited: bool,
    device_name: str | None,
    seal: bool,
    timeout: float,
) -> None:
    """Make another device of yours one of your user's.

    Without LINK, on a device that you have: shows a link, as text and as a QR code. On the new
    device, `peerstack link LINK`. Both show six digits; say on the first whether they are the same.
    """
    if link is None and (device_name or seal):
        raise click.UsageError("--device-name and --seal are for the new device: give its LINK too")
    if link is not None and limited:
        raise click.UsageError("--limited is for the device that makes the link")
    if link is None:
        run(_link_another(call, timeout, full=not limited))
        call.output.next_step("`peerstack devices` lists your devices")
    else:
        passphrase = new_passphrase() if seal else given_passphrase()
        run(_link_this(call, link, device_name, passphrase, timeout))
        call.output.next_step("`peerstack sync` brings your groups here")


# --- On the device that there is. -----------------------------------------------------------------


async def _link_another(call: Call, timeout_s: float, *, full: bool) -> None:
    async with call.open(network=True) as node, told_problems(call.output, node):
        if not node.server_urls:
            raise peerstack.LocalError(
                "no signaling server is known, so the new device could not find this one: give "
                "`--server URL` once (`peerstack-server` runs one)"
            )
        async with await node.link_device(full=full) as linking, _told_others(call, linking):
            _show_link(call, linking)
            device = await _compared(call, linking, timeout_s)
            try:
                await linking.completed(_LEVEL_S)
            except peerstack.LinkPending as error:
                call.output.note(f"note: {error}")
        with suppress(peerstack.NotSynced):
            await node.wait_synced(_LEVEL_S, group=node.personal.id)
        _show(
            call, "linked", printable(f"linked {device.name}  {device.id}"), device_document(device)
        )
        await asyncio.sleep(_LINGER_S)


def _show_link(call: Call, linking: peerstack.Linking) -> None:
    code = linking.qr()
    if call.output.json:
        show_event("link", {"link": linking.link, "svg": code.svg()})
        return
    if call.output.talks and code.width <= shutil.get_terminal_size().columns:
        click.echo(code.terminal())
    click.echo(linking.link)
    call.output.note(
        "on the new device: `peerstack link LINK`, or scan the code; the link ends in 15 minutes"
    )


async def _compared(
    call: Call, linking: peerstack.Linking, timeout_s: float
) -> peerstack.DeviceInfo:
    """Show digits and ask, until its owner has confirmed a device. Raises `LinkEnded`."""
    answers = Answers()
    while True:
        digits = await linking.digits(timeout_s)
        # What was typed before they were shown answers nothing.
        answers.drop()
        name = linking.device_name
        _show(call, "digits", digits, {"digits": digits, "device_name": name})
        same = await _asked(call, linking, answers, f"Does {name!r} show the same digits?")
        if same is False:
            await linking.refuse()
            raise peerstack.LinkEnded(
                "refused. If the digits differed, somebody was between the two devices: make "
                "another link, and keep it to yourself"
            )
        with suppress(peerstack.LinkPending):
            if same:
                return await linking.confirm()
        call.output.note("\nthe new device was cut off; it shows other digits when it is back")


async def _asked(
    call: Call, linking: peerstack.Linking, answers: Answers, question: str
) -> bool | None:
    """The answer on standard input, whose end is a no; None where the digits change meanwhile."""
    if not call.output.json:
        click.echo(printable(f"{question} [y/N]: "), err=True, nl=False)
    reading = asyncio.get_running_loop().create_task(answers.line())
    try:
        while not reading.done():
            await asyncio.wait({reading}, timeout=LOOK_S)
            if not (reading.done() or linking.is_current):
                return None
        return reading.result().strip().lower() in ("y", "yes")
    finally:
        reading.cancel()


@asynccontextmanager
async def _told_others(call: Call, linking: peerstack.Linking) -> AsyncIterator[None]:
    """Meanwhile, tell once where other devices came by the same link."""

    async def tell() -> None:
        while not linking.turned_away:
            await asyncio.sleep(LOOK_S)
        if call.output.json:
            show_event("problem", {"message": _TURNED_AWAY})
        else:
            call.output.note(f"\nnote: {_TURNED_AWAY}")

    telling = asyncio.get_running_loop().create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})


# --- On the new device. ---------------------------------------------------------------------------


async def _link_this(
    call: Call, link: str, device_name: str | None, passphrase: str | None, timeout_s: float
) -> None:
    def show_digits(digits: str) -> None:
        _show(call, "digits", digits, {"digits": digits})
        call.output.note("compare these digits with those on your other device, and say so there")

    def show_problem(problem: str) -> None:
        if call.output.json:
            show_event("problem", {"message": problem})
        else:
            call.output.note(f"note: {problem}")

    opening = peerstack.open_linked(
        call.path,
        link,
        show_digits,
        device_name,
        passphrase,
        timeout=timeout_s,
        on_problem=show_problem,
    )
    async with opening as node:
        with suppress(peerstack.NotSynced):
            await node.wait_synced(_LEVEL_S, group=node.personal.id)
        document = {
            "name": node.user.name,
            "user": node.user.id,
            "device": node.user.device,
            "full": node.user.root is not None,
            "profile": str(call.path),
        }
        text = f"this device is one of {node.user.name!r} now: {call.path}"
        _show(call, "linked", printable(text), document)
        await asyncio.sleep(_LINGER_S)


def _show(call: Call, event: str, text: str, document: dict[str, object]) -> None:
    if call.output.json:
        show_event(event, document)
    else:
        click.echo(text)


# --- Ending a device. -----------------------------------------------------------------------------


@click.command(cls=Command)
@click.argument("device")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Even where it is the device that you are on.")
def revoke(call: Call, device: str, yes: bool, force: bool) -> None:
    """End DEVICE (an id or a name), one of yours: what it signs from now on counts nowhere."""
    chosen = run(_chosen(call, device))
    if not yes:
        click.confirm(
            printable(f"Revoke {chosen.name!r} ({chosen.id})? There is no way back."),
            abort=True,
            err=True,
        )

    async def end() -> peerstack.DeviceInfo:
        async with call.open() as node:
            await node.revoke_device(chosen.id, force=force)
            return chosen_device(await node.devices(), chosen.id)

    ended = run(end())
    call.output.result(printable(f"revoked {ended.name}  {ended.id}"), device_document(ended))
    call.output.next_step("`peerstack sync` tells your other devices and your groups")


async def _chosen(call: Call, device: str) -> peerstack.DeviceInfo:
    async with call.open() as node:
        return chosen_device(await node.devices(), device)


COMMANDS = (link, revoke)

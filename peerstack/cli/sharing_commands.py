"""`groups`, `group create`, `invite`, `join`: whom one shares with."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

import peerstack
from peerstack.cli.call import (
    Call,
    Command,
    chosen_group,
    group_label,
    group_option,
    run,
    server_option,
)
from peerstack.cli.output import plural, printable
from peerstack.cli.progress import told_problems

if TYPE_CHECKING:
    from peerstack.groups.invites import InviteLink

_LOOK_S: Final = 0.2
_NO_SERVER: Final = "give `--server URL` once, so that your devices can meet others"


@click.command(cls=Command)
def groups(call: Call) -> None:
    """List your groups, with your role, the members and the number of records."""

    async def ask() -> None:
        async with call.open() as node:
            standings = {each.group: each for each in node.status().groups}
            for group in [node.personal, *await node.groups()]:
                role, types = standings[group.id].role, await group.types()
                _show_group(call, group, role, await group.members(), sum(types.values()))
            for former in await node.former_groups():
                how = "left" if await former.membership() == "left" else "were removed from"
                call.output.note(
                    f"you {how} {former.name!r}; `peerstack ls --group {shlex.quote(former.name)}` "
                    "shows what is here of it"
                )

    run(ask())
    call.output.next_step("`peerstack group create NAME`, `peerstack invite`, or `peerstack ls`")


def _show_group(
    call: Call, group: peerstack.Group, role: str, members: list[peerstack.Member], records: int
) -> None:
    names = ", ".join(f"{member.name} ({member.role})" for member in members)
    text = f"{group.id}  {group_label(group)}: {names}; {plural(records, 'record')}"
    document: dict[str, Any] = {
        "id": group.id,
        "name": group_label(group),
        "personal": not group.name,
        "role": role,
        "members": [
            {
                "user": each.user,
                "name": each.name,
                "role": each.role,
                "devices": [device.id for device in each.devices if device.active],
            }
            for each in members
        ],
        "records": records,
    }
    call.output.result(printable(text), document)


@click.group("group")
def group_commands() -> None:
    """Make groups."""


@group_commands.command(cls=Command)
@click.argument("name")
@server_option
def create(call: Call, name: str) -> None:
    """Found a group called NAME, with you as its admin."""

    async def make() -> str:
        async with call.open(create=True) as node:
            return (await node.create_group(name)).id

    made = run(make())
    call.output.result(f"{made}  {printable(name)}", {"id": made, "name": name})
    call.output.next_step("`peerstack invite` makes a link for somebody else")


@click.command(cls=Command)
@click.option(
    "--role",
    type=click.Choice(["reader", "writer", "admin"]),
    default="writer",
    show_default=True,
    help="What the newcomer may do.",
)
@click.option(
    "--days",
    type=click.IntRange(min=0),
    default=7,
    show_default=True,
    help="Days until the link ends; 0 for never.",
)
@click.option("--uses", type=click.IntRange(min=1), help="How many may join by it.  [default: any]")
@click.option("--qr", is_flag=True, help="Draw the link as a QR code too; with --json, as SVG.")
@group_option
@server_option
def invite(call: Call, role: Any, days: int, uses: int | None, qr: bool, group: str | None) -> None:
    """Print a link that lets whoever has it into a group."""

    async def make() -> tuple[str, peerstack.Group, bool]:
        async with call.open() as node:
            shared = await chosen_group(node, group)
            expires = timedelta(days=days) if days else None
            link = await shared.invite(role, expires=expires, uses=uses)
            return link, shared, bool(node.server_urls)

    link, shared, has_server = run(make())
    document = {"link": link, "group": shared.id, "name": group_label(shared), "role": role}
    if qr:
        document["svg"] = peerstack.qr(link).svg()
    call.output.result(link, document)
    if qr and not call.output.json:
        _draw(call, link)
    if not has_server:
        call.output.note(f"the link names no signaling server: {_NO_SERVER}")
    call.output.next_step("send the link; `peerstack sync --stay` lets them in when they join")


def _draw(call: Call, link: str) -> None:
    code = peerstack.qr(link)
    # Without a terminal, the colors are left out.
    click.echo(code.terminal())
    columns = shutil.get_terminal_size().columns
    if code.width > columns:
        call.output.note(f"the code is {code.width} columns wide; this terminal has {columns}")


@click.command(cls=Command)
@click.argument("link")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a member to let you in.",
)
@server_option
def join(call: Call, link: str, yes: bool, timeout: float) -> None:
    """Join the group that LINK leads to, after showing who invites to what."""
    from peerstack.groups.invites import decode_untrusted_link

    invitation = decode_untrusted_link(link)
    if not yes:
        _ask(invitation)
    run(_enter(call, link, timeout))
    name, role = invitation.group_name, invitation.role
    document = {"group": invitation.group, "name": name, "role": role}
    call.output.result(printable(f"joined {name!r} as {role}"), document)
    call.output.next_step("`peerstack sync` brings the group's records here")


def _ask(invitation: InviteLink) -> None:
    places = ", ".join(invitation.servers) or "no signaling server"
    said = (
        f"{invitation.inviter_name!r} invites you to {invitation.group_name!r} as "
        f"{invitation.role}, to meet by {places}."
    )
    click.echo(printable(said), err=True)
    click.confirm("Join?", abort=True, err=True)


async def _enter(call: Call, link: str, timeout_s: float) -> None:
    try:
        async with call.open(create=True, network=True) as node, told_problems(call.output, node):
            await node.join(link, timeout=timeout_s)
    except peerstack.ProfileInUse as error:
        await _enter_beside(call, link, timeout_s, error)


async def _enter_beside(
    call: Call, link: str, timeout_s: float, in_use: peerstack.ProfileInUse
) -> None:
    """Store the join, for the process that has the network to complete, and wait for that."""
    async with call.open() as node:
        group = node.preview(link).group
        with suppress(peerstack.JoinPending):
            await node.join(link)
        try:
            async with asyncio.timeout(timeout_s):
                while group not in {each.id for each in await node.groups()}:
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise peerstack.JoinPending(
                f"the join is kept, and completes when a member is online: {in_use}"
            ) from None


COMMANDS = (groups, group_commands, invite, join)

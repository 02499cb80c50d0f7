"""`sync` and `status`: this device among the others."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import click

import peerstack
from peerstack.cli.call import Call, Command, run, server_option
from peerstack.cli.output import plural, printable, size_text
from peerstack.cli.progress import (
    LOOK_S,
    group_progress,
    show_event,
    shown_progress,
    told_problems,
    traffic,
)

if TYPE_CHECKING:
    from peerstack.cli.progress import Show

_LINGER_S: Final = 0.5
"""How long to stay once level: the others are to hear that, and to know that they are too."""

_WAYS: Final = {"direct": "directly", "relayed": "by TURN", "": "connected"}

_SETTLE_S: Final = 5.0
"""How long `status` waits for word from the signaling servers."""


@click.command(cls=Command)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to try, without --stay.",
)
@click.option("--stay", is_flag=True, help="Stay online and keep level, until interrupted.")
@server_option
def sync(call: Call, timeout: float, stay: bool) -> None:
    """Meet your groups' other devices and bring all records level, with a bar for each group."""
    run(_sync(call, None if stay else timeout, stay=stay))
    call.output.next_step("`peerstack ls` shows the records, `peerstack sync --stay` stays online")


async def _sync(call: Call, timeout_s: float | None, *, stay: bool) -> None:
    async with call.open(network=True) as node:
        if not node.server_urls:
            raise peerstack.LocalError(
                "no signaling server is known: give `--server URL` once (`peerstack-server` runs "
                "one), or join by a link that names one"
            )
        if call.output.json:
            show_event("online", {"servers": list(node.server_urls)})
        async with told_problems(call.output, node):
            with shown_progress(call.output) as show:
                await _show_until_level(node, timeout_s, show)
            _show_level(call, node.status())
            if stay:
                with shown_progress(call.output) as show:
                    await _show_for_ever(node, show)
            await asyncio.sleep(_LINGER_S)


async def _show_until_level(node: peerstack.Node, timeout_s: float | None, show: Show) -> None:
    showing = asyncio.get_running_loop().create_task(_show_for_ever(node, show))
    try:
        await node.wait_synced(timeout_s)
        show(node.status())
    finally:
        showing.cancel()
        # To await it would take a Ctrl-C of just then for its own end.
        await asyncio.wait({showing})


async def _show_for_ever(node: peerstack.Node, show: Show) -> None:
    async for now in node.live_status():
        show(now)
        await asyncio.sleep(LOOK_S)  # More often, nobody could read it.


def _show_level(call: Call, status: peerstack.Status) -> None:
    crossed = traffic(status)
    if call.output.json:
        level = [each.id for each in group_progress(status) if each.state == "level"]
        show_event("level", {"groups": level, "traffic": crossed})
    else:
        received, sent = crossed["received_bytes"], crossed["sent_bytes"]
        devices = plural(len(status.connections), "device")
        text = f"level with {devices}: {size_text(received)} received, {size_text(sent)} sent"
        click.echo(text)


@click.command(cls=Command)
@server_option
def status(call: Call) -> None:
    """Show how this device stands: servers, groups, connections, and what to do about problems."""
    found, in_use = run(_status(call))
    call.output.result(_status_text(call, found, in_use), _status_document(call, found, in_use))
    call.output.next_step("`peerstack sync` brings your groups level")


async def _status(call: Call) -> tuple[peerstack.Status, str]:
    """The status, and who has the network if that is another process."""
    try:
        async with call.open(network=True) as node:
            return await _settled(node), ""
    except peerstack.ProfileInUse as error:
        async with call.open() as node:
            return node.status(), str(error)


async def _settled(node: peerstack.Node) -> peerstack.Status:
    """The status once each server has answered or cannot be reached."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + _SETTLE_S
    while True:
        found = node.status()
        waiting = [each for each in found.servers if each.state == "connecting"]
        if not waiting or loop.time() > end_s:
            return found
        await asyncio.sleep(LOOK_S)


def _status_document(call: Call, found: peerstack.Status, in_use: str) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = json.loads(msgspec.json.encode(found))
    return {"profile": str(call.path), "in_use": in_use, **document}


def _status_text(call: Call, found: peerstack.Status, in_use: str) -> str:
    lines = [
        f"profile  {call.path}",
        f"user     {found.name} {found.user}, device {found.device}",
        *([f"network  {in_use}"] if in_use else []),
        *(f"server   {each.url}: {each.state}" for each in found.servers),
        *(
            f"device   {each.device} of user {each.user}, {_WAYS[each.path]}"
            for each in found.connections
        ),
        *(f"group    {_standing_text(each)}" for each in found.groups),
        *(f"joining  {each}: waits for a member" for each in found.waiting_joins),
        *(f"refused  {reason}: {count}" for reason, count in found.refusals.items()),
        *(f"problem  {each}" for each in found.problems),
        *(f"advice   {each}" for each in found.advice),
    ]
    return "\n".join(map(printable, lines))


def _standing_text(group: Any) -> str:
    more = "".join(
        f", {count} {word}"
        for word, count in (
            ("held", group.held),
            ("quarantined", group.quarantined),
            ("refused", sum(group.refused.values())),
        )
        if count
    )
    members = plural(group.members, "member")
    return f"{group.name}: {group.role}, {members}, {plural(group.records, 'record')}{more}"


COMMANDS = (sync, status)

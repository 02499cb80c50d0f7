"""Devices as commands show them, and who of them is online."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

import peerstack
from peerstack.cli.progress import LOOK_S

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_MEET_S: Final = 5.0
"""How long others have to show that they are online."""


def online_option(command: Decorated) -> Decorated:
    """`--online`, for commands that list devices."""
    return click.option(
        "--online", is_flag=True, help="Meet the others first, to see who of them is online."
    )(command)


async def meet(node: peerstack.Node) -> None:
    """Give the devices of one's groups time to show that they are online."""
    if not node.server_urls:
        raise peerstack.LocalError(
            "no signaling server is known, so nobody can be met: give `peerstack sync --server "
            "URL` once"
        )
    groups = [node.personal, *await node.groups()]
    loop = asyncio.get_running_loop()
    end_s = loop.time() + _MEET_S
    while loop.time() < end_s:
        members = [member for group in groups for member in await group.members()]
        devices = [device for member in members for device in member.devices if device.active]
        if all(device.online for device in devices):
            return
        await asyncio.sleep(LOOK_S)


def names_text(devices: Iterable[peerstack.DeviceInfo]) -> str:
    """The names of devices on one line."""
    return ", ".join(device.name for device in devices) or "-"


def online_text(device: peerstack.DeviceInfo) -> str:
    """Whether a device is online, in a word."""
    return {True: "yes", False: "no", None: "?"}[device.online]


def device_document(device: peerstack.DeviceInfo) -> dict[str, Any]:
    """A device as all commands print it with `--json`."""
    return {
        "id": device.id,
        "name": device.name,
        "since_ms": device.since_ms,
        "revoked_ms": device.revoked_ms,
        "active": device.active,
        "this": device.this,
        "online": device.online,
    }

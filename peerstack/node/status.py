"""What `node.status()` says: connections, groups, refusals, and what to do about problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

from peerstack import limits
from peerstack.engine.status import Connection, GroupStanding
from peerstack.ids import DeviceId, GroupId, UserId

_CLOCK_OFF_MS: Final = 60_000


class ServerStatus(msgspec.Struct, frozen=True):
    """One signaling server, as this device has it."""

    url: str
    state: str
    reason: str
    """Why it is not online, and what to do; empty if it is."""


class Status(msgspec.Struct, frozen=True):
    """How this device stands, at one moment."""

    user: UserId
    name: str
    device: DeviceId
    network: bool
    servers: Sequence[ServerStatus]
    connections: Sequence[Connection]
    groups: Sequence[GroupStanding]
    waiting_joins: Sequence[GroupId]
    refusals: Mapping[str, int]
    """What peers and servers sent since the start that was refused, by reason."""
    problems: Sequence[str]
    """What is wrong, and what to do, a sentence each."""


def problems(
    servers: Sequence[ServerStatus],
    connections: Sequence[Connection],
    groups: Sequence[GroupStanding],
    failures: Sequence[str],
    *,
    only_loopback: bool,
) -> list[str]:
    """Everything that somebody should know, the most useful first."""
    alone = not connections
    return [
        *_clock(connections),
        *(_offline(servers) if alone else ()),
        *(_only_loopback() if servers and only_loopback else ()),
        *(_failed(failures) if alone else ()),
        *_held(groups),
    ]


def _clock(connections: Sequence[Connection]) -> Iterable[str]:
    """Our clock against the median of the others'."""
    if not connections:
        return
    ahead_ms = -median(connection.clock_ahead_ms for connection in connections)
    if ahead_ms > limits.FUTURE_MS:
        yield (
            f"this device's clock is about {ahead_ms / 60_000:.0f} minutes ahead: others hold your "
            "edits until that time comes; set the clock right"
        )
    elif abs(ahead_ms) > _CLOCK_OFF_MS:
        word = "ahead" if ahead_ms > 0 else "behind"
        yield (
            f"this device's clock is about {abs(ahead_ms) / 60_000:.0f} minutes {word} of the "
            "others'; set it right"
        )


def _offline(servers: Sequence[ServerStatus]) -> Iterable[str]:
    for server in servers:
        if server.state == "offline":
            yield f"no signaling server: {server.reason}"


def _only_loopback() -> Iterable[str]:
    """Said to the connected too: they are to others on this machine, and to nobody else."""
    yield (
        "this machine has no network interface but loopback, so devices on it meet each other at "
        "127.0.0.1 and no others; connect to a network to meet others"
    )


def _failed(failures: Sequence[str]) -> Iterable[str]:
    if failures:
        yield f"the last connection to a device failed: {failures[-1]}"


def _held(groups: Sequence[GroupStanding]) -> Iterable[str]:
    for group in groups:
        if group.held:
            yield (
                f"{group.held} records of group {group.name} are held: they are dated ahead of "
                "this device's clock, or wait for a statement that has not come yet"
            )

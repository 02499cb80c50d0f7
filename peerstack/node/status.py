"""What `node.status()` says: connections, groups, refusals, and what to do about problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

from peerstack import limits
from peerstack.engine.recovering import Keeping
from peerstack.engine.status import Connection, FormerGroup, GroupStanding
from peerstack.identity import FORKED, Device
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.store import BrokenVersion

_CLOCK_OFF_MS: Final = 60_000
_NAMED: Final = 3


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
    former_groups: Sequence[FormerGroup]
    """Groups that one was removed from, or left; what was here of them still is."""
    waiting_joins: Sequence[GroupId]
    refusals: Mapping[str, int]
    """What peers and servers sent since the start that was refused, by reason."""
    problems: Sequence[str]
    """What is wrong, and what to do, a sentence each."""
    advice: Sequence[str] = ()
    """What is worth doing though nothing is wrong yet, a sentence each."""


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


def advice(keeping: Keeping) -> list[str]:
    """What somebody should do about their keys before anything is wrong."""
    return [*_phrase(keeping), *_kit(keeping), *_devices(keeping)]


def _phrase(keeping: Keeping) -> Iterable[str]:
    if keeping.replaced:
        yield (
            "you have recovered on another device: this one goes on to work, but only that one can "
            "link and revoke devices, and has your recovery phrase"
        )
    elif keeping.unconfirmed:
        yield (
            "your recovery phrase lies on this device: whoever copies it could take your place, "
            "and if it is lost, you are locked out; write the phrase down and confirm it "
            "(`peerstack recovery`)"
        )


def _kit(keeping: Keeping) -> Iterable[str]:
    if keeping.needs_kit:
        yield (
            "you have no recovery kit, and the phrase alone leads nowhere: write one, and keep it "
            "somewhere else than on this device (`peerstack recovery --kit FILE`)"
        )
    if keeping.kit_lacks:
        yield (
            f"your recovery kit does not know {_named(keeping.kit_lacks)} yet; write it again "
            "(`peerstack recovery --kit FILE`)"
        )


def _devices(keeping: Keeping) -> Iterable[str]:
    if keeping.unkept:
        yield (
            f"your recovery did not keep {_named(map(_device, keeping.unkept))}: nothing that they "
            "sign counts; if they are yours, `peerstack recovery --keep DEVICE` takes them back"
        )
    if keeping.restored:
        yield (
            f"{_named(map(_device, keeping.restored))} were revoked before your recovery by a key "
            "that counts no more; if that was you, revoke them again"
        )


def _device(device: Device) -> str:
    return f"{device.name!r} ({device.id})"


def _named(names: Iterable[str]) -> str:
    """Some names, and how many more there are."""
    shown = list(names)
    more = len(shown) - _NAMED
    return ", ".join(shown[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def broken_identities(keeping: Keeping, forked: Mapping[UserId, str]) -> Iterable[str]:
    """Users of whom nothing new counts, oneself or others; and where this device does not."""
    for user, name in forked.items():
        if user == keeping.user:
            yield FORKED
        else:
            yield (
                f"{name!r} ({user}) was recovered twice with one phrase: nothing that followed "
                "counts, and they need a new profile; ask them in person which one to invite"
            )
    if keeping.uncounted and keeping.user not in forked:
        yield (
            "your recovery on another device did not keep this one, so nothing that it signs "
            f"counts; keep it from there: `peerstack recovery --keep {keeping.device}`"
        )


def broken_versions(broken: Sequence[BrokenVersion]) -> Iterable[str]:
    """What the disk did not keep, and nobody has brought back so far."""
    if broken:
        named = _named(f"{each.type} {each.id}" for each in broken)
        yield (
            f"the disk did not keep {named} as stored: each comes back once this device syncs with "
            "one that has it; if none has, put a backup of the database in its place, and look "
            "after the disk"
        )


def key_changes(names: Sequence[str]) -> list[str]:
    """That the keys of these people are not those that were compared."""
    return [
        f"the keys of {name} are not those that you compared: they may have recovered their "
        "identity, or somebody else has taken it; compare fingerprints again (`verify`)"
        for name in names
    ]


def endings(former: Sequence[FormerGroup], *, revoked: bool) -> Iterable[str]:
    """That this device, or its user, is cut off from something."""
    if revoked:
        yield (
            "this device was revoked: nobody accepts what it writes, and nothing new reaches it; "
            "`peerstack wipe` removes what is here, and it can be linked anew"
        )
    for group in former:
        if group.membership == "removed":
            yield (
                f"you were removed from {group.name!r}: what you had of it stays on "
                "this device, and nothing new reaches it; an admin can let you back in"
            )


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

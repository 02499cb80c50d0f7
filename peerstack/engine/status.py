"""How a device stands: its connections now, and its groups. Values for apps to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from peerstack.engine.joining import pending_joins
from peerstack.engine.people import changed_keys
from peerstack.engine.recovering import Keeping, forked_users, keeping
from peerstack.engine.turn import Turn
from peerstack.engine.writing import label_of
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.session.channel import State
from peerstack.session.peer import Peer
from peerstack.signaling.rendezvous import Link
from peerstack.store import BrokenVersion


class Sharing(msgspec.Struct, frozen=True):
    """How far one group is with one connected device. Counts are records, on this connection."""

    group: GroupId
    state: State
    received: int
    wanted: int
    sent: int
    owed: int


class Connection(msgspec.Struct, frozen=True):
    """One device at the other end of a connection."""

    user: UserId
    device: DeviceId
    clock_ahead_ms: int
    sent_bytes: int
    received_bytes: int
    sent_messages: int
    received_messages: int
    groups: Sequence[Sharing]
    link: Link
    """Which connection this is: numbers are not used again while a node is open."""
    path: str = ""
    """`direct`, or `relayed` by a TURN server; empty where that is not known."""


class Queues(NamedTuple):
    """What a device has under way with its peers. All of it is bounded, and nothing at rest."""

    checks: int
    """The most batches of one device whose signatures are being checked, though it be gone."""
    batches: int
    """The most batches sent to one peer that it has not acknowledged."""
    wants: int
    """The most questions of one peer that are still to be answered."""
    timers: int
    """What is to be said soon, and what others are waited for."""


class GroupStanding(msgspec.Struct, frozen=True):
    """What this device has of one group."""

    group: GroupId
    name: str
    role: str
    members: int
    records: int
    """The app's, deletions included."""
    held: int
    history: int
    refused: Mapping[str, int]
    quarantined: int


class FormerGroup(msgspec.Struct, frozen=True):
    """A group that this user is not in any more. What was here of it still is."""

    group: GroupId
    name: str
    membership: str
    """ "removed" or "left"."""
    since_ms: int
    """When that was (Unix milliseconds)."""


def former_groups(turn: Turn) -> list[FormerGroup]:
    """The groups on this device that this user was removed from, or left."""
    found = []
    for group in turn.groups():
        state = turn.state(group)
        ended_ms = state.ended_ms(turn.me.user.id)
        if ended_ms is not None:
            how = state.membership(turn.me.user.id).value
            found.append(FormerGroup(group, label_of(turn, group), how, ended_ms))
    return found


def connections(peers: Mapping[Link, Peer]) -> tuple[Connection, ...]:
    """The connections whose other side is proven."""
    return tuple(
        Connection(
            peer.authenticated.user,
            peer.authenticated.device,
            peer.authenticated.clock_ahead_ms,
            peer.sent_bytes,
            peer.received_bytes,
            peer.sent_messages,
            peer.received_messages,
            tuple(Sharing(*each) for each in peer.progress()),
            link,
        )
        for link, peer in peers.items()
        if peer.authenticated is not None
    )


def standing(turn: Turn, group: GroupId) -> GroupStanding:
    """What this device has of one group."""
    state = turn.state(group)
    counts = turn.tx.counts(group)
    role = state.role(turn.me.user.id)
    return GroupStanding(
        group,
        "personal" if state.is_personal else label_of(turn, group),
        role.label if role else "none",
        len(state.members()),
        counts.live - turn.tx.count_reserved(group),
        counts.held,
        counts.history,
        counts.refused,
        counts.quarantined,
    )


class Standings(NamedTuple):
    """How this device stands, as far as its database says."""

    groups: Sequence[GroupStanding]
    waiting_joins: Sequence[GroupId]
    keeping: Keeping
    forked: Mapping[UserId, str]
    """The names of users of whom two recoveries with one phrase are known."""
    changed_keys: Sequence[tuple[UserId, str]]
    """Users, and what they call themselves, whose keys are not those that were compared."""
    former: Sequence[FormerGroup]
    revoked: bool
    """Whether this device is known to be revoked."""
    broken: Sequence[BrokenVersion]
    """What the disk did not keep as it was stored, and what has not come back yet."""


def standings(turn: Turn) -> Standings:
    """How this device stands. Groups are those that the user has a role in."""
    groups = [standing(turn, group) for group in turn.groups()]
    mine = [each for each in groups if each.role != "none"]
    return Standings(
        mine,
        waiting_joins(turn),
        keeping(turn),
        forked_users(turn),
        changed_keys(turn),
        former_groups(turn),
        turn.is_revoked,
        turn.tx.broken_versions(),
    )


def waiting_joins(turn: Turn) -> tuple[GroupId, ...]:
    """Groups that this device has asked to be let into."""
    user = turn.me.user.id
    return tuple(group for group in pending_joins(turn) if turn.state(group).role(user) is None)

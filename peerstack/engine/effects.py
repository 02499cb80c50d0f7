"""What a device wants done. Values only; released after the commit of the turn that made them."""

from __future__ import annotations

from dataclasses import dataclass, field

from peerstack.engine.events import Ticket
from peerstack.ids import GroupId
from peerstack.keys import Check, Secret
from peerstack.record import Signed
from peerstack.signaling.rendezvous import Effect as MeetingEffect
from peerstack.signaling.rendezvous import Link


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on a pipe."""

    link: Link
    data: bytes


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close a pipe."""

    link: Link
    reason: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Make these checks, anywhere and in any order, and answer with `Verified`."""

    ticket: Ticket
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """There are new entries in the log of changes."""


@dataclass(frozen=True, slots=True)
class GroupsChanged:
    """Groups, members or invites changed."""


@dataclass(frozen=True, slots=True)
class JoinRefused:
    """A member of the group did not let this device in."""

    group: GroupId
    reason: str


@dataclass(frozen=True, slots=True)
class KeepKeys:
    """This device was linked: keep what it was given on disk, then call `enrolling.kept`."""

    root: Secret | None = field(repr=False)
    """The seed of the root key, where this device is to have that."""
    kit_key: Secret | None = field(repr=False)
    name: str
    """What others see of the user."""
    statements: tuple[Signed, ...] = field(repr=False)
    """Those that say who the user is, with this device's certificate."""


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Connections or their progress changed."""


Effect = (
    Send
    | Hangup
    | Verify
    | Changed
    | GroupsChanged
    | JoinRefused
    | KeepKeys
    | StatusChanged
    | MeetingEffect
)

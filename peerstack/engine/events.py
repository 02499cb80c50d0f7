"""What can happen to a device. Values only; each is handed to the engine with its `Instant`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from peerstack.signaling.rendezvous import Link

Ticket = NewType("Ticket", int)
"""One batch of checks, on its way to be made and back."""


# --- From connections to other devices. ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A pipe opened. `binding` is its 32 bytes that no other pipe has."""

    link: Link
    dialled: bool
    binding: bytes


@dataclass(frozen=True, slots=True)
class PeerSent:
    """A message arrived on a pipe."""

    link: Link
    data: bytes


@dataclass(frozen=True, slots=True)
class PeerGone:
    """A pipe closed, or could not be opened."""

    link: Link
    reason: str


@dataclass(frozen=True, slots=True)
class Offered:
    """The SDP offer that a `MakeOffer` asked for."""

    link: Link
    sdp: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The SDP answer that a `MakeAnswer` asked for."""

    link: Link
    sdp: str


# --- From signaling servers, each known by its URL. ---------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerWelcomed:
    """A connection to a server began; the device has an address there."""

    server: str
    address: str
    day: int
    topics_max: int


@dataclass(frozen=True, slots=True)
class ServerDayChanged:
    """A server says that another day (since 1970-01-01 UTC) began."""

    server: str
    day: int


@dataclass(frozen=True, slots=True)
class ServerUnheard:
    """A server says that not all may have heard what this device announced there."""

    server: str
    spread_ms: int


@dataclass(frozen=True, slots=True)
class ServerLost:
    """The connection to a server ended."""

    server: str


@dataclass(frozen=True, slots=True)
class BoxAnnounced:
    """Somebody announced a box in a topic."""

    server: str
    topic: bytes
    box: bytes
    sender: str


@dataclass(frozen=True, slots=True)
class BoxSignalled:
    """Somebody sent a box to this device's address."""

    server: str
    box: bytes
    sender: str


@dataclass(frozen=True, slots=True)
class AddressGone:
    """Nobody has the address any more that a `SignalTo` named."""

    server: str
    address: str


# --- From this device. --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verified:
    """The checks of a `Verify` effect were made; one answer for each, in order."""

    ticket: Ticket
    holds: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Woke:
    """The time of `Engine.next_wake_ms` has come."""


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """Another process has written to this profile."""


MeetingEvent = (
    ServerWelcomed
    | ServerDayChanged
    | ServerUnheard
    | ServerLost
    | BoxAnnounced
    | BoxSignalled
    | AddressGone
    | Offered
    | Answered
)
Event = PeerConnected | PeerSent | PeerGone | Verified | Woke | StoreChanged | MeetingEvent

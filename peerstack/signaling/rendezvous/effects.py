"""What a rendezvous asks its shell to do. Values only; they hold no secrets.

`server` is the URL under which the shell knows a signaling server. What goes to one server is to be
sent in the order in which it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from peerstack.signaling.rendezvous.boxes import Peer

Link = NewType("Link", int)
"""One attempt to connect to a peer, and the connection that comes of it."""


@dataclass(frozen=True, slots=True)
class JoinTopics:
    """Enter topics on a server."""

    server: str
    topics: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LeaveTopics:
    """Leave topics on a server."""

    server: str
    topics: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Announce:
    """Have a server relay a box to everyone else in a topic."""

    server: str
    topic: bytes
    box: bytes


@dataclass(frozen=True, slots=True)
class SignalTo:
    """Have a server relay a box to one address; if nobody has it, say so by `Rendezvous.gone`."""

    server: str
    address: str
    box: bytes


@dataclass(frozen=True, slots=True)
class MakeOffer:
    """Make an SDP offer for a link; answered by `Rendezvous.offered`.

    Whoever answers is to prove in the session's handshake that they are `peer`.
    """

    link: Link
    peer: Peer


@dataclass(frozen=True, slots=True)
class MakeAnswer:
    """Answer a peer's SDP offer for a link and start to connect; see `Rendezvous.answered`."""

    link: Link
    peer: Peer
    untrusted_offer: str


@dataclass(frozen=True, slots=True)
class AcceptAnswer:
    """Take the peer's SDP answer and start to connect."""

    link: Link
    untrusted_answer: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """End a link, whatever its state. Nothing needs to be said about it any more."""

    link: Link


Effect = (
    JoinTopics | LeaveTopics | Announce | SignalTo | MakeOffer | MakeAnswer | AcceptAnswer | Abandon
)

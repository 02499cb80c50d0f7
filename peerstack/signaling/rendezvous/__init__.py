"""How a device finds and calls those who share a secret with it, by servers that nobody trusts.

Pure: no sockets, no clock, no randomness of its own. Secrets and the places that they belong to are
opaque here; what groups, records and sessions are, it must not know.
"""

from peerstack.signaling.rendezvous.beacon import Me, Place
from peerstack.signaling.rendezvous.boxes import Peer
from peerstack.signaling.rendezvous.effects import (
    Abandon,
    AcceptAnswer,
    Announce,
    Effect,
    JoinTopics,
    LeaveTopics,
    Link,
    MakeAnswer,
    MakeOffer,
    SignalTo,
)
from peerstack.signaling.rendezvous.machine import Rendezvous

__all__ = [
    "Abandon",
    "AcceptAnswer",
    "Announce",
    "Effect",
    "JoinTopics",
    "LeaveTopics",
    "Link",
    "MakeAnswer",
    "MakeOffer",
    "Me",
    "Peer",
    "Place",
    "Rendezvous",
    "SignalTo",
]

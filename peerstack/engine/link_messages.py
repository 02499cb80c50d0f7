"""What the engine hands to both sides of linking: messages, lost connections, time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from peerstack.engine import enrolling, linking
from peerstack.engine.link_state import LinkState
from peerstack.engine.turn import Turn
from peerstack.session import wire
from peerstack.session.peer import Peer
from peerstack.session.replica import SharedSecret
from peerstack.signaling.rendezvous import Link


def received_untrusted(turn: Turn, connection: Link, peer: Peer) -> None:
    """Take what a peer has said about linking. Raises `RemoteError`: then hang up."""
    for message in peer.take_link_messages():
        match message:
            case wire.LinkCommit():
                # Of two new devices with one link, neither can link the other.
                if turn.me.links.pending is None or enrolling.is_certified(turn):
                    linking.commit_untrusted(turn, connection, peer, message)
            case wire.LinkNonce():
                enrolling.nonce_untrusted(turn, connection, message)
            case wire.LinkReveal():
                linking.reveal_untrusted(turn, connection, message)
            case wire.LinkEnded():
                enrolling.ended_untrusted(turn, connection, message)
            case wire.Enrolled():
                linking.enrolled_untrusted(turn, connection, peer, message)
            case wire.Handover():
                enrolling.handover_untrusted(turn, connection, message)


def gone(state: LinkState, connection: Link) -> None:
    """A connection is no more."""
    linking.gone(state, connection)
    if state.pending is not None:
        enrolling.gone(state.pending, connection)


def follow(turn: Turn, peers: Mapping[Link, Peer]) -> None:
    """All that a turn brings about for linking, before it is committed."""
    linking.follow(turn)
    state = turn.me.links
    if state.moved:
        state.moved = False
        turn.meet_anew()
    enrolling.follow(turn, peers)
    outbox, state.outbox = state.outbox, []
    for connection, message in outbox:
        if connection in peers:
            peers[connection].say(message)


def meeting_secrets(turn: Turn) -> Iterator[SharedSecret]:
    """By what devices that are being linked recognise each other."""
    yield from linking.meeting_secrets(turn)
    yield from enrolling.meeting_secrets(turn)

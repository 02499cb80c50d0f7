"""With which peers there is nothing more to say, and why."""

from __future__ import annotations

from peerstack.engine import joining
from peerstack.engine.turn import Turn
from peerstack.errors import Reason, RemoteError
from peerstack.session.peer import Peer
from peerstack.session.replica import Standing


def has_parted(turn: Turn, peer: Peer) -> bool:
    """Whether there is no group in which this device and a peer have anything to say."""
    return bool(peer.channels) and all(
        channel.standing is Standing.PARTED or joining.is_over(turn, group)
        for group, channel in peer.channels.items()
    )


def why_over(turn: Turn, peer: Peer) -> RemoteError | None:
    """Why an idle peer is to be hung up on; None where it is not."""
    if _may_be_kept(turn, peer):
        return None
    if _is_ended(turn, peer):
        return RemoteError(Reason.DEVICE_ENDED, "its device was revoked")
    if peer.has_parted:
        return RemoteError(Reason.NOT_MEMBER, "it is no member now")
    return None


def _may_be_kept(turn: Turn, peer: Peer) -> bool:
    """Whether it is a device of this user that a recovery left out.

    It waits for word here, and is shown nothing: hung up on, it would only come again.
    """
    them = peer.authenticated
    return them is not None and them.user == turn.me.user.id and turn.is_unkept(them.device)


def _is_ended(turn: Turn, peer: Peer) -> bool:
    """Whether a device is known to be revoked."""
    them = peer.authenticated
    if them is None or any(c.standing is Standing.MEMBER for c in peer.channels.values()):
        return False
    return any(
        state.certified(them.user, them.device) is not None
        and not state.is_active(them.user, them.device)
        for state in map(turn.state, peer.channels)
    )

"""Ending a device of one's own: what is signed. What follows from it, everybody works out."""

from __future__ import annotations

from peerstack.engine.statements import add_own_identity
from peerstack.engine.turn import Turn
from peerstack.engine.writing import write_new_secret
from peerstack.errors import NotAllowed, NotFound
from peerstack.ids import DeviceId


def revoke_device(turn: Turn, device: DeviceId, *, force: bool) -> None:
    """Revoke a device of this user from now on; without effect on one that is revoked already.

    Raises `NotFound` for a device that is none of this user's, and `NotAllowed` where this device
    has not the present root key, or is the one to be revoked and nobody insists by `force`.
    """
    user = turn.me.user
    identity = turn.state(user.id).identities[user.id]
    found = identity.devices.get(device)
    if found is None:
        raise NotFound(f"you have no device {device} that counts; `devices` lists yours")
    if found.end_ms is not None:
        return
    user.present_root(identity)
    if device == user.device and not force:
        raise NotAllowed(
            "that is this very device, which could do nothing more; revoke it from another one, or "
            "insist with force"
        )
    (head,) = turn.tx.statements_by_hash([identity.head])
    stamp = max(turn.now.wall_ms, head.modified + 1, found.since_ms + 1)
    add_own_identity(turn, [user.sign_revocation(identity, device, stamp, turn.me.entropy)])
    if device != user.device:
        # Who has the old secret can no longer tell where one's devices meet.
        write_new_secret(turn, user.id)

"""A profile that comes back from a backup, as a new device of its user.

The device that it was may go on living: two that write with one key could not tell each other's
versions from their own, and would replace them unseen.
"""

from __future__ import annotations

from dataclasses import replace

from peerstack.engine.joining import join, pending_joins
from peerstack.engine.profile import claim
from peerstack.engine.recovering import own_identity
from peerstack.engine.statements import add_own_identity
from peerstack.engine.turn import Turn
from peerstack.errors import StoreDamaged
from peerstack.identity import User, device_id
from peerstack.keys import KEY_BYTES, Signer


def check_restorable(turn: Turn) -> None:
    """Raise `NotAllowed` where a backup of this device could not make a new one."""
    turn.me.user.present_root(own_identity(turn))


def become_new_device(turn: Turn, name: str) -> User:
    """Certify a new device of that name, and be that one from now on.

    What the old one had signed stays as it is; joins that wait are signed anew. Raises `NotAllowed`
    without the root key of the present, and `StoreDamaged` where the store is not this user's.
    """
    if not claim(turn):
        raise StoreDamaged(f"the database {turn.tx.database_name} is of no user")
    old, identity, entropy = turn.me.user, own_identity(turn), turn.me.entropy
    key = Signer(entropy.draw(KEY_BYTES))
    (head,) = turn.tx.statements_by_hash([identity.head])
    since_ms = max(turn.now.wall_ms, head.modified + 1)
    certificate = old.sign_certificate(identity, key.public, name, since_ms, entropy)
    add_own_identity(turn, [certificate])
    turn.me.user = replace(
        old,
        device=device_id(old.id, key.public, since_ms),
        device_key=key,
        statements=(*old.statements, certificate),
    )
    for waiting in pending_joins(turn).values():
        join(turn, waiting.link)
    return turn.me.user

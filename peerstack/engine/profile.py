"""What a fresh profile begins with: its user's identity and personal group."""

from __future__ import annotations

from peerstack.engine.turn import Turn
from peerstack.engine.whereabouts import restore
from peerstack.engine.writing import secret_of, write_new_secret
from peerstack.errors import StoreDamaged
from peerstack.identity import Whereabouts

_USER = "user"
_SERVERS = "servers"


def introduce(turn: Turn, restores: Whereabouts | None = None) -> None:
    """Make the store this user's, once; at each later opening only check that it is.

    `restores` is what a recovery brought. Raises `StoreDamaged` where the store belongs to another
    user: keys and database must go together.
    """
    user = turn.me.user
    owner = turn.tx.profile_get(_USER)
    if owner == user.id:
        return
    if owner is not None:
        raise StoreDamaged(
            f"this database is of user {owner}, and the key file beside it of {user.id}; "
            "put back the two files that belong together"
        )
    turn.tx.add_group(user.id, turn.now.wall_ms)
    turn.tx.add_statements(user.statements)
    turn.statements_changed(user.id)
    if restores is not None:
        add_servers(turn, list(restores.servers))
        restore(turn, restores)
    if secret_of(turn, user.id) is None:
        write_new_secret(turn, user.id)
    turn.tx.profile_set(_USER, user.id)


def servers(turn: Turn) -> list[str]:
    """The signaling servers that this profile was told of, by its owner or by invite links."""
    return list(turn.tx.profile_get(_SERVERS) or [])


def add_servers(turn: Turn, urls: list[str]) -> list[str]:
    """Remember further servers; those known now, the newest last."""
    known = servers(turn)
    fresh = [url for url in dict.fromkeys(urls) if url not in known]
    if fresh:
        turn.tx.profile_set(_SERVERS, known + fresh)
    return known + fresh

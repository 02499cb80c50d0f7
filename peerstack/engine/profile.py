"""What a fresh profile begins with: its user's identity and personal group."""

from __future__ import annotations

from collections.abc import Sequence

from peerstack.engine import marks
from peerstack.engine.kept_secrets import secret_of
from peerstack.engine.turn import Turn
from peerstack.engine.whereabouts import restore
from peerstack.engine.writing import write_new_secret
from peerstack.errors import LinkPending, StoreDamaged
from peerstack.identity import Whereabouts
from peerstack.store import BrokenVersion

_USER = "user"
_SERVERS = "servers"


def introduce(turn: Turn, restores: Whereabouts | None = None) -> None:
    """Make the store this user's, once; at each later opening only check that it is.

    `restores` is what a recovery brought. Raises `StoreDamaged` where the store belongs to another
    user, and `LinkPending` where this device was never linked to its user.
    """
    user = turn.me.user
    if claim(turn):
        _check_linked(turn)
        return
    _check_linked(turn)
    turn.tx.add_statements(user.statements)
    turn.statements_changed(user.id)
    if restores is not None:
        add_servers(turn, list(restores.servers))
        restore(turn, restores)
    if secret_of(turn, user.id) is None:
        write_new_secret(turn, user.id)


def mend(turn: Turn) -> Sequence[BrokenVersion]:
    """Take what is broken in the store out of use, so that it comes back from others.

    Who this user is comes back from the key file. Raises `StoreDamaged` where that is of no help.
    """
    found = turn.tx.mend()
    turn.tx.add_statements(turn.me.user.statements)
    for group in turn.groups():
        turn.statements_changed(group)
        turn.records_changed(group)
        if found:
            marks.keep_known(turn, group, {})
    return found


def claim(turn: Turn) -> bool:
    """Make the store this user's, with a personal group; whether it was before.

    Raises `StoreDamaged` for that of another user: keys and database must go together.
    """
    user = turn.me.user.id
    owner = turn.tx.profile_get(_USER)
    if owner is not None and owner != user:
        raise StoreDamaged(
            f"the database {turn.tx.database_name} is of user {owner}, and the key file beside it "
            f"of {user}; put back the two files that belong together"
        )
    if owner is None:
        turn.add_group(user, turn.now.wall_ms)
        turn.tx.profile_set(_USER, user)
    return owner is not None


def _check_linked(turn: Turn) -> None:
    user = turn.me.user
    if not user.statements and turn.state(user.id).device(user.id, user.device) is None:
        raise LinkPending(
            "this device was to be linked to its user, and never was: link it by `peerstack link` "
            "(or open_linked), with the same link while that lasts, or with a new one"
        )


def servers(turn: Turn) -> list[str]:
    """The signaling servers that this profile was told of, by its owner or by invite links."""
    return list(turn.tx.profile_get(_SERVERS) or [])


def add_servers(turn: Turn, urls: Sequence[str], *, instead: bool = False) -> list[str]:
    """Remember further servers; those known now, the newest last.

    `instead` is for what the owner says, here or on another device: what was known of the same
    server with another access token is forgotten. No link of somebody else's takes a token away.
    """
    known = servers(turn)
    hosts = {_host(url) for url in urls} if instead else set()
    kept = [url for url in known if url in urls or _host(url) not in hosts]
    now = list(dict.fromkeys([*kept, *urls]))
    if now != known:
        turn.tx.profile_set(_SERVERS, now)
        turn.untold_groups.update(turn.groups())
    return now


def _host(url: str) -> str:
    return url.partition("://")[2].rpartition("@")[2]

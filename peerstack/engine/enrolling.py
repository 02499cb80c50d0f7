"""The new device's part in being linked: meet the old one, show digits, keep what it gives.

The device has its key from the start, and its id from the link; until its certificate is here it
knows nobody, as somebody who joins. The link is stored, so that a certificate made at the very
moment of a crash finds its device later (`docs/protocol.md`, "Linking a device").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from peerstack import limits
from peerstack.engine.effects import KeepKeys, StatusChanged
from peerstack.engine.link_state import Ending, Handed, PendingLink
from peerstack.engine.profile import claim
from peerstack.engine.turn import Turn
from peerstack.engine.writing import secret_of
from peerstack.errors import LinkPending, Reason, RemoteError
from peerstack.identity import User, is_identity_type
from peerstack.identity.linking import decode_untrusted_device_link
from peerstack.keys import Secret, Signer
from peerstack.session import wire
from peerstack.session.linking import NewSide, Parties
from peerstack.session.peer import Peer
from peerstack.session.replica import SharedSecret
from peerstack.signaling.rendezvous import Link

_PENDING: Final = "being linked"


class _Stored(msgspec.Struct, frozen=True):
    link: str
    name: str
    kept: bool = False


class Progress(NamedTuple):
    """How far this device is with being linked."""

    certified: bool
    complete: bool
    """Whether it has all that the old device gives it, and keeps it."""
    digits: str | None
    """What to show now."""
    ending: Ending | None


# --- What the owner does. -------------------------------------------------------------------------


def begin(turn: Turn, link_text: str, device_name: str) -> None:
    """Make a fresh store that of a device about to be linked; on later calls, go on with it.

    Raises `LinkPending` where it was begun by another link, and `InvalidLink`.
    """
    link = decode_untrusted_device_link(link_text)
    user = turn.me.user
    if not is_certified(turn):
        if (user.id, user.device) != (link.user, link.device_of(user.device_key.public)):
            raise LinkPending("this profile was begun with another link to a new device")
        claim(turn)
        _store(turn, _Stored(link_text, device_name))
    resume(turn)


def resume(turn: Turn) -> None:
    """After opening: go on with what a crash may have interrupted."""
    stored = turn.tx.profile_get(_PENDING)
    if stored is not None and turn.me.links.pending is None:
        told = msgspec.convert(stored, _Stored)
        link = decode_untrusted_device_link(told.link)
        turn.me.links.pending = PendingLink(link, told.name, kept=told.kept)
        turn.meet_anew()


def _store(turn: Turn, stored: _Stored | None) -> None:
    turn.tx.profile_set(_PENDING, msgspec.to_builtins(stored))


def progress(turn: Turn) -> Progress:
    """How far this device is."""
    pending = turn.me.links.pending
    return Progress(
        is_certified(turn),
        pending is None or pending.kept,
        pending.digits if pending else None,
        pending.ending if pending else None,
    )


def kept(turn: Turn, user: User) -> None:
    """The keys that `KeepKeys` asked for are on disk: nothing is owed to this device any more."""
    pending = turn.me.links.pending
    assert pending is not None
    turn.me.user = user
    pending.kept, pending.keeping, pending.handover = True, False, None
    stored = msgspec.convert(turn.tx.profile_get(_PENDING), _Stored)
    _store(turn, msgspec.structs.replace(stored, kept=True))
    turn.effects.append(StatusChanged())


def not_kept(turn: Turn) -> None:
    """The keys could not be written: they are offered again on the next connection."""
    pending = turn.me.links.pending
    if pending is not None:
        pending.keeping, pending.handover = False, None


def is_certified(turn: Turn) -> bool:
    """Whether this device is one of its user's by the statements here."""
    user = turn.me.user
    return turn.state(user.id).is_active(user.id, user.device)


# --- What the old device says. --------------------------------------------------------------------


def nonce_untrusted(turn: Turn, connection: Link, said: wire.LinkNonce) -> None:
    """A device that has the link answers: reveal, and show digits. Raises `RemoteError`."""
    pending = turn.me.links.pending
    side = pending.sides.get(connection) if pending else None
    if pending is None or side is None:
        raise RemoteError(Reason.UNEXPECTED, "answers what was not asked")
    if pending.shown not in (None, connection):
        raise RemoteError(Reason.UNEXPECTED, "two devices want to link this one")
    reveal = side.answered_untrusted(said)
    if pending.shown is None and pending.attempts >= limits.LINK_ATTEMPTS:
        pending.ending = pending.ending or Ending.ATTEMPTS
        return
    pending.attempts += 1
    pending.shown = connection
    turn.me.links.outbox.append((connection, reveal))


def ended_untrusted(turn: Turn, connection: Link, said: wire.LinkEnded) -> None:
    """The link leads this device in no more, or it is through. Raises `RemoteError`."""
    pending = turn.me.links.pending
    if pending is None or connection not in {*pending.sides, *pending.told}:
        raise RemoteError(Reason.UNEXPECTED, "ends what was not begun")
    if connection in pending.told:
        turn.me.links.pending = None
        _store(turn, None)
        turn.meet_anew()
    elif pending.shown in (None, connection) and pending.ending is None:
        told = (ending for ending in (Ending.REFUSED, Ending.BUSY) if ending.value == said.reason)
        pending.ending = next(told, Ending.CLOSED)


def handover_untrusted(turn: Turn, connection: Link, said: wire.Handover) -> None:
    """The device that linked this one gives it what it is to have. Raises `RemoteError`."""
    pending = turn.me.links.pending
    if pending is None or connection not in pending.asked:
        raise RemoteError(Reason.UNEXPECTED, "hands over what was not asked for")
    if pending.keeping or pending.kept:
        return
    root, kit_key = (Secret(key) if key is not None else None for key in (said.root, said.kit_key))
    pending.handover = Handed(root, kit_key if root is not None else None)


# --- What follows. --------------------------------------------------------------------------------


def follow(turn: Turn, peers: Mapping[Link, Peer]) -> None:
    """Say what is due, and have kept what has come."""
    pending = turn.me.links.pending
    if pending is None:
        return
    if not is_certified(turn):
        _commit(turn, pending, peers)
        return
    # Without the members' secret it cannot do without the link's meeting place.
    if not pending.kept or secret_of(turn, turn.me.user.id) is not None:
        _say_enrolled(turn, pending, peers)
    if pending.handover is not None and not pending.keeping and _is_right(turn, pending.handover):
        pending.keeping = True
        said_of_us = turn.tx.identities([turn.me.user.id])
        mine = tuple(each for each in said_of_us if is_identity_type(each.type))
        name = turn.state(turn.me.user.id).identities[turn.me.user.id].name
        root, kit_key = pending.handover.root, pending.handover.kit_key
        turn.effects.append(KeepKeys(root, kit_key, name, mine))


def _say_enrolled(turn: Turn, pending: PendingLink, peers: Mapping[Link, Peer]) -> None:
    """Ask all devices of this user for what there is, or tell them that it is here."""
    said_on = pending.told if pending.kept else pending.asked
    for connection, peer in peers.items():
        if connection not in said_on and _is_own_member(turn, peer):
            said_on.add(connection)
            turn.me.links.outbox.append((connection, wire.Enrolled(pending.kept)))


def _commit(turn: Turn, pending: PendingLink, peers: Mapping[Link, Peer]) -> None:
    """Begin an attempt with all who have the link: which is the old device, nobody knows yet."""
    shared = _shared(turn, pending)
    for connection, peer in peers.items():
        who = peer.authenticated
        if who is None or connection in pending.sides or shared not in peer.common:
            continue
        mine = turn.me.user.device_key.public
        parties = Parties(shared.secret, who.transcript, who.key, mine, pending.name)
        side = pending.sides[connection] = NewSide(parties, turn.me.entropy)
        turn.me.links.outbox.append((connection, side.commit()))


def _is_own_member(turn: Turn, peer: Peer) -> bool:
    who, user = peer.authenticated, turn.me.user.id
    if who is None or who.user != user:
        return False
    state = turn.state(user)
    certified = state.device(user, who.device)
    same = certified is not None and certified.key == who.key
    return same and state.is_active(user, who.device)


def _is_right(turn: Turn, handover: Handed) -> bool:
    """Whether a root key is the one that the statements name; so it proves itself."""
    user = turn.me.user.id
    root = turn.state(user).identities[user].root
    return handover.root is None or Signer(handover.root).public == root


def gone(pending: PendingLink, connection: Link) -> None:
    """A connection is no more: on the next, other digits are shown."""
    pending.sides.pop(connection, None)
    pending.asked.discard(connection)
    pending.told.discard(connection)
    if pending.shown == connection:
        pending.shown = None
    if not pending.asked and not pending.keeping:
        pending.handover = None


def meeting_secrets(turn: Turn) -> Iterator[SharedSecret]:
    """By what the old device recognises this one."""
    pending = turn.me.links.pending
    if pending is not None:
        yield _shared(turn, pending)


def _shared(turn: Turn, pending: PendingLink) -> SharedSecret:
    return SharedSecret(turn.me.user.id, pending.link.topic, by_invite=True)

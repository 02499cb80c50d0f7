"""The old device's part in linking a new one: the link, the digits, the certificate, the handover.

A link is no statement: it ends with this process. Once its owner has confirmed the digits, the new
device is certified, and what is still owed to it is stored, so that a crash on either side costs
nothing but time (`docs/protocol.md`, "Linking a device").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.engine.effects import StatusChanged
from peerstack.engine.link_state import Candidate, Ending, LinkState, OpenLink
from peerstack.engine.statements import add_own_identity
from peerstack.engine.turn import Turn
from peerstack.errors import InvalidValue, LinkEnded, LinkPending, NotAllowed, Reason, RemoteError
from peerstack.identity import Identity
from peerstack.identity.linking import device_link_text, make_device_link
from peerstack.ids import DeviceId
from peerstack.keys import KEY_BYTES, Secret
from peerstack.session import wire
from peerstack.session.handshake import Authenticated
from peerstack.session.linking import OldSide, Parties
from peerstack.session.peer import Peer
from peerstack.session.replica import SecretKind, SharedSecret
from peerstack.signaling.rendezvous import Link

_OWED: Final = "linked devices"
_ENDED: Final = "ended"
"""What a new device is told of a link that has ended, whatever the reason."""

_COMPLETE: Final = "complete"
"""What a device is told that has all that it was owed."""


class Owed(msgspec.Struct, frozen=True):
    """What a certified device is still to be given, and where it is met until then."""

    topic: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    full: bool
    until_ms: int
    """Unix milliseconds."""


# --- What the owner does. -------------------------------------------------------------------------


def open_link(turn: Turn, servers: Sequence[str], *, full: bool) -> OpenLink:
    """Make a link for one new device, which is to have the root key too if `full`.

    Raises `InvalidValue` without a server to meet by, and `NotAllowed` where this device has not
    the present root key, a link is open, or there are as many devices as can be.
    """
    if not servers:
        raise InvalidValue(
            "no signaling server is known, so a new device could not find this one: name one first"
        )
    state, user = turn.me.links, turn.me.user
    if state.open is not None and state.open.ending is None:
        raise NotAllowed("a link to a new device is open already: use it, or end it first")
    identity = _own_identity(turn)
    user.present_root(identity)
    if sum(device.end_ms is None for device in identity.devices.values()) >= limits.ROTATION_KEEPS:
        raise NotAllowed(f"you have {limits.ROTATION_KEEPS} devices; revoke one that you miss not")
    made_ms = max(turn.now.wall_ms, _head_ms(turn, identity) + 1)
    seed = Secret(turn.me.entropy.draw(KEY_BYTES))
    link = make_device_link(seed, user.id, made_ms, user.name, servers)
    text = device_link_text(link)
    state.open = OpenLink(link, text, full, turn.now.mono_ms + limits.LINK_MS)
    turn.meet_anew()
    return state.open


def confirm(turn: Turn, opened: OpenLink, shown: Candidate) -> DeviceId:
    """The owner has seen the digits of `shown` on both devices: certify it; its id.

    Raises `LinkEnded`, and `LinkPending` where that device is no longer the one that shows digits.
    """
    check_open(opened)
    if opened.candidate is not shown:
        raise LinkPending(
            "the new device was cut off meanwhile, and shows other digits when it is back: "
            "compare those"
        )
    identity = _own_identity(turn)
    if _is_outdated(turn, opened):
        raise _has_ended(Ending.OUTDATED)
    certificate = turn.me.user.sign_certificate(
        identity, shown.key, shown.side.name, opened.link.made_ms, turn.me.entropy
    )
    add_own_identity(turn, [certificate])
    _remember_owed(turn, shown.device, opened)
    opened.ending, opened.linked, opened.candidate = Ending.USED, shown.device, None
    turn.meet_anew()
    return shown.device


def follow(turn: Turn) -> None:
    """End a link that a rotation has overtaken: no certificate at its time could be made now."""
    opened = turn.me.links.open
    if opened is not None and opened.ending is None and _is_outdated(turn, opened):
        end(turn, opened, Ending.OUTDATED)


def _is_outdated(turn: Turn, opened: OpenLink) -> bool:
    return _head_ms(turn, _own_identity(turn)) >= opened.link.made_ms


def end(turn: Turn, opened: OpenLink, ending: Ending) -> None:
    """End a link, and tell the device that came by it; without effect on one that has ended."""
    if opened.ending is None:
        _end(turn.me.links, opened, ending)
        turn.meet_anew()


def is_complete(turn: Turn, device: DeviceId) -> bool:
    """Whether a device that was linked has said that it has all that it is to have."""
    return device not in owed(turn)


def check_open(opened: OpenLink) -> None:
    """Raise `LinkEnded` for a link that has."""
    if opened.ending is not None:
        raise _has_ended(opened.ending)


def _has_ended(ending: Ending) -> LinkEnded:
    return LinkEnded(f"the link has ended ({ending.value}); make another one")


# --- What a new device says. ----------------------------------------------------------------------


def commit_untrusted(turn: Turn, connection: Link, peer: Peer, said: wire.LinkCommit) -> None:
    """A device that has the link wants to be linked: answer, if none else is being linked.

    Raises `RemoteError`.
    """
    state, who = turn.me.links, _proven(peer)
    common = peer.common(turn.me.user.id)
    if SecretKind.INVITE not in common.values():
        raise RemoteError(Reason.UNEXPECTED, "no link in common")
    if _is_own(turn, who):
        # Certified on a connection before this one: it will learn of it.
        return
    opened = state.open
    if opened is None or opened.ending is not None or opened.link.topic not in common:
        state.outbox.append((connection, wire.LinkEnded(_ENDED)))
        return
    if connection in opened.tried:
        raise RemoteError(Reason.UNEXPECTED, "a second attempt on one connection")
    opened.tried.add(connection)
    candidate = opened.candidate
    if candidate is not None and candidate.key != who.key:
        opened.turned_away += 1
        state.outbox.append((connection, wire.LinkEnded(Ending.BUSY.value)))
        return
    if opened.attempts >= limits.LINK_ATTEMPTS:
        end(turn, opened, Ending.ATTEMPTS)
        return
    _check_identity_untrusted(opened, who)
    parties = Parties(
        opened.link.topic, who.transcript, turn.me.user.device_key.public, who.key, said.name
    )
    side = OldSide(parties, said.commitment, turn.me.entropy)
    opened.attempts += 1
    reveal_by_ms = turn.now.mono_ms + limits.HANDSHAKE_MS
    opened.candidate = Candidate(connection, who.device, who.key, side, reveal_by_ms)
    state.outbox.append((connection, side.answer()))


def _check_identity_untrusted(opened: OpenLink, who: Authenticated) -> None:
    if who.user != opened.link.user or who.device != opened.link.device_of(who.key):
        raise RemoteError(Reason.BAD_ID, "not the id that the link gives a device of this key")


def reveal_untrusted(turn: Turn, connection: Link, said: wire.LinkReveal) -> None:
    """The device that is being linked has shown its nonce. Raises `RemoteError`."""
    opened = turn.me.links.open
    if opened is None or connection not in opened.tried:
        raise RemoteError(Reason.UNEXPECTED, "reveals what it was not bound to")
    candidate = opened.candidate
    if candidate is not None and candidate.connection == connection:
        candidate.side.revealed_untrusted(said)


def enrolled_untrusted(turn: Turn, connection: Link, peer: Peer, said: wire.Enrolled) -> None:
    """A device of this user has its certificate: hand over what it is owed.

    Raises `RemoteError`.
    """
    state, who = turn.me.links, _proven(peer)
    if not _is_own(turn, who):
        return
    still_owed = owed(turn)
    mine = still_owed.pop(who.device, None)
    if said.complete:
        if mine is not None:
            _store_owed(turn, still_owed)
            turn.meet_anew()
        state.outbox.append((connection, wire.LinkEnded(_COMPLETE)))
    elif connection in state.handed:
        raise RemoteError(Reason.UNEXPECTED, "asks twice on one connection")
    elif mine is not None:
        # It asks every device of its user, and only one has linked it.
        state.handed.add(connection)
        state.outbox.append((connection, _handover(turn, full=mine.full)))


def _handover(turn: Turn, *, full: bool) -> wire.Handover:
    user, present = turn.me.user, _own_identity(turn).root
    if not full or user.root is None or user.root.public != present:
        return wire.Handover(None, None)
    return wire.Handover(user.root.seed, user.kit_key)


# --- What time and connections bring. -------------------------------------------------------------


def gone(state: LinkState, connection: Link) -> None:
    """A connection is no more: who was being linked on it has to begin anew."""
    state.handed.discard(connection)
    opened = state.open
    if opened is None:
        return
    opened.tried.discard(connection)
    if opened.candidate is not None and opened.candidate.connection == connection:
        _lose_candidate(state, opened)


def wake(turn: Turn) -> None:
    """Do what is due."""
    state, now_ms = turn.me.links, turn.now.mono_ms
    opened = state.open
    if opened is None or opened.ending is not None:
        return
    if opened.ends_ms <= now_ms:
        end(turn, opened, Ending.EXPIRED)
        turn.effects.append(StatusChanged())
    elif (reveal_by_ms := _reveal_by_ms(opened)) is not None and reveal_by_ms <= now_ms:
        _tell_candidate(state, opened, _ENDED)
        _lose_candidate(state, opened)
        turn.effects.append(StatusChanged())


def next_wake_ms(state: LinkState) -> int | None:
    """When (monotonic) `wake` is due; None if nothing is."""
    opened = state.open
    if opened is None or opened.ending is not None:
        return None
    reveal_by_ms = _reveal_by_ms(opened)
    return opened.ends_ms if reveal_by_ms is None else min(opened.ends_ms, reveal_by_ms)


def _reveal_by_ms(opened: OpenLink) -> int | None:
    candidate = opened.candidate
    return candidate.reveal_by_ms if candidate and candidate.side.digits is None else None


def _lose_candidate(state: LinkState, opened: OpenLink) -> None:
    opened.candidate = None
    if opened.ending is None and opened.attempts >= limits.LINK_ATTEMPTS:
        _end(state, opened, Ending.ATTEMPTS)


def _end(state: LinkState, opened: OpenLink, ending: Ending) -> None:
    _tell_candidate(state, opened, ending.value if ending is Ending.REFUSED else _ENDED)
    opened.ending, opened.candidate = ending, None
    state.moved = True


def _tell_candidate(state: LinkState, opened: OpenLink, reason: str) -> None:
    if opened.candidate is not None:
        state.outbox.append((opened.candidate.connection, wire.LinkEnded(reason)))


# --- Where new devices are met. -------------------------------------------------------------------


def meeting_secrets(turn: Turn) -> Iterator[SharedSecret]:
    """By what a new device recognises this one: the open link, and those of devices still owed."""
    opened = turn.me.links.open
    if opened is not None and opened.ending is None:
        yield _shared(turn, opened)
    waiting = owed(turn)
    for device, still in waiting.items():
        if _is_active(turn, device):
            topic = Secret(bytes.fromhex(still.topic))
            yield SharedSecret(turn.me.user.id, topic, SecretKind.INVITE)


def owed(turn: Turn) -> dict[DeviceId, Owed]:
    """The certified devices that are still to be given something, and whose time is not over."""
    stored = msgspec.convert(turn.tx.profile_get(_OWED) or {}, dict[DeviceId, Owed])
    now_ms = turn.now.wall_ms
    return {device: still for device, still in stored.items() if still.until_ms > now_ms}


def _remember_owed(turn: Turn, device: DeviceId, opened: OpenLink) -> None:
    still_owed = owed(turn)
    until_ms = turn.now.wall_ms + limits.NEWCOMER_MS
    still_owed[device] = Owed(opened.link.topic.hex(), opened.full, until_ms)
    _store_owed(turn, still_owed)


def _store_owed(turn: Turn, still_owed: dict[DeviceId, Owed]) -> None:
    turn.tx.profile_set(_OWED, msgspec.to_builtins(still_owed))


def _shared(turn: Turn, opened: OpenLink) -> SharedSecret:
    return SharedSecret(turn.me.user.id, opened.link.topic, SecretKind.INVITE)


def _own_identity(turn: Turn) -> Identity:
    user = turn.me.user.id
    return turn.state(user).identities[user]


def _head_ms(turn: Turn, identity: Identity) -> int:
    (head,) = turn.tx.statements_by_hash([identity.head])
    return head.modified


def _is_own(turn: Turn, who: Authenticated) -> bool:
    """Whether the other side is a certified device of this user."""
    user = turn.me.user.id
    certified = turn.state(user).device(user, who.device)
    same = who.user == user and certified is not None and certified.key == who.key
    return same and _is_active(turn, who.device)


def _is_active(turn: Turn, device: DeviceId) -> bool:
    user = turn.me.user.id
    return turn.state(user).is_active(user, device)


def _proven(peer: Peer) -> Authenticated:
    assert peer.authenticated is not None
    return peer.authenticated

"""What a recovery needs of this device before it, and leaves to be done after it.

Before: what goes into a kit, and what the last kit lacks meanwhile. After: devices that it lacked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from peerstack import limits
from peerstack.engine import profile
from peerstack.engine.statements import add_own_identity
from peerstack.engine.turn import Self, Turn
from peerstack.engine.whereabouts import known_groups
from peerstack.errors import NotAllowed, NotFound
from peerstack.identity import (
    FORKED,
    Device,
    Identity,
    Whereabouts,
    next_key_hash,
    read_identity,
)
from peerstack.ids import DeviceId, UserId
from peerstack.keys import Secret, Signer
from peerstack.record import JsonObject, Signed

_KIT: Final = "kit"
_CONFIRMED: Final = "recovery confirmed"


@dataclass(frozen=True, slots=True)
class Keeping:
    """How well a user's keys are kept: what a person should know of it."""

    user: UserId
    device: DeviceId
    unconfirmed: bool = False
    """Whether the recovery seed is still on this device."""
    replaced: bool = False
    """Whether a recovery has replaced the root key that this device has."""
    uncounted: bool = False
    """Whether this device itself is one that no recovery kept."""
    unkept: Sequence[Device] = ()
    """Devices that an earlier root key certified, and no recovery kept."""
    restored: Sequence[Device] = ()
    """Devices that count although an earlier root key revoked them."""
    needs_kit: bool = False
    """Whether the phrase was confirmed here and no kit written: alone, it leads nowhere."""
    kit_lacks: Sequence[str] = ()
    """The names of groups and devices that the last kit written here does not know."""


# --- Kits. ----------------------------------------------------------------------------------------


class KitContent(NamedTuple):
    """What a kit written now holds, and the key that it is sealed under."""

    kit_key: Secret
    statements: Sequence[Signed]
    whereabouts: Whereabouts

    def __repr__(self) -> str:
        return f"KitContent({len(self.statements)} statements)"


def kit_content(turn: Turn) -> KitContent:
    """What goes into a kit. Raises `NotAllowed` where no phrase would open it, or none recover."""
    user, identity = turn.me.user, own_identity(turn)
    if identity.forked:
        raise NotAllowed(FORKED)
    if user.kit_key is None:
        raise NotAllowed(
            "this device was linked without what a recovery kit takes; write it on a device that "
            "has your root key"
        )
    mine = read_identity(user.statements)
    if mine is None or mine.next != identity.next:
        raise NotAllowed(
            "you have recovered since, and have another phrase now; write the kit on the device on "
            "which you did"
        )
    about = turn.tx.identities([user.id])
    servers = profile.servers(turn)[-limits.KIT_SERVERS :]
    groups = tuple(known_groups(turn).values())
    return KitContent(user.kit_key, about, Whereabouts(tuple(servers), groups))


def kit_written(turn: Turn, content: KitContent) -> None:
    """Remember what the last kit knows."""
    groups = [group.id for group in content.whereabouts.groups]
    turn.tx.profile_set(_KIT, {"groups": groups, "devices": sorted(own_identity(turn).devices)})


# --- Devices that the kit did not know. -----------------------------------------------------------


def keep_device(turn: Turn, device: DeviceId, end_ms: int | None) -> None:
    """Let a device count that an earlier root key certified and that the recovery did not keep.

    With `end_ms` (Unix milliseconds) what it signed before counts, and nothing after. Without
    effect where it counts already. Raises `NotFound`, or `NotAllowed` without the root key.
    """
    user, identity = turn.me.user, own_identity(turn)
    found = identity.certified.get(device)
    if found is None:
        raise NotFound(f"no device {device} of yours is known here; wait until you are level")
    if identity.forked:
        raise NotAllowed(FORKED)
    if device in identity.devices:
        return
    entropy = turn.me.entropy
    signed = [user.sign_certificate(identity, found.key, found.name, found.since_ms, entropy)]
    if end_ms is not None:
        signed.append(user.sign_revocation(identity, device, end_ms, entropy))
    add_own_identity(turn, signed)


# --- How things stand. ----------------------------------------------------------------------------


def own_identity(turn: Turn) -> Identity:
    """What the statements say of this user."""
    user = turn.me.user.id
    return turn.state(user).identities[user]


def present_seed(turn: Turn) -> Secret:
    """The recovery seed. Raises `NotAllowed` where it is kept no more, or was used."""
    seed = turn.me.user.recovery
    if seed is None:
        raise NotAllowed(
            "your phrase was confirmed, and is kept nowhere but where you wrote it down; a device "
            "that was linked never had it"
        )
    if next_key_hash(Signer(seed).public) != own_identity(turn).next:
        raise NotAllowed(
            "you have recovered with the phrase that this device knew; the one that counts now was "
            "shown on the device on which you did"
        )
    return seed


def confirmed(turn: Turn) -> None:
    """The key file has let go of the recovery seed: so does the memory, of every process."""
    forget_seed(turn.me)
    # Any write makes the others look.
    turn.tx.profile_set(_CONFIRMED, turn.now.wall_ms)


def forget_seed(me: Self) -> None:
    """Keep the recovery seed no more in this process."""
    me.user = replace(me.user, recovery=None)


def keeping(turn: Turn) -> Keeping:
    """How well this user's keys are kept."""
    user = turn.me.user
    identity = turn.state(user.id).identities.get(user.id)
    if identity is None:
        # A device that is being linked knows nobody yet, and keeps nothing.
        return Keeping(user.id, user.device)
    kit = turn.tx.profile_get(_KIT)
    revoked = {each.device for each in identity.revocations.values()}
    return Keeping(
        user.id,
        user.device,
        user.recovery is not None,
        user.root is not None and user.root.public != identity.root and not identity.forked,
        user.device in identity.certified.keys() - identity.devices.keys(),
        [] if identity.forked else _missing(identity),
        [d for d in identity.devices.values() if d.id in revoked and d.end_ms is None],
        kit is None and turn.tx.profile_get(_CONFIRMED) is not None,
        [] if kit is None else list(_lacks(turn, identity, kit)),
    )


def _missing(identity: Identity) -> list[Device]:
    return [each for each in identity.certified.values() if each.id not in identity.devices]


def _lacks(turn: Turn, identity: Identity, kit: JsonObject) -> Iterator[str]:
    for group in known_groups(turn).values():
        if group.id not in kit["groups"]:
            yield group.name or group.id
    for device in identity.devices.values():
        if device.id not in kit["devices"] and device.end_ms is None:
            yield device.name


def forked_users(turn: Turn) -> dict[UserId, str]:
    """The names of users of whom two recoveries with one phrase are known; one's own among them."""
    return {
        user: identity.name
        for group in turn.groups()
        for user, identity in turn.state(group).identities.items()
        if identity.forked
    }

"""Taking a user back with the recovery seed: everything that is signed then, in one pure function.

The seed is that of the next root key, to which the present one is bound by its hash. Whoever has
copied a device has the present root key and not this one, so what they signed counts only where the
rotation that is made here keeps it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from peerstack import limits
from peerstack.errors import InvalidPhrase, NotAllowed, NotFound
from peerstack.identity import signing
from peerstack.identity.reading import Device, Identity, read_identity
from peerstack.identity.statements import device_id, next_key_hash
from peerstack.identity.user import FORKED, User, kit_key_of
from peerstack.ids import DeviceId
from peerstack.keys import KEY_BYTES, PublicKey, Secret, Signer
from peerstack.ports import Entropy
from peerstack.record import Signed


def recovered(
    seed: Secret,
    statements: Sequence[Signed],
    device_name: str,
    now_ms: int,
    entropy: Entropy,
    *,
    revoke: Collection[DeviceId] = (),
    keep: Collection[DeviceId] | None = None,
) -> User:
    """The user that these verified statements describe, at a new device and with new keys.

    Certificates of the devices in `keep` go on to count (None: of all that count now, and those in
    `revoke` in any case); of the others, nothing that they ever signed does. A device in `revoke`
    ends now. One that had ended keeps its end.

    **To be called once for a seed**: a second rotation under the same statement is a fork. Raises
    `InvalidPhrase` where the seed is not that of the next root key, `NotAllowed` where the user has
    forked, `NotFound` for a device that does not count, `InvalidValue` for the device's name.
    """
    identity = _recoverable(seed, statements)
    kept = _kept(identity, keep, revoke)
    root, device_key = Signer(seed), Signer(entropy.draw(KEY_BYTES))
    next_seed = Secret(entropy.draw(KEY_BYTES))
    head = next(each for each in statements if each.hash == identity.head)
    rotated_ms = max(now_ms, head.modified + 1)
    named = [device.certificate for device in kept[: limits.ROTATION_KEEPS]]
    rotation = signing.sign_rotation(
        root, identity.user, head.hash, Signer(next_seed).public, named, rotated_ms, entropy
    )
    by_root = _ByRoot(root, rotation, entropy)
    return User(
        identity.user,
        device_id(identity.user, device_key.public, rotated_ms + 1),
        identity.name,
        root,
        device_key,
        next_seed,
        kit_key_of(next_seed),
        (
            *statements,
            rotation,
            by_root.certifies(device_key.public, device_name, rotated_ms + 1),
            *(by_root.certifies(each.key, each.name, each.since_ms) for each in kept[len(named) :]),
            *by_root.ends(kept, revoke),
        ),
    )


@dataclass(frozen=True, slots=True)
class _ByRoot:
    """What the new root key signs, under the rotation that gives it."""

    root: Signer
    rotation: Signed
    entropy: Entropy

    def certifies(self, key: PublicKey, name: str, modified: int) -> Signed:
        user, under = self.rotation.signer, self.rotation.hash
        return signing.sign_certificate(self.root, user, under, key, name, modified, self.entropy)

    def ends(self, kept: Sequence[Device], revoke: Collection[DeviceId]) -> Iterator[Signed]:
        """The ends of devices: new ones, and those whose `$revoke` the rotation makes void."""
        now_ms, under = self.rotation.modified, self.rotation.hash
        for device in kept:
            if device.end_ms is not None or device.id in revoke:
                end_ms = now_ms if device.end_ms is None else min(device.end_ms, now_ms)
                yield signing.sign_revocation(
                    self.root, device.user, under, device.id, end_ms, self.entropy
                )


def _recoverable(seed: Secret, statements: Sequence[Signed]) -> Identity:
    identity = read_identity(statements)
    if identity is None:
        raise NotFound("these statements have no beginning of a user")
    if identity.forked:
        raise NotAllowed(FORKED)
    if next_key_hash(Signer(seed).public) != identity.next:
        raise InvalidPhrase(
            "this phrase was used before, and another one took its place; recover with the phrase "
            "that was shown then, and with a kit written after"
        )
    return identity


def _kept(
    identity: Identity, keep: Collection[DeviceId] | None, revoke: Collection[DeviceId]
) -> list[Device]:
    """The devices that go on to count, the oldest first. Raises `NotFound` for one unknown."""
    named = {*revoke, *(keep or ())}
    unknown = sorted(named - identity.devices.keys())
    if unknown:
        raise NotFound(f"{identity.name} has no device {', '.join(unknown)} by this kit")
    chosen = identity.devices.keys() if keep is None else named
    devices = [identity.devices[each] for each in chosen]
    return sorted(devices, key=lambda each: (each.since_ms, each.id))

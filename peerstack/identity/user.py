"""One's own user on one's own device: the secrets, and what is signed with the root key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from peerstack.errors import NotAllowed
from peerstack.identity import signing
from peerstack.identity.reading import Identity
from peerstack.identity.statements import device_id
from peerstack.ids import DeviceId, UserId
from peerstack.keys import KEY_BYTES, Hash, Label, PublicKey, Secret, Signer, derive
from peerstack.ports import Entropy
from peerstack.record import Signed

FORKED: Final = (
    "this user was recovered twice with one phrase, and nothing that followed counts; there is no "
    "way back: make a new profile, and have yourself invited to your groups again"
)


@dataclass(frozen=True, slots=True)
class User:
    """One's own user on one's own device: secrets, and the statements that introduce them.

    Made by `create` or by a recovery; its secrets belong into the profile's key file and nowhere
    else.
    """

    id: UserId
    device: DeviceId
    name: str
    root: Signer | None = field(repr=False)
    """The root key of the time when this device got its keys; None on one linked without it."""
    device_key: Signer = field(repr=False)
    recovery: Secret | None = field(repr=False)
    """The seed of the next root key, until its owner has written it down. No other device is ever
    given it: what would be left there could not be erased from here."""
    kit_key: Secret | None = field(repr=False)
    """What recovery kits are sealed under; derives from the seed, and stays when that goes."""
    statements: tuple[Signed, ...] = field(repr=False)
    """Identity statements that show `root`'s place and this device's certificate, at the least."""

    @classmethod
    def create(cls, name: str, device_name: str, now_ms: int, entropy: Entropy) -> User:
        """A new user with one device, stamped `now_ms` (Unix milliseconds).

        Raises `InvalidValue` for a name that is empty, longer than 128 characters or no text.
        """
        signing.check_name(device_name)
        root, device_key = Signer(entropy.draw(KEY_BYTES)), Signer(entropy.draw(KEY_BYTES))
        recovery = Secret(entropy.draw(KEY_BYTES))
        inception = signing.sign_inception(root, Signer(recovery).public, name, now_ms)
        user, public = inception.signer, device_key.public
        certificate = signing.sign_certificate(
            root, user, inception.hash, public, device_name, now_ms + 1, entropy
        )
        return cls(
            user,
            device_id(user, public, now_ms + 1),
            name,
            root,
            device_key,
            recovery,
            kit_key_of(recovery),
            (inception, certificate),
        )

    def sign_certificate(
        self, identity: Identity, key: PublicKey, name: str, modified: int, entropy: Entropy
    ) -> Signed:
        """A `$device` for the device that holds `key`, under the present root key.

        `modified` is to be later than what gives that root key, but for a device that an earlier
        root key has certified: with its key and time, it is the same device. Raises `NotAllowed`
        where this device has not the present root key.
        """
        root = self.present_root(identity)
        return signing.sign_certificate(root, self.id, identity.head, key, name, modified, entropy)

    def sign_revocation(
        self, identity: Identity, device: DeviceId, modified: int, entropy: Entropy
    ) -> Signed:
        """A `$revoke` of a device from `modified` on. Raises as `sign_certificate`."""
        root = self.present_root(identity)
        return signing.sign_revocation(root, self.id, identity.head, device, modified, entropy)

    def sign_rotation(
        self,
        identity: Identity,
        next_key: PublicKey,
        keeps: Iterable[Hash],
        modified: int,
        entropy: Entropy,
    ) -> Signed:
        """A `$rotate` to the next root key, while its seed is still here.

        `modified` is to be later than what gives the present one. Raises `NotAllowed` once the
        phrase is confirmed: from then on only a recovery, which takes the phrase, can rotate.
        """
        if self.recovery is None:
            raise NotAllowed("the next root key is kept no more; recover with your phrase")
        root = Signer(self.recovery)
        return signing.sign_rotation(
            root, self.id, identity.head, next_key, keeps, modified, entropy
        )

    def present_root(self, identity: Identity) -> Signer:
        """The root key of the present. Raises `NotAllowed` where this device has not got it."""
        if self.root is None:
            raise NotAllowed(
                "this device was linked without the root key; do this on a device that has it, or "
                "recover with your phrase"
            )
        if self.root.public != identity.root and identity.forked:
            raise NotAllowed(FORKED)
        if self.root.public != identity.root:
            raise NotAllowed(
                "a recovery has replaced the root key of this device; do this on the device on "
                "which you recovered"
            )
        return self.root


def kit_key_of(recovery: Secret) -> Secret:
    """What the kits that go with a recovery seed are sealed under."""
    return derive(recovery, Label.KIT)

"""Links that bring a new device to its user: everything that it needs to meet the old one.

Such a link alone lets nobody in: the digits that both devices show are compared by their owner
(`docs/protocol.md`, "Linking a device").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.identity.linktext import Bytes32, LinkText, Servers
from peerstack.identity.statements import Name, device_id
from peerstack.identity.user import User
from peerstack.ids import DeviceId, UserId, as_user
from peerstack.keys import KEY_BYTES, Label, PublicKey, Secret, Signer, derive
from peerstack.ports import Entropy
from peerstack.record import TimeMs, UlidText

_VERSION: Final = 1


class DeviceLink(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a link to a new device says. `seed` gives the meeting place."""

    version: Annotated[int, Meta(ge=_VERSION, le=_VERSION)]
    seed: Bytes32
    user_id: UlidText
    made_ms: TimeMs
    """`modified` of the certificate that is to come, by the old device's clock: with it, the new
    device knows its own id from the start, whatever its clock says."""
    user_name: Name
    servers: Servers

    @property
    def user(self) -> UserId:
        """Whose device is to be linked."""
        return as_user(self.user_id)

    @property
    def topic(self) -> Secret:
        """The secret by which the two devices meet and recognise each other."""
        return derive(self.seed, Label.LINK_TOPIC)

    def device_of(self, key: PublicKey) -> DeviceId:
        """The id of the new device, if it is the one that holds this key (about 10 ms)."""
        return device_id(self.user, key, self.made_ms)

    def __repr__(self) -> str:
        return f"DeviceLink(user={self.user_id})"


def linked_user(link: DeviceLink, entropy: Entropy) -> User:
    """The user of a link on a new device, with a key of its own that nobody has certified yet."""
    key = Signer(entropy.draw(KEY_BYTES))
    device = link.device_of(key.public)
    return User(link.user, device, link.user_name, None, key, None, None, ())


_TEXT: Final = LinkText("peerstack:link:", DeviceLink, "link to a new device")


def make_device_link(
    seed: Secret, user: UserId, made_ms: int, user_name: str, servers: Sequence[str]
) -> DeviceLink:
    """A link for a new device of a user; it names as many servers as there is room for."""
    named = tuple(servers[: limits.LINK_SERVERS])
    return DeviceLink(_VERSION, seed, user, made_ms, user_name, named)


def device_link_text(link: DeviceLink) -> str:
    """The text of a link. Raises `InvalidValue` where it would get too long."""
    return _TEXT.encode(link)


def decode_untrusted_device_link(text: str) -> DeviceLink:
    """What a link says, however a mail program has wrapped it. Raises `InvalidLink`."""
    return _TEXT.decode_untrusted(text)

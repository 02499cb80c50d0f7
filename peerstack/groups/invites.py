"""Invite links: everything that a newcomer needs, as text that fits in any message.

A link is a bearer secret: whoever has it may ask to be let in, once a member is met. Its names are
a hint for the preview, until the group's own statements are here (`docs/protocol.md`, "Links").
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from peerstack.errors import InvalidLink, InvalidValue
from peerstack.groups.statements import RoleName
from peerstack.identity import Name
from peerstack.ids import GroupId, as_group
from peerstack.keys import HASH_BYTES, KEY_BYTES, Hash, Label, Secret, Signer, derive, sha256
from peerstack.record import TimeMs, UlidText

_PREFIX: Final = "peerstack:join:"
_VERSION: Final = 1
_CHECK_BYTES: Final = 4
_LINK_CHARS: Final = 4096

_Bytes32 = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=HASH_BYTES)]
_Url = Annotated[str, Meta(min_length=1, max_length=512)]


class InviteLink(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a link says. `seed` gives the invite's key and its meeting place."""

    version: Annotated[int, Meta(ge=_VERSION, le=_VERSION)]
    seed: _Bytes32
    group_id: UlidText
    invite: _Bytes32
    made_ms: TimeMs
    """`modified` of the `$invite`: a join is stamped after it, whatever the newcomer's clock."""
    role: RoleName
    group_name: Name
    inviter_name: Name
    servers: Annotated[tuple[_Url, ...], Meta(max_length=8)]

    @property
    def group(self) -> GroupId:
        """The group that the link leads to."""
        return as_group(self.group_id)

    @property
    def invite_hash(self) -> Hash:
        """The hash of the `$invite`, which a host must be able to show."""
        return Hash(self.invite)

    def __repr__(self) -> str:
        return f"InviteLink(group={self.group_id})"


def make_link(
    seed: Secret,
    group: GroupId,
    invite: Hash,
    made_ms: int,
    role: RoleName,
    group_name: str,
    inviter_name: str,
    servers: tuple[str, ...],
) -> str:
    """The text of a link. Raises `InvalidValue` where it would get too long."""
    link = InviteLink(
        _VERSION, seed, group, invite, made_ms, role, group_name, inviter_name, servers
    )
    content = msgspec.msgpack.encode(link)
    text = base64.urlsafe_b64encode(content + sha256(content)[:_CHECK_BYTES]).decode()
    if len(text) > _LINK_CHARS:
        raise InvalidValue("the addresses of the servers are too long for a link; use fewer")
    return _PREFIX + text.rstrip("=")


def decode_untrusted_link(text: str) -> InviteLink:
    """What a link says, however a mail program has wrapped it. Raises `InvalidLink`."""
    compact = "".join(text.split())
    if not compact.startswith(_PREFIX):
        raise InvalidLink(f"this is no invite link; one begins with {_PREFIX}")
    encoded = compact.removeprefix(_PREFIX)
    if len(encoded) > _LINK_CHARS:
        raise InvalidLink("this is no invite link; it is too long")
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidLink("the invite link is damaged; copy the whole of it again") from error
    content, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if sha256(content)[:_CHECK_BYTES] != check:
        raise InvalidLink("the invite link is cut short or changed; copy the whole of it again")
    try:
        return msgspec.msgpack.decode(content, type=InviteLink)
    except msgspec.MsgspecError as error:
        raise InvalidLink("this invite link needs another version of peerstack") from error


def invite_signer(seed: Secret) -> Signer:
    """The key pair whose public half stands in the `$invite`."""
    return Signer(derive(seed, Label.INVITE_KEY))


def invite_topic(seed: Secret) -> Secret:
    """The secret from which newcomers and members derive their meeting place."""
    return derive(seed, Label.INVITE_TOPIC)

"""Invite links: everything that a newcomer needs, as text that fits in any message.

A link is a bearer secret: whoever has it may ask to be let in, once a member is met. Its names are
a hint for the preview, until the group's own statements are here (`docs/protocol.md`, "Links").
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.groups.statements import RoleName
from peerstack.identity import Name
from peerstack.identity.linktext import Bytes32, LinkText, Servers
from peerstack.ids import GroupId, as_group
from peerstack.keys import Hash, Label, Secret, Signer, derive
from peerstack.record import TimeMs, UlidText

_VERSION: Final = 1


class InviteLink(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a link says. `seed` gives the invite's key and its meeting place."""

    version: Annotated[int, Meta(ge=_VERSION, le=_VERSION)]
    seed: Bytes32
    group_id: UlidText
    invite: Bytes32
    made_ms: TimeMs
    """`modified` of the `$invite`: a join is stamped after it, whatever the newcomer's clock."""
    role: RoleName
    group_name: Name
    inviter_name: Name
    servers: Servers

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


_TEXT: Final = LinkText("peerstack:join:", InviteLink, "invite link")


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
    """The text of a link, which names as many servers as there is room for.

    Raises `InvalidValue` where it would get too long.
    """
    return _TEXT.encode(
        InviteLink(
            _VERSION,
            seed,
            group,
            invite,
            made_ms,
            role,
            group_name,
            inviter_name,
            servers[: limits.LINK_SERVERS],
        )
    )


def decode_untrusted_link(text: str) -> InviteLink:
    """What a link says, however a mail program has wrapped it. Raises `InvalidLink`."""
    return _TEXT.decode_untrusted(text)


def invite_signer(seed: Secret) -> Signer:
    """The key pair whose public half stands in the `$invite`."""
    return Signer(derive(seed, Label.INVITE_KEY))


def invite_topic(seed: Secret) -> Secret:
    """The secret from which newcomers and members derive their meeting place."""
    return derive(seed, Label.INVITE_TOPIC)

"""The forms of every statement about a group. Final: nothing signed has to change later.

Each names by hash the grant that it is made `under`, so grants form a tree from the founder. Which
are admitted is in `rules`, and what they bring about in `effect` (`docs/protocol.md`, "Statement
forms").
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.identity import HashHex, KeyHex, check_time_untrusted, decode_form_untrusted
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.keys import Hash, Label, SignatureCheck, framed
from peerstack.record import Signed, TimeMs, UlidText

GROUP_TYPE: Final = "$group"
INVITE_TYPE: Final = "$invite"
JOIN_TYPE: Final = "$join"
ADMIT_TYPE: Final = "$admit"
GRANT_TYPE: Final = "$grant"
CLOSE_TYPE: Final = "$close"
SEAL_TYPE: Final = "$seal"

NonceHex = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
SignatureHex = Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]
RoleName = Literal["reader", "writer", "admin"]
Count = Annotated[int, Meta(ge=0, le=limits.INTEGER_MAX)]


class Role(enum.IntEnum):
    """What a member may do; each may do what those before it may."""

    READER = 1
    WRITER = 2
    ADMIN = 3

    @property
    def label(self) -> RoleName:
        """The name of the role on the wire and in the public API."""
        names: tuple[RoleName, ...] = ("reader", "writer", "admin")
        return names[self - 1]

    @classmethod
    def named(cls, name: RoleName) -> Role:
        """The role of a name."""
        return cls[name.upper()]


class Founding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$group`: a new group, whose id derives from founder, nonce and time; its root grant."""

    nonce: NonceHex


class Invite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$invite`, by an admin: whoever proves the key may be let in with this role."""

    under: HashHex
    key: KeyHex
    topic: KeyHex
    """The key from which the meeting place of newcomers is derived, so that members can listen."""
    role: RoleName
    expires: TimeMs | UnsetType = UNSET
    uses: Annotated[int, Meta(ge=1, le=limits.INVITE_USES_MAX)] | UnsetType = UNSET


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$join`, by the newcomer: consent. With an invite, `proof` is signed by the invite's key."""

    invite: HashHex | UnsetType = UNSET
    proof: SignatureHex | UnsetType = UNSET


class Admit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$admit`, by a member's device: lets the author of a join in, with the invite's role."""

    under: HashHex
    join: HashHex


class GrantForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$grant`, by an admin: a role for a user whose `consent` (a join or founding) stands."""

    under: HashHex
    user: UlidText
    role: RoleName
    consent: HashHex


class Close(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$close`: ends a grant or an invite. Signer and target say which of three things it is.

    - Of somebody else's grant, by who may end it: a removal. `count` and `root` commit to the seal
      that says what stays; 0 and the root of no hashes: nothing does.
    - Of an own grant: `under` the very same, it is a leave, which takes back all consent so far;
      under another own one, it gives up its target alone. `count` is 0: others seal it.
    - Of an invite: nobody comes in by it any more. `count` is 0, and there is no seal.
    """

    under: HashHex
    target: HashHex
    count: Count
    root: HashHex


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`$seal`: one part of what stays of what an ended right, or device, had signed.

    `ends` is the hash of the `$close` or `$revoke`. The parts of a seal are signed by one device
    and agree in `ends`, `count` (of distinct hashes in all of them) and `root` (SHA-256 over those,
    ascending). Seals add up: what any part names stays, whatever its time.
    """

    under: HashHex
    ends: HashHex
    count: Count
    root: HashHex
    part: Count
    hashes: Annotated[list[HashHex], Meta(max_length=limits.SEAL_PART_HASHES)]


GroupForm = Founding | Invite | Join | Admit | GrantForm | Close | Seal

_FORMS: Final[Mapping[str, type[GroupForm]]] = {
    GROUP_TYPE: Founding,
    INVITE_TYPE: Invite,
    JOIN_TYPE: Join,
    ADMIT_TYPE: Admit,
    GRANT_TYPE: GrantForm,
    CLOSE_TYPE: Close,
    SEAL_TYPE: Seal,
}


def group_form_untrusted(signed: Signed) -> GroupForm | None:
    """The value of a group statement; None for a reserved type of a later version.

    Raises `RemoteError(MALFORMED)`.
    """
    form_type = _FORMS.get(signed.type)
    if not signed.device:
        raise RemoteError(Reason.MALFORMED, f"{signed.type} names the device that signed it")
    if form_type is None:
        return None
    form = decode_form_untrusted(signed, form_type)
    if not isinstance(form, Seal):
        check_time_untrusted(signed)
    if isinstance(form, Join) and (form.invite is UNSET) != (form.proof is UNSET):
        raise RemoteError(Reason.MALFORMED, "$join has both an invite and its proof, or neither")
    if isinstance(form, Founding) and signed.id != signed.group:
        raise RemoteError(Reason.MALFORMED, "the id of a $group is the group's")
    return form


def named(text: str) -> Hash:
    """The hash that a form names in hex."""
    return Hash(bytes.fromhex(text))


def group_id_fields(founder: UserId, nonce: bytes) -> bytes:
    """What a group id is derived from, beside its time."""
    return framed(founder.encode(), nonce)


def invite_proof_payload(
    invite: Hash, group: GroupId, user: UserId, device: DeviceId, modified: int
) -> bytes:
    """What the invite's key signs, so that a `$join` is good for one newcomer only."""
    stamp = modified.to_bytes(8, "big")
    return framed(invite, group.encode(), user.encode(), device.encode(), stamp)


def invite_proof_check(signed: Signed, join: Join, invite: Invite) -> SignatureCheck:
    """The check that the author of a `$join` held the invite's secret."""
    assert join.invite is not UNSET
    assert join.proof is not UNSET
    payload = invite_proof_payload(
        Hash(bytes.fromhex(join.invite)),
        signed.group,
        signed.signer,
        signed.device,
        signed.modified,
    )
    return SignatureCheck(
        bytes.fromhex(invite.key), Label.INVITE, payload, bytes.fromhex(join.proof)
    )

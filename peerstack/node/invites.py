"""Invites, as apps see them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from peerstack.engine.turn import Turn
from peerstack.groups.membership import GroupState
from peerstack.groups.statements import Invite, RoleName
from peerstack.ids import GroupId, UserId
from peerstack.record import Signed


class InviteInfo(msgspec.Struct, frozen=True):
    """One invite to a group. Times are Unix milliseconds."""

    id: str
    """The hash of the statement, in hex: what `end_invite` takes."""
    role: RoleName
    made_by: UserId
    made_ms: int
    expires_ms: int | None
    uses: int | None
    """How many may join by it; None for any number."""
    used: int
    """How many have. More than `uses` where devices that were apart each let somebody in."""
    ended: str | None
    """Why nobody joins by it any more: "expired", "used up" or "ended"; None while it is open."""


def invites(turn: Turn, group: GroupId) -> list[InviteInfo]:
    """The invites of a group, the newest first. Raises `NotFound`."""
    state = turn.own_state(group)
    found = [_info(turn, state, signed, form) for signed, form in state.invites()]
    return sorted(found, key=lambda each: (-each.made_ms, each.id))


def _info(turn: Turn, state: GroupState, signed: Signed, form: Invite) -> InviteInfo:
    expires_ms = None if form.expires is UNSET else form.expires
    uses = None if form.uses is UNSET else form.uses
    used = state.uses_of(signed.hash)
    ended = None
    if state.invite_closed_ms(signed.hash) is not None:
        ended = "ended"
    elif expires_ms is not None and turn.now.wall_ms > expires_ms:
        ended = "expired"
    elif uses is not None and used >= uses:
        ended = "used up"
    return InviteInfo(
        signed.hash.hex(),
        form.role,
        signed.signer,
        signed.modified,
        expires_ms,
        uses,
        used,
        ended,
    )

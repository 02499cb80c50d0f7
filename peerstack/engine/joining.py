"""Invites and joins: asking to be let in, and letting in who proves an invite.

A join is stored before anybody is met, so it completes later where nobody is online now. Any
member's device can let a newcomer in; an admin's only, where the invite makes admins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta

from peerstack import limits
from peerstack.engine.kept_secrets import live_secrets, secret_in, secret_of
from peerstack.engine.parting import ended_by_now, forget_leave, untold
from peerstack.engine.turn import Turn
from peerstack.engine.writing import (
    add_own_statements,
    check_not_revoked,
    name_of,
    sign_statement,
    stamp_for_statement,
)
from peerstack.errors import InvalidValue, NotAllowed, Reason
from peerstack.groups.invites import (
    InviteLink,
    decode_untrusted_link,
    invite_signer,
    invite_topic,
    make_link,
)
from peerstack.groups.membership import GroupState
from peerstack.groups.statements import (
    ADMIT_TYPE,
    INVITE_TYPE,
    JOIN_TYPE,
    Admit,
    Invite,
    Join,
    Role,
    RoleName,
    invite_proof_payload,
)
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.keys import KEY_BYTES, Hash, Label, Secret
from peerstack.record import Signed, decode_untrusted

_PENDING: Final = "pending joins"


class PendingJoin(msgspec.Struct, frozen=True):
    """A join that waits for a member: its link, and the `$join` as signed (as text and hex)."""

    link: str
    body: str
    signature: Annotated[str, Meta(max_length=256)]
    since_ms: int


def invite(
    turn: Turn,
    group: GroupId,
    role: RoleName,
    expires_ms: int | None,
    uses: int | None,
    servers: Sequence[str],
) -> str:
    """Make an invite and its link. Raises `NotAllowed` for who is no admin, or `InvalidValue`."""
    state = turn.own_state(group)
    if state.is_personal:
        raise NotAllowed("nobody can be invited to your personal group; create a group to share")
    if role not in ("reader", "writer", "admin"):
        raise InvalidValue(f"role {role!r} is none of reader, writer and admin")
    if uses is not None and not 1 <= uses <= limits.INVITE_USES_MAX:
        raise InvalidValue(f"an invite has 1 to {limits.INVITE_USES_MAX} uses, not {uses}")
    grant = state.grant_for(turn.me.user.id, Role.ADMIN)
    if grant is None:
        raise NotAllowed(f"admins may invite to {name_of(turn, group)}; ask one of them")
    seed = Secret(turn.me.entropy.draw(KEY_BYTES))
    form = Invite(
        under=grant.hash.hex(),
        key=invite_signer(seed).public.hex(),
        topic=invite_topic(seed).hex(),
        role=role,
        expires=UNSET if expires_ms is None else expires_ms,
        uses=UNSET if uses is None else uses,
    )
    stamp = stamp_for_statement(turn, state, grant.since_ms)
    signed = sign_statement(turn, group, INVITE_TYPE, form, stamp)
    add_own_statements(turn, group, [signed])
    return make_link(
        seed,
        group,
        signed.hash,
        signed.modified,
        role,
        name_of(turn, group),
        turn.me.user.name,
        tuple(servers),
    )


def join(turn: Turn, link_text: str) -> tuple[GroupId, bool]:
    """Ask to be let into a group; whether this device is in it already. Raises `InvalidLink`.

    The join is stored: from now on this device looks for a member of the group. One that is in it
    does so too, where it has not heard of the invite: it may know no place any more where the
    others meet.
    """
    link = decode_untrusted_link(link_text)
    state = turn.state(link.group)
    is_member = state.role(turn.me.user.id) is not None
    if is_member and state.invite(link.invite_hash) is not None:
        return link.group, True
    turn.add_group(link.group, 0)
    forget_leave(turn, link.group)
    signed = _sign_join(turn, link)
    _store_joins(turn, {**_joins(turn), link.group: _pend(turn, link_text, signed)})
    turn.statements_changed(link.group)
    return link.group, is_member


def _sign_join(turn: Turn, link: InviteLink) -> Signed:
    """The newcomer's consent, stamped by the invite and not by a clock that may be wrong."""
    check_not_revoked(turn)
    user = turn.me.user
    device = turn.state(user.id).device(user.id, user.device)
    assert device is not None
    ended_ms = turn.state(link.group).ended_ms(user.id) or 0
    stamp = max(link.made_ms, device.since_ms, ended_ms) + 1
    payload = invite_proof_payload(link.invite_hash, link.group, user.id, user.device, stamp)
    proof = invite_signer(Secret(link.seed)).sign(Label.INVITE, payload)
    form = Join(invite=link.invite.hex(), proof=proof.hex())
    return sign_statement(turn, link.group, JOIN_TYPE, form, stamp)


def _pend(turn: Turn, link: str, signed: Signed) -> PendingJoin:
    body, signature = signed.body.decode(), signed.signature.hex()
    return PendingJoin(link, body, signature, turn.now.wall_ms)


def is_over(turn: Turn, group: GroupId) -> bool:
    """Whether this user is in a group no more, has nobody to tell of it, and asks not to be."""
    if turn.state(group).ended_ms(turn.me.user.id) is None:
        return False
    return group not in untold(turn) and group not in pending_joins(turn, [group])


def pending_joins(
    turn: Turn, among: Collection[GroupId] | None = None
) -> dict[GroupId, PendingJoin]:
    """The joins that wait for a member, by group: until one has let this device in for good.

    Those of all groups, or of some (`among`).

    Who is in lacks the group's secret at first: until it is here, only the link's meeting place
    leads to others; so it may be for who has not heard of the invite. And who let it in may prove
    to have had no right to.
    """
    joins = _joins(turn)
    if among is not None:
        joins = {group: joins[group] for group in among if group in joins}
    inside = _inside(turn, joins)
    return {
        group: join
        for group, join in joins.items()
        if group not in inside and not _was_in_vain(turn, group, join)
    }


def is_let_in(turn: Turn, group: GroupId) -> bool:
    """Whether this user is a member, and this device can meet the others as one of them."""
    is_member = turn.state(group).role(turn.me.user.id) is not None
    return is_member and secret_of(turn, group) is not None


def _inside(turn: Turn, joins: Mapping[GroupId, PendingJoin]) -> set[GroupId]:
    """The groups that let this device in, that it has heard the invite of, and can meet."""
    return {
        group
        for group, live in live_secrets(turn, joins).items()
        if secret_in(live.value) is not None
        and turn.state(group).role(turn.me.user.id) is not None
        and _has_heard_of_invite(turn, group, joins[group])
    }


def _has_heard_of_invite(turn: Turn, group: GroupId, join: PendingJoin) -> bool:
    return turn.state(group).invite(decode_untrusted_link(join.link).invite_hash) is not None


def _joins(turn: Turn) -> dict[GroupId, PendingJoin]:
    stored = turn.tx.profile_get(_PENDING) or {}
    return msgspec.convert(stored, dict[GroupId, PendingJoin])


def _store_joins(turn: Turn, joins: dict[GroupId, PendingJoin]) -> None:
    turn.tx.profile_set(_PENDING, msgspec.to_builtins(joins))


def settle_joins(turn: Turn) -> None:
    """Let go of joins that are over: who was removed, or left, does not come back by them."""
    joins = _joins(turn)
    long_ago_ms = turn.now.wall_ms - limits.NEWCOMER_MS
    old = {group: join for group, join in joins.items() if join.since_ms < long_ago_ms}
    over = _inside(turn, old)
    over |= {group for group, join in joins.items() if _was_in_vain(turn, group, join)}
    if over:
        _store_joins(turn, {group: join for group, join in joins.items() if group not in over})
        turn.meet_anew(*over)


def _was_in_vain(turn: Turn, group: GroupId, join: PendingJoin) -> bool:
    """Whether this user's time in the group has ended since the join."""
    ended_ms = turn.state(group).ended_ms(turn.me.user.id)
    if ended_ms is None:
        return False
    joined = decode_untrusted(join.body.encode(), bytes.fromhex(join.signature))
    return joined.modified <= ended_ms


class MeetingInvite(NamedTuple):
    """An invite by which newcomers are to be met."""

    has_ended: bool
    age_ms: int
    topic: Secret


def meeting_invites(turn: Turn, state: GroupState) -> Iterator[MeetingInvite]:
    """The invites under which newcomers are to be met, by this device's clock.

    Those that may still let somebody in; and those that ended a while ago: who came by them may not
    have the group's own secret yet, and who comes too late is to be told.
    """
    for signed, form in state.invites():
        has_ended = _ended(turn, state, signed.hash, form) is not None
        ends = [
            state.latest_use_ms(signed.hash) or 0,
            state.invite_closed_ms(signed.hash) or 0,
            0 if form.expires is UNSET else form.expires,
        ]
        if not has_ended or _ended_lately(turn, signed.hash, max(ends)):
            topic = Secret(bytes.fromhex(form.topic))
            yield MeetingInvite(has_ended, turn.now.wall_ms - signed.modified, topic)


def _ended_lately(turn: Turn, invite: Hash, said_ms: int) -> bool:
    return turn.now.wall_ms - ended_by_now(turn, invite.hex(), said_ms) < limits.NEWCOMER_MS


def _ended(turn: Turn, state: GroupState, invite_hash: Hash, form: Invite) -> Reason | None:
    expired = form.expires is not UNSET and turn.now.wall_ms > form.expires
    used_up = form.uses is not UNSET and state.uses_of(invite_hash) >= form.uses
    closed = state.invite_closed_ms(invite_hash) is not None
    return Reason.INVITE_ENDED if expired or used_up or closed else None


def let_in(turn: Turn, group: GroupId, user: UserId, device: DeviceId) -> Reason | None:
    """Admit a newcomer by a `$join` of its device that stands here; the reason where none will do.

    Without effect where there is no such join, or where either is in the wrong place for it: the
    newcomer is a member already, or this device's user is none.
    """
    state = turn.state(group)
    if state.role(user) is not None or state.role(turn.me.user.id) is None or turn.is_revoked:
        return None
    reason = Reason.INVITE_ENDED if state.asks_in_vain(user, device) else None
    for joined, form in state.joins_of(user, device):
        reason = _let_in_by(turn, state, joined, form)
        if reason is None:
            return None
    return reason


def _let_in_by(turn: Turn, state: GroupState, joined: Signed, form: Join) -> Reason | None:
    assert form.invite is not UNSET
    invite_hash = Hash(bytes.fromhex(form.invite))
    invite = state.invite(invite_hash)
    assert invite is not None
    ended = _ended(turn, state, invite_hash, invite)
    needed = Role.ADMIN if invite.role == Role.ADMIN.label else Role.READER
    grant = state.grant_for(turn.me.user.id, needed)
    if ended is not None or grant is None:
        return ended or Reason.NO_ROLE
    if joined.modified >= limits.STATEMENT_MS_MAX:
        return Reason.DOES_NOT_STAND  # No `$admit` can be later.
    stamp = stamp_for_statement(turn, state, max(joined.modified, grant.since_ms))
    admit = Admit(under=grant.hash.hex(), join=joined.hash.hex())
    signed = sign_statement(turn, state.group, ADMIT_TYPE, admit, stamp)
    add_own_statements(turn, state.group, [signed])
    return None

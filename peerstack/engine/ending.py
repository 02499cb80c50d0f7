"""Roles and their ends: promote, demote, remove, leave, end an invite, let records back in.

Everything is a few statements signed in one turn; what they bring about is for `groups` to say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from peerstack import limits
from peerstack.engine.kept_secrets import secret_id
from peerstack.engine.parting import remember_leave
from peerstack.engine.sealing import all_by, seal_parts
from peerstack.engine.turn import Turn
from peerstack.engine.writing import (
    add_own_statements,
    label_of,
    latest_near,
    secret_since_ms,
    sign_statement,
    stamp_for_statement,
    write_new_secret,
)
from peerstack.errors import InvalidValue, NotAllowed, NotFound
from peerstack.groups.effect import is_leave
from peerstack.groups.log import Grant
from peerstack.groups.membership import GroupState, Membership
from peerstack.groups.rules import role_needed
from peerstack.groups.seals import NO_HASHES, End, seal_root
from peerstack.groups.statements import (
    CLOSE_TYPE,
    GRANT_TYPE,
    Close,
    GrantForm,
    Role,
    RoleName,
)
from peerstack.ids import GroupId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed, had_seen

_ROLES = ("reader", "writer", "admin")

_OVERDUE_MS: Final = 60 * 60 * 1000
"""How long whoever ended a right has for the new secret; others make it then, once each."""


def set_role(turn: Turn, group: GroupId, user: UserId, role: RoleName) -> None:
    """Give a member another role, or one back to who was removed.

    Of the open invites that they know, those that give more than the role are ended: by them they
    would come back under another name. Raises `InvalidValue`, `NotFound` for who never agreed to be
    in the group (or left), and `NotAllowed` without the authority.
    """
    if role not in _ROLES:
        raise InvalidValue(f"role {role!r} is none of reader, writer and admin")
    state, wanted = turn.own_state(group), Role.named(role)
    held = state.role(user)
    if held == wanted:
        return
    _check_shared(turn, state)
    if held is Role.ADMIN:
        _check_other_admin(turn, state, user)
    kept = next((grant for grant in state.open_grants(user) if grant.role == wanted), None)
    higher = [grant for grant in state.open_grants(user) if grant.role > wanted]
    # Authority first: nothing is signed where a part of it would be refused.
    closing = {
        grant.hash: _authority(turn, state, grant) for grant in higher if grant.user != _me(turn)
    }
    given = kept.hash if kept else _grant(turn, state, user, role)
    if user == _me(turn):
        _give_up(turn, group, given, higher)
    elif higher:
        _end_invites(turn, state, _invites_known_by(state, user, higher, wanted))
        _close(turn, group, higher, closing)


def remove(turn: Turn, group: GroupId, user: UserId) -> None:
    """End every right that a member has, seal what they wrote, and let devices meet anew.

    The open invites that they know are ended too. Of who left at a time that is still to come, it
    takes that back: they can be let in again. Raises `NotFound` for who is no member, `NotAllowed`
    without the authority, and `InvalidValue` for oneself.
    """
    state = turn.own_state(group)
    _check_shared(turn, state)
    if user == _me(turn):
        raise InvalidValue("to take yourself out of a group, leave it")
    grants = state.open_grants(user) or _left_ahead(turn, state, user)
    if not grants:
        raise NotFound(f"{user} is no member of {_label(turn, group)}")
    authority = {grant.hash: _authority(turn, state, grant) for grant in grants}
    _end_invites(turn, state, _invites_known_by(state, user, grants))
    _close(turn, group, grants, authority)
    write_new_secret(turn, group)


def _left_ahead(turn: Turn, state: GroupState, user: UserId) -> list[Grant]:
    """The grants of who has left, but at a time to come, which no time to come back is behind."""
    now_ms = turn.now.wall_ms + limits.FUTURE_MS
    return [
        each.grant
        for each in state.standing_of(user)
        if each.end is not None and each.end.at_ms > now_ms
    ]


def _leaves_ahead(turn: Turn, state: GroupState, user: UserId) -> set[Hash]:
    now_ms = turn.now.wall_ms + limits.FUTURE_MS
    return {
        signed.hash
        for signed, close in state.log.closes()
        if signed.signer == user and is_leave(close) and signed.modified > now_ms
    }


def renew_secrets(turn: Turn) -> None:
    """Make secrets new that this device had made, and that lost to others made apart from them.

    Whoever was removed may have the winner, which whoever made it did not keep from them.
    """
    groups, turn.changed_secrets = turn.changed_secrets, set()
    for group in sorted(groups):
        if turn.state(group).role(_me(turn)) is Role.ADMIN and _has_lost(turn, group):
            write_new_secret(turn, group)


def _has_lost(turn: Turn, group: GroupId) -> bool:
    live = turn.tx.get(group, secret_id(group))
    device = turn.me.user.device
    if live is None or live.device == device or turn.is_revoked:
        return False
    lost = turn.tx.history(group, live.id)
    return any(each.device == device and not had_seen(live, each) for each in lost)


def renew_overdue_secrets(turn: Turn) -> None:
    """Make secrets new by which somebody could still meet who lost the right to it a while ago.

    Whoever removed them should have done it; their device may have said no more after the removal.
    A device's user cannot, where they are no admin.
    """
    user = turn.me.user
    for group in turn.groups():
        state = turn.state(group)
        # A device that is being linked, or was revoked, has its user's role, and may not use it.
        active = state.is_active(user.id, user.device)
        if active and state.role(user.id) is Role.ADMIN and _is_overdue(turn, group):
            write_new_secret(turn, group)


def _is_overdue(turn: Turn, group: GroupId) -> bool:
    state, since_ms = turn.state(group), secret_since_ms(turn, group)
    removed = [at_ms for user, at_ms in state.effect.removed.items() if state.role(user) is None]
    revoked = [end.at_ms for end in state.effect.device_ends.values()]
    # What is dated ahead is not waited for: a new secret would be older than that again.
    now_ms = turn.now.wall_ms
    return any(since_ms <= at_ms < now_ms - _OVERDUE_MS for at_ms in (*removed, *revoked))


def leave(turn: Turn, group: GroupId) -> None:
    """Take oneself out of a group. What is here of it stays.

    Raises `NotAllowed` for the personal group, and for the last admin of others.
    """
    state = turn.own_state(group)
    _check_shared(turn, state)
    _check_other_admin(turn, state, _me(turn))
    grants = state.open_grants(_me(turn))
    near_ms = latest_near(turn, state, *(grant.since_ms for grant in grants))
    stamp = stamp_for_statement(turn, state, max(grants[0].since_ms, near_ms))
    under = grants[0].hash.hex()
    form = Close(under, under, 0, NO_HASHES.hex())
    leave = sign_statement(turn, group, CLOSE_TYPE, form, stamp)
    add_own_statements(turn, group, [leave])
    if len(state.members()) > 1:
        remember_leave(turn, leave)


def end_invite(turn: Turn, group: GroupId, invite: Hash) -> None:
    """End an invite: who has not joined by it yet cannot any more.

    Raises `NotFound` where there is none, and `NotAllowed` without the authority.
    """
    state = turn.own_state(group)
    if state.invite(invite) is None:
        raise NotFound(f"no invite {invite.hex()} in {_label(turn, group)}; `invites` lists them")
    if not _end_invites(turn, state, [invite]):
        raise NotAllowed(
            f"admins may end invites to {_label(turn, group)}, and those that make admins, their "
            "maker and who is above; ask one of them"
        )


def readmit(turn: Turn, group: GroupId, hashes: Collection[Hash]) -> None:
    """Let quarantined records back in, by seals that name them.

    Raises `NotFound` where one is not in quarantine, `NotAllowed` for who is no admin, or where a
    revoked device signed one: then another device of its user can.
    """
    state = turn.own_state(group)
    found = [each.record for each in turn.tx.quarantined_by_hash(group, hashes)]
    if len(found) < len(set(hashes)):
        raise NotFound("some of these records are in quarantine no more; list them again")
    by_end: dict[tuple[End, Hash], set[Hash]] = defaultdict(set)
    for record in found:
        by_end[_seal_for(turn, state, record)].add(record.hash)
    for (end, under), named_by_it in by_end.items():
        stamp = stamp_for_statement(turn, state, max(end.at_ms, state.log.grants[under].since_ms))
        parts = seal_parts(turn, group, under, end.by, named_by_it, stamp)
        add_own_statements(turn, group, parts)


def _seal_for(turn: Turn, state: GroupState, record: Signed) -> tuple[End, Hash]:
    """The end that keeps a record out, and the grant under which to seal it."""
    end = state.device_end(record.signer, record.device)
    if end is not None and not end.spares(record):
        mine = state.grant_for(_me(turn), Role.READER)
        if record.signer != _me(turn) or mine is None:
            raise NotAllowed(
                f"record {record.id} was signed by a revoked device of {record.signer}; only "
                "another device of theirs can let it back in"
            )
        return end, mine.hash
    grant = state.grant_for(_me(turn), Role.ADMIN)
    if grant is None:
        raise NotAllowed(f"admins may let records back into {_label(turn, state.group)}")
    for standing in state.standing_of(record.signer):
        ended, given = standing.records_end, standing.grant
        early = record.modified <= given.since_ms
        if ended is not None and given.role >= role_needed(record.type) and not early:
            return ended, grant.hash
    raise NotAllowed(
        f"{record.signer} had no right to write {record.id} at its time; give them a role first"
    )


def _grant(turn: Turn, state: GroupState, user: UserId, role: RoleName) -> Hash:
    """A `$grant` by this user. Raises `NotAllowed` or `NotFound`."""
    under = state.grant_for(_me(turn), Role.ADMIN)
    if under is None:
        raise NotAllowed(f"admins may set roles in {_label(turn, state.group)}; ask one of them")
    consent = state.consent_of(user)
    if consent is None:
        told = state.membership(user) is Membership.LEFT
        raise NotFound(
            f"{user} {'left' if told else 'never joined'} {_label(turn, state.group)}; send them "
            "an invite"
        )
    consented_ms = state.forms[consent][0].modified
    left_ms = state.effect.left.get(user, -1)
    stamp = stamp_for_statement(turn, state, max(under.since_ms, consented_ms, left_ms))
    form = GrantForm(under.hash.hex(), user, role, consent.hex())
    signed = sign_statement(turn, state.group, GRANT_TYPE, form, stamp)
    add_own_statements(turn, state.group, [signed])
    return signed.hash


def _authority(turn: Turn, state: GroupState, target: Grant) -> Grant:
    """An own grant by which another may be ended. Raises `NotAllowed`."""
    for mine in state.open_grants(_me(turn)):
        if state.log.may_end(mine, target):
            return mine
    if state.role(_me(turn)) is not Role.ADMIN:
        raise NotAllowed(f"admins may do that in {_label(turn, state.group)}; ask one of them")
    raise NotAllowed(
        f"{target.user} was made an admin of {_label(turn, state.group)} by somebody who is not "
        "below you: only who did that, or is above them, can end it"
    )


def _close(
    turn: Turn, group: GroupId, grants: Sequence[Grant], authority: Mapping[Hash, Grant]
) -> None:
    """Close grants of one user by authority, each with a seal over all that the user wrote.

    A close ends what gives as much for the same consent, so one a consent will mostly do.
    """
    user = grants[0].user
    state = turn.state(group)
    hashes = all_by(turn, state, user) - _leaves_ahead(turn, state, user)
    for target in _lowest(grants):
        _close_one(turn, group, target, authority[target.hash], hashes)
    # Those that lie beyond the authority by which the lowest was ended.
    for target in turn.state(group).open_grants(user):
        if target in grants:
            _close_one(turn, group, target, authority[target.hash], hashes)


def _close_one(turn: Turn, group: GroupId, target: Grant, under: Grant, hashes: set[Hash]) -> None:
    state = turn.state(group)
    held = (grant.since_ms for grant in state.log.grants.values() if grant.user == target.user)
    stamp = stamp_for_statement(turn, state, max(under.since_ms, latest_near(turn, state, *held)))
    root = seal_root(hashes).hex()
    form = Close(under.hash.hex(), target.hash.hex(), len(hashes), root)
    closed = sign_statement(turn, group, CLOSE_TYPE, form, stamp)
    parts = seal_parts(turn, group, under.hash, closed.hash, hashes, stamp + 1) if hashes else ()
    add_own_statements(turn, group, [closed, *parts])


def _lowest(grants: Iterable[Grant]) -> list[Grant]:
    """For each consent, the grant that gives least: what ends it ends the others."""
    lowest: dict[Hash | None, Grant] = {}
    for grant in sorted(grants, key=lambda each: (each.role, each.since_ms, each.hash)):
        lowest.setdefault(grant.consent, grant)
    return list(lowest.values())


def _give_up(turn: Turn, group: GroupId, kept: Hash, grants: Sequence[Grant]) -> None:
    """Close own grants, under another own one that stays."""
    state = turn.state(group)
    near_ms = latest_near(turn, state, *(grant.since_ms for grant in state.open_grants(_me(turn))))
    stamp = stamp_for_statement(turn, state, max(state.log.grants[kept].since_ms, near_ms))
    closes = [Close(kept.hex(), grant.hash.hex(), 0, NO_HASHES.hex()) for grant in grants]
    add_own_statements(
        turn, group, [sign_statement(turn, group, CLOSE_TYPE, each, stamp) for each in closes]
    )


def _invites_known_by(
    state: GroupState, user: UserId, grants: Collection[Grant], above: Role | None = None
) -> list[Hash]:
    """The invites that a member made, or came by as these grants of theirs say.

    With `above`, only those that give more than that role.
    """
    came_by = {grant.invite for grant in grants}
    return [
        signed.hash
        for signed, form in state.invites()
        if (signed.signer == user or signed.hash in came_by)
        and (above is None or Role.named(form.role) > above)
    ]


def _end_invites(turn: Turn, state: GroupState, invites: Iterable[Hash]) -> bool:
    """End those of some invites that are open and may be ended; whether there were any."""
    closes = []
    for invite_hash in invites:
        form = state.invite(invite_hash)
        if form is None or state.invite_closed_ms(invite_hash) is not None:
            continue
        mine = state.open_grants(_me(turn))
        under = next((each for each in mine if state.log.may_end_invite(each, form)), None)
        if under is not None:
            # Who came in by it, at a time that is a little ahead of this clock, stays.
            used_ms = state.latest_use_ms(invite_hash) or 0
            near_ms = latest_near(turn, state, state.forms[invite_hash][0].modified, used_ms)
            stamp = stamp_for_statement(turn, state, max(near_ms, under.since_ms))
            close = Close(under.hash.hex(), invite_hash.hex(), 0, NO_HASHES.hex())
            closes.append(sign_statement(turn, state.group, CLOSE_TYPE, close, stamp))
    if closes:
        add_own_statements(turn, state.group, closes)
    return bool(closes)


def _check_shared(turn: Turn, state: GroupState) -> None:
    if state.is_personal:
        raise NotAllowed("your personal group has no members but you")


def _check_other_admin(turn: Turn, state: GroupState, user: UserId) -> None:
    """Who is the only admin must not go while others stay: nobody could invite or remove then."""
    members = state.members()
    others = [each for each, role in members.items() if role is Role.ADMIN and each != user]
    if members.get(user) is Role.ADMIN and not others and len(members) > 1:
        raise NotAllowed(
            f"{'you are' if user == _me(turn) else f'{user} is'} the only admin of "
            f"{_label(turn, state.group)}; make somebody else an admin first"
        )


def _label(turn: Turn, group: GroupId) -> str:
    return repr(label_of(turn, group))


def _me(turn: Turn) -> UserId:
    return turn.me.user.id

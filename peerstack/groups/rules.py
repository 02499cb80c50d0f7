"""Admit, hold or refuse: pure functions of a `GroupState`. They look nothing up.

Each rule has a row in `docs/rules.md`, and each row a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET

from peerstack import limits
from peerstack.errors import Reason
from peerstack.groups.log import Grant, references
from peerstack.groups.membership import GroupState
from peerstack.groups.statements import (
    Admit,
    Close,
    Founding,
    GrantForm,
    Invite,
    Join,
    Role,
    Seal,
    group_form_untrusted,
    group_id_fields,
    invite_proof_check,
    named,
)
from peerstack.keys import Check, DerivedIdCheck, Hash, Label
from peerstack.record import PROFILE_TYPE, REACHED_TYPE, SECRET_TYPE, Signed


@dataclass(frozen=True, slots=True)
class Admitted:
    """It stands."""


@dataclass(frozen=True, slots=True)
class Held:
    """It may stand later: at a time, or with a statement that is not here yet."""

    until_ms: int | None = None
    """Unix milliseconds; None where a statement is missing."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It does not stand, whatever else arrives (but see `Reason.NO_ROLE` in `docs/rules.md`)."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that the seal of an end leaves out: kept apart, until an admin lets it back in."""

    ends: Hash
    """The `$close` or `$revoke` that ended the signer's right or device."""


Verdict = Admitted | Held | Refused
RecordVerdict = Verdict | Quarantined

ADMITTED: Final = Admitted()
MISSING: Final = Held()
_NO: Final = Refused(Reason.DOES_NOT_STAND)

_ADMIN_RECORDS: Final = frozenset({PROFILE_TYPE, SECRET_TYPE})


def role_needed(type_name: str) -> Role:
    """The role that writing a record of a type takes."""
    if type_name == REACHED_TYPE:
        return Role.READER
    return Role.ADMIN if type_name in _ADMIN_RECORDS else Role.WRITER


def judge_record(state: GroupState, record: Signed, now_ms: int) -> RecordVerdict:
    """Whether a record whose signature holds may be admitted, by this device's wall clock.

    The signer decides, not who passed it on. Only the two rules that look at the wall clock and at
    what is missing can hold it.
    """
    verdict = _judge_rights(state, record, now_ms)
    if isinstance(verdict, Quarantined) and record.is_mark:
        # It says nothing of what anybody wrote, and nobody would let it back in.
        return Refused(Reason.NO_ROLE)
    return verdict


def _judge_rights(state: GroupState, record: Signed, now_ms: int) -> RecordVerdict:
    if record.group != state.group:
        return Refused(Reason.WRONG_GROUP)
    if record.modified > now_ms + limits.FUTURE_MS:
        return Held(record.modified - limits.FUTURE_MS)
    certified = state.certified(record.signer, record.device)
    if certified is None:
        return MISSING
    if record.modified <= certified.since_ms:
        return Refused(Reason.NO_ROLE)
    needed = role_needed(record.type)
    rights = [
        each.records_end
        for each in state.standing_of(record.signer)
        if each.grant.role >= needed and each.grant.since_ms < record.modified
    ]
    if any(end is not None and record.hash in end.named for end in rights):
        return ADMITTED  # Whatever becomes of its device, since others saw fit to keep it.
    if not any(end is None or end.spares(record) for end in rights):
        left_out = [end.by for end in rights if end is not None and end.leaves_out(record)]
        # Any will do, as long as it is the same on every device.
        return Quarantined(min(left_out)) if left_out else Refused(Reason.NO_ROLE)
    return _judge_device(state, record)


def _judge_device(state: GroupState, record: Signed) -> RecordVerdict:
    """Whether the device that signed a record counts, and what it signed stays."""
    if state.device(record.signer, record.device) is None:
        forked = state.identities[record.signer].forked
        return MISSING if forked else Refused(Reason.DEVICE_ENDED)
    end = state.device_end(record.signer, record.device)
    if end is None or end.spares(record):
        return ADMITTED
    return Quarantined(end.by) if end.leaves_out(record) else Refused(Reason.DEVICE_ENDED)


def statement_checks_untrusted(state: GroupState, signed: Signed) -> Sequence[Check] | None:
    """What must hold before a group statement is believed.

    Returns None while its signer's device, or the invite that a join names, is not known. Raises
    `RemoteError(MALFORMED)`.
    """
    form = group_form_untrusted(signed)
    device = state.certified(signed.signer, signed.device)
    if device is None:
        return None
    checks: list[Check] = [signed.signature_check(device.key)]
    if isinstance(form, Founding):
        fields = group_id_fields(signed.signer, bytes.fromhex(form.nonce))
        checks.append(DerivedIdCheck(Label.GROUP_ID, fields, signed.modified, signed.group))
    if isinstance(form, Join) and form.invite is not UNSET:
        invite = state.forms.get(named(form.invite))
        if invite is None:
            return None
        # `judge_statement` refuses a join that names anything else.
        if isinstance(invite[1], Invite):
            checks.append(invite_proof_check(signed, form, invite[1]))
    return checks


def waits_for(state: GroupState, signed: Signed) -> str:
    """What a group statement that is held waits for first: as the hash of a statement in hex.

    Where it is no statement that it names: the id of its signer, who lacks a certificate or a
    grant; or that of the group, whose founding is missing.
    """
    if state.certified(signed.signer, signed.device) is None:
        return signed.signer
    form = group_form_untrusted(signed)
    for each in references(form):
        here = each in state.forms or each in state.log.grants
        if not here and state.revocation(each) is None:
            return each.hex()
    return state.group if isinstance(form, Join) else signed.signer


def judge_statement(state: GroupState, signed: Signed) -> Verdict:
    """Whether a group statement whose checks hold is admitted: kept, and shown to others.

    It depends only on statements that this one names by hash, so the order of arrival is nothing to
    it: while one of them is missing, it is held. Whether it has effect is another question, which
    every later statement may answer anew (`effect`).
    """
    if signed.group != state.group:
        return Refused(Reason.WRONG_GROUP)
    device = state.certified(signed.signer, signed.device)
    if device is None:
        return MISSING
    if device.since_ms >= signed.modified:
        return _NO
    form = group_form_untrusted(signed)
    if state.is_personal and isinstance(form, Founding | Invite | Join | Admit | GrantForm | Close):
        return _NO
    match form:
        case Founding():
            return ADMITTED
        case Invite():
            return _judge_under(state, signed, form.under, Role.ADMIN)
        case Join():
            return _judge_join(state, signed, form)
        case Admit():
            return _judge_admit(state, signed, form)
        case GrantForm():
            return _judge_grant(state, signed, form)
        case Close():
            return _judge_close(state, signed, form)
        case Seal():
            return _judge_seal(state, signed, form)
        case _:
            return _judge_bystander(state, signed)


def _judge_under(state: GroupState, signed: Signed, under: str, role: Role) -> Verdict:
    grant = state.log.grants.get(named(under))
    if grant is None and named(under) not in state.forms:
        return MISSING
    return ADMITTED if grant and _gives(grant, signed, role) else _NO


def _gives(grant: Grant, signed: Signed, role: Role) -> bool:
    return grant.user == signed.signer and grant.role >= role and grant.since_ms < signed.modified


def _judge_join(state: GroupState, signed: Signed, join: Join) -> Verdict:
    if join.invite is UNSET:
        # Until the founding is here, this might be a personal group, which nobody joins.
        return ADMITTED if state.log.grants else MISSING
    invite = state.forms.get(named(join.invite))
    if invite is None:
        return MISSING
    if not isinstance(invite[1], Invite) or invite[0].modified >= signed.modified:
        return _NO
    return ADMITTED


def _judge_admit(state: GroupState, signed: Signed, admit: Admit) -> Verdict:
    joined = state.forms.get(named(admit.join))
    if joined is None:
        return MISSING
    join_signed, join = joined
    if not isinstance(join, Join) or join.invite is UNSET:
        return _NO
    if join_signed.modified >= signed.modified:
        return _NO
    invite = state.invite(named(join.invite))
    if invite is None:
        return MISSING
    if invite.expires is not UNSET and signed.modified > invite.expires:
        return Refused(Reason.INVITE_ENDED)
    needed = Role.ADMIN if invite.role == Role.ADMIN.label else Role.READER
    return _judge_under(state, signed, admit.under, needed)


def _judge_grant(state: GroupState, signed: Signed, grant: GrantForm) -> Verdict:
    consent = state.forms.get(named(grant.consent))
    if consent is None:
        return MISSING
    consent_signed, consent_form = consent
    if (
        not isinstance(consent_form, Join | Founding)
        or consent_signed.signer != grant.user
        or consent_signed.modified >= signed.modified
    ):
        return _NO
    return _judge_under(state, signed, grant.under, Role.ADMIN)


def _judge_close(state: GroupState, signed: Signed, close: Close) -> Verdict:
    verdict = _judge_under(state, signed, close.under, Role.READER)
    if verdict is not ADMITTED:
        return verdict
    if named(close.target) not in state.forms:
        return MISSING
    # It may be later than its own end: else a right dated into the future could never be ended.
    return ADMITTED if _may_close(state, signed, close) else _NO


def _may_close(state: GroupState, signed: Signed, close: Close) -> bool:
    log, target = state.log, named(close.target)
    under, ended, invite = (
        log.grants[named(close.under)],
        log.grants.get(target),
        log.invite(target),
    )
    if ended is not None and ended.user == signed.signer:
        return close.count == 0
    if ended is not None:
        return log.may_end(under, ended)
    return invite is not None and close.count == 0 and log.may_end_invite(under, invite)


def _judge_seal(state: GroupState, signed: Signed, seal: Seal) -> Verdict:
    verdict = _judge_under(state, signed, seal.under, Role.READER)
    if verdict is not ADMITTED:
        return verdict
    revoked = state.revocation(named(seal.ends))
    if revoked is not None:
        user, revocation = revoked
        own = user == signed.signer and revocation.device != signed.device
        return ADMITTED if own and revocation.at_ms < signed.modified else _NO
    ends = state.forms.get(named(seal.ends))
    if ends is None:
        return MISSING
    closed, form = ends
    closes_grant = isinstance(form, Close) and named(form.target) in state.log.grants
    is_admin = state.log.grants[named(seal.under)].is_admin
    return ADMITTED if closes_grant and is_admin and closed.modified < signed.modified else _NO


def _judge_bystander(state: GroupState, signed: Signed) -> Verdict:
    """Statements of a later version: kept and passed on where their signer ever had a role.

    They name no grant of their signer's for certain, and an earlier one may still arrive, so where
    there is none they are held, never refused.
    """
    known = any(_gives(grant, signed, Role.READER) for grant in state.grants_of(signed.signer))
    return ADMITTED if known else MISSING

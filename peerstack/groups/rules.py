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
from peerstack.groups.membership import Grant, GroupState
from peerstack.groups.statements import (
    Admit,
    Founding,
    GrantForm,
    Invite,
    Join,
    Role,
    group_form_untrusted,
    group_id_fields,
    invite_proof_check,
)
from peerstack.keys import Check, DerivedIdCheck, Hash, Label
from peerstack.record import PROFILE_TYPE, SECRET_TYPE, Signed


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


Verdict = Admitted | Held | Refused

ADMITTED: Final = Admitted()
MISSING: Final = Held()

_ADMIN_RECORDS: Final = frozenset({PROFILE_TYPE, SECRET_TYPE})


def role_needed(type_name: str) -> Role:
    """The role that writing a record of a type takes."""
    return Role.ADMIN if type_name in _ADMIN_RECORDS else Role.WRITER


def judge_record(state: GroupState, record: Signed, now_ms: int) -> Verdict:
    """Whether a record whose signature holds may be admitted, by this device's wall clock.

    The signer decides, not who passed it on. Only the two rules that look at the wall clock and at
    what is missing can hold it.
    """
    if record.group != state.group:
        return Refused(Reason.WRONG_GROUP)
    if record.modified > now_ms + limits.FUTURE_MS:
        return Held(record.modified - limits.FUTURE_MS)
    device = state.device(record.signer, record.device)
    if device is None:
        return MISSING
    role = state.role_at(record.signer, record.modified)
    if device.since_ms >= record.modified or role is None or role < role_needed(record.type):
        return Refused(Reason.NO_ROLE)
    return ADMITTED


def statement_checks_untrusted(state: GroupState, signed: Signed) -> Sequence[Check] | None:
    """What must hold before a group statement is believed.

    Returns None while its signer's device, or the invite that a join names, is not known. Raises
    `RemoteError(MALFORMED)`.
    """
    form = group_form_untrusted(signed)
    device = state.device(signed.signer, signed.device)
    if device is None:
        return None
    checks: list[Check] = [signed.signature_check(device.key)]
    if isinstance(form, Founding):
        fields = group_id_fields(signed.signer, bytes.fromhex(form.nonce))
        checks.append(DerivedIdCheck(Label.GROUP_ID, fields, signed.modified, signed.group))
    if isinstance(form, Join) and form.invite is not UNSET:
        named = state.forms.get(Hash(bytes.fromhex(form.invite)))
        if named is None:
            return None
        # `judge_statement` refuses a join that names anything else.
        if isinstance(named[1], Invite):
            checks.append(invite_proof_check(signed, form, named[1]))
    return checks


def judge_statement(state: GroupState, signed: Signed) -> Verdict:
    """Whether a group statement whose checks hold stands.

    It depends only on statements that this one names by hash, so the order of arrival is nothing to
    it: while one of them is missing, it is held.
    """
    if signed.group != state.group:
        return Refused(Reason.WRONG_GROUP)
    device = state.device(signed.signer, signed.device)
    if device is None:
        return MISSING
    if device.since_ms >= signed.modified:
        return Refused(Reason.DOES_NOT_STAND)
    form = group_form_untrusted(signed)
    if state.is_personal and isinstance(form, Founding | Invite | Join | Admit | GrantForm):
        return Refused(Reason.DOES_NOT_STAND)
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
        case _:
            return _judge_bystander(state, signed)


def _judge_under(state: GroupState, signed: Signed, under: str, role: Role) -> Verdict:
    under_hash = Hash(bytes.fromhex(under))
    grant = state.grants.get(under_hash)
    if grant is None and under_hash not in state.forms:
        return MISSING
    return ADMITTED if grant and _gives(grant, signed, role) else Refused(Reason.DOES_NOT_STAND)


def _gives(grant: Grant, signed: Signed, role: Role) -> bool:
    return grant.user == signed.signer and grant.role >= role and grant.since_ms < signed.modified


def _judge_join(state: GroupState, signed: Signed, join: Join) -> Verdict:
    if join.invite is UNSET:
        # Until the founding is here, this might be a personal group, which nobody joins.
        return ADMITTED if state.grants else MISSING
    invite = state.forms.get(Hash(bytes.fromhex(join.invite)))
    if invite is None:
        return MISSING
    if not isinstance(invite[1], Invite) or invite[0].modified >= signed.modified:
        return Refused(Reason.DOES_NOT_STAND)
    return ADMITTED


def _judge_admit(state: GroupState, signed: Signed, admit: Admit) -> Verdict:
    joined = state.forms.get(Hash(bytes.fromhex(admit.join)))
    if joined is None:
        return MISSING
    join_signed, join = joined
    if not isinstance(join, Join) or join.invite is UNSET:
        return Refused(Reason.DOES_NOT_STAND)
    if join_signed.modified >= signed.modified:
        return Refused(Reason.DOES_NOT_STAND)
    invite = state.invite(Hash(bytes.fromhex(join.invite)))
    if invite is None:
        return MISSING
    if invite.expires is not UNSET and signed.modified > invite.expires:
        return Refused(Reason.INVITE_ENDED)
    needed = Role.ADMIN if invite.role == Role.ADMIN.label else Role.READER
    return _judge_under(state, signed, admit.under, needed)


def _judge_grant(state: GroupState, signed: Signed, grant: GrantForm) -> Verdict:
    consent = state.forms.get(Hash(bytes.fromhex(grant.consent)))
    if consent is None:
        return MISSING
    consent_signed, consent_form = consent
    if (
        not isinstance(consent_form, Join | Founding)
        or consent_signed.signer != grant.user
        or consent_signed.modified >= signed.modified
    ):
        return Refused(Reason.DOES_NOT_STAND)
    return _judge_under(state, signed, grant.under, Role.ADMIN)


def _judge_bystander(state: GroupState, signed: Signed) -> Verdict:
    """Statements without effect in this version: kept and passed on where a member made them.

    They name no grant of their signer's for certain, and an earlier one may still arrive, so where
    there is none they are held, never refused.
    """
    return MISSING if state.role_at(signed.signer, signed.modified) is None else ADMITTED

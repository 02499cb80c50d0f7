"""The admitted statements of one group, parsed: what names what. Knows not what has effect.

All that this says of a statement follows from what that names by hash, so it never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from msgspec import UNSET

from peerstack.groups.statements import (
    Admit,
    Close,
    Founding,
    GrantForm,
    GroupForm,
    Invite,
    Join,
    Role,
    Seal,
    group_form_untrusted,
    named,
)
from peerstack.identity import Device, Identity, is_identity_type, read_identity
from peerstack.ids import DeviceId, GroupId, UserId, as_user
from peerstack.keys import Hash
from peerstack.record import Signed

Entry = tuple[Signed, GroupForm | None]
IdentityRead = tuple[frozenset[Hash], Identity | None]
"""The identity of a user, and the statements that it was read from."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for a user, from a moment on."""

    hash: Hash
    user: UserId
    role: Role
    since_ms: int
    """What the user signs counts after it."""
    under: Hash | None
    """The grant that it was made under; None for the founder's."""
    consent: Hash | None
    """The `$join` or `$group` by which the user agreed; None in a personal group."""
    consent_ms: int
    invite: Hash | None = None
    """The invite that an `$admit` went by."""

    @property
    def is_admin(self) -> bool:
        """Whether its holder may grant and end."""
        return self.role is Role.ADMIN

    @property
    def order(self) -> tuple[int, Hash]:
        """Grants in the order of their times; of one time, in that of their hashes."""
        return (self.since_ms, self.hash)


@dataclass(frozen=True, slots=True)
class StatementLog:
    """A value: extending it gives another."""

    group: GroupId
    identities: Mapping[UserId, Identity] = field(default_factory=dict)
    grants: Mapping[Hash, Grant] = field(default_factory=dict)
    """Every grant that was made, whether it stands or not."""
    forms: Mapping[Hash, Entry] = field(default_factory=dict)
    identities_read: Mapping[UserId, IdentityRead] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, group: GroupId, statements: Iterable[Signed], known: StatementLog | None) -> Self:
        """The log of admitted statements; what `known` has read of them is not read again."""
        by_user: dict[UserId, list[Signed]] = {}
        own: list[Signed] = []
        for signed in statements:
            if is_identity_type(signed.type):
                by_user.setdefault(signed.signer, []).append(signed)
            else:
                own.append(signed)
        known = known or cls(group)
        read = {user: known.read_identity(user, of_user) for user, of_user in by_user.items()}
        identities = {user: identity for user, (_, identity) in read.items() if identity}
        grants = _personal_grants(identities.get(as_user(group)))
        return cls(group, identities, grants, {}, read).extended(own, known.forms)

    def read_identity(self, user: UserId, statements: Sequence[Signed]) -> IdentityRead:
        """What statements say of a user, and which they are."""
        of = frozenset(signed.hash for signed in statements)
        before = self.identities_read.get(user)
        return before if before and before[0] == of else (of, read_identity(statements))

    def extended(self, admitted: Iterable[Signed], parsed: Mapping[Hash, Entry]) -> Self:
        """This log and further group statements."""
        forms, grants = dict(self.forms), dict(self.grants)
        for signed in sorted(admitted, key=lambda each: each.order):
            known = parsed.get(signed.hash)
            form = known[1] if known else group_form_untrusted(signed)
            forms[signed.hash] = (signed, form)
            grant = grant_of(signed, form, forms)
            if grant is not None:
                grants[signed.hash] = grant
        return type(self)(self.group, self.identities, grants, forms, self.identities_read)

    def certified(self, user: UserId, device: DeviceId) -> Device | None:
        """The device of a user, where any root key of theirs ever certified it."""
        identity = self.identities.get(user)
        return identity.certified.get(device) if identity else None

    def invite(self, invite: Hash) -> Invite | None:
        """The invite of a hash."""
        _, form = self.forms.get(invite, (None, None))
        return form if isinstance(form, Invite) else None

    def join(self, join: Hash) -> tuple[Signed, Join] | None:
        """The join of a hash."""
        signed, form = self.forms.get(join, (None, None))
        return (signed, form) if signed is not None and isinstance(form, Join) else None

    def closes(self) -> Iterator[tuple[Signed, Close]]:
        """Every `$close`."""
        return ((signed, form) for signed, form in self.forms.values() if isinstance(form, Close))

    def seals(self) -> Iterator[tuple[Signed, Seal]]:
        """Every part of a seal."""
        return ((signed, form) for signed, form in self.forms.values() if isinstance(form, Seal))

    def is_above(self, upper: Hash, lower: Grant) -> bool:
        """Whether a grant was made, by whatever steps, under an upper one."""
        under = lower.under
        while under is not None and under != upper:
            under = self.grants[under].under
        return under is not None

    def may_end(self, grant: Grant, target: Grant) -> bool:
        """Whether the holder of a grant has the authority to end another, and to say what stays.

        Of admins, those above in the tree; of others, any admin. So nothing depends on itself.
        """
        return grant.is_admin and (not target.is_admin or self.is_above(grant.hash, target))

    def may_end_invite(self, grant: Grant, invite: Invite) -> bool:
        """Whether the holder of a grant has the authority to end an invite.

        Any admin; where it makes admins, who made it and those above them.
        """
        maker = self.grants[named(invite.under)]
        if not grant.is_admin or invite.role != Role.ADMIN.label:
            return grant.is_admin
        return grant.user == maker.user or self.is_above(grant.hash, maker)

    def with_references(self, statements: Iterable[Hash]) -> list[Signed]:
        """Some statements and all that they name, by whatever steps, of this group."""
        found: dict[Hash, Signed] = {}
        wanted = list(statements)
        while wanted:
            wanted_hash = wanted.pop()
            # A personal group's root grant is its user's inception, which is no group statement.
            if wanted_hash in self.forms and wanted_hash not in found:
                found[wanted_hash], form = self.forms[wanted_hash]
                wanted.extend(references(form))
        return list(found.values())


def _personal_grants(identity: Identity | None) -> dict[Hash, Grant]:
    """In the group that has a user's own id, that user is the admin, and nobody else is in it."""
    if identity is None:
        return {}
    since_ms = identity.since_ms
    return {
        inception: Grant(inception, identity.user, Role.ADMIN, since_ms, None, None, since_ms)
        for inception in identity.inceptions
    }


def grant_of(signed: Signed, form: GroupForm | None, forms: Mapping[Hash, Entry]) -> Grant | None:
    """The grant that a statement makes, if it makes one; `forms` has all that it names."""
    match form:
        case Founding():
            at_ms = signed.modified
            return Grant(signed.hash, signed.signer, Role.ADMIN, at_ms, None, signed.hash, at_ms)
        case GrantForm():
            consent = named(form.consent)
            return Grant(
                signed.hash,
                as_user(form.user),
                Role.named(form.role),
                signed.modified,
                named(form.under),
                consent,
                forms[consent][0].modified,
            )
        case Admit():
            joined, join = forms[named(form.join)]
            assert isinstance(join, Join)
            assert join.invite is not UNSET
            invite_hash = named(join.invite)
            _, invite = forms[invite_hash]
            assert isinstance(invite, Invite)
            return Grant(
                signed.hash,
                joined.signer,
                Role.named(invite.role),
                signed.modified,
                named(form.under),
                joined.hash,
                joined.modified,
                invite_hash,
            )
    return None


def references(form: GroupForm | None) -> tuple[Hash, ...]:
    """The statements without which one makes no sense."""
    texts: tuple[str, ...] = ()
    match form:
        case Invite(under=under):
            texts = (under,)
        case Join(invite=str(invite)):
            texts = (invite,)
        case Admit(under=under, join=join):
            texts = (under, join)
        case GrantForm(under=under, consent=consent):
            texts = (under, consent)
        case Close(under=under, target=target):
            texts = (under, target)
        case Seal(under=under, ends=ends):
            texts = (under, ends)
    return tuple(map(named, texts))

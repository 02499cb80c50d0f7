"""Who holds which role when: a value built from verified statements. It looks nothing up.

The same statements give the same `GroupState` on every device, in whatever order they arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from msgspec import UNSET

from peerstack.groups.statements import (
    Admit,
    Founding,
    GrantForm,
    GroupForm,
    Invite,
    Join,
    Role,
    group_form_untrusted,
    references,
)
from peerstack.identity import Device, Identity, is_identity_type, read_identity
from peerstack.ids import DeviceId, GroupId, UserId, as_user
from peerstack.keys import Hash
from peerstack.record import Signed


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


@dataclass(frozen=True, slots=True)
class GroupState:
    """What the admitted statements of one group say. A value: extending it gives another."""

    group: GroupId
    identities: Mapping[UserId, Identity] = field(default_factory=dict)
    grants: Mapping[Hash, Grant] = field(default_factory=dict)
    forms: Mapping[Hash, tuple[Signed, GroupForm | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, group: GroupId, statements: Iterable[Signed]) -> Self:
        """The state that statements already admitted describe: the group's and its users'."""
        by_user: dict[UserId, list[Signed]] = {}
        own: list[Signed] = []
        for signed in statements:
            if is_identity_type(signed.type):
                by_user.setdefault(signed.signer, []).append(signed)
            else:
                own.append(signed)
        read = (read_identity(of_user) for of_user in by_user.values())
        identities = {identity.user: identity for identity in read if identity}
        state = cls(group, identities, _personal_grant(identities.get(as_user(group))))
        return state.extended(own)

    def extended(self, admitted: Iterable[Signed]) -> Self:
        """This state and further group statements, each already judged to stand."""
        forms, grants = dict(self.forms), dict(self.grants)
        for signed in sorted(admitted, key=lambda each: each.order):
            form = group_form_untrusted(signed)
            forms[signed.hash] = (signed, form)
            grant = _grant_of(signed, form, forms)
            if grant is not None:
                grants[signed.hash] = grant
        return type(self)(self.group, self.identities, grants, forms)

    @property
    def is_personal(self) -> bool:
        """Whether this is the group of one user's own devices."""
        return self.group in self.identities

    def device(self, user: UserId, device: DeviceId) -> Device | None:
        """The device's certificate, where its user is known."""
        identity = self.identities.get(user)
        return identity.devices.get(device) if identity else None

    def grants_of(self, user: UserId) -> Iterator[Grant]:
        """Every standing grant that the user holds."""
        return (grant for grant in self.grants.values() if grant.user == user)

    def role_at(self, user: UserId, time_ms: int) -> Role | None:
        """The highest role that the user holds at a moment; None for somebody who is no member."""
        held = (grant.role for grant in self.grants_of(user) if grant.since_ms < time_ms)
        return max(held, default=None)

    def role(self, user: UserId) -> Role | None:
        """The highest role that the user holds by these statements."""
        return max((grant.role for grant in self.grants_of(user)), default=None)

    def grant_for(self, user: UserId, role: Role) -> Grant | None:
        """The oldest standing grant that gives the user at least `role`."""
        fitting = (grant for grant in self.grants_of(user) if grant.role >= role)
        return min(fitting, key=lambda grant: (grant.since_ms, grant.hash), default=None)

    def members(self) -> Mapping[UserId, Role]:
        """The role of every member."""
        roles: dict[UserId, Role] = {}
        for grant in self.grants.values():
            roles[grant.user] = max(grant.role, roles.get(grant.user, grant.role))
        return roles

    def invites(self) -> Iterator[tuple[Signed, Invite]]:
        """Every invite that stands, ended or not."""
        for signed, form in self.forms.values():
            if isinstance(form, Invite):
                yield signed, form

    def invite(self, invite: Hash) -> Invite | None:
        """The invite of a hash, where it stands."""
        _, form = self.forms.get(invite, (None, None))
        return form if isinstance(form, Invite) else None

    def uses_of(self, invite: Hash) -> int:
        """How many joins were let in by an invite."""
        return len({form.join for _, form in self._admits_by(invite)})

    def latest_use_ms(self, invite: Hash) -> int | None:
        """When somebody was last let in by an invite (Unix milliseconds)."""
        return max((signed.modified for signed, _ in self._admits_by(invite)), default=None)

    def _admits_by(self, invite: Hash) -> Iterator[tuple[Signed, Admit]]:
        for signed, form in self.forms.values():
            if isinstance(form, Admit):
                join = self.join(Hash(bytes.fromhex(form.join)))
                if join is not None and join[1].invite == invite.hex():
                    yield signed, form

    def join(self, join: Hash) -> tuple[Signed, Join] | None:
        """The join of a hash, where it stands."""
        signed, form = self.forms.get(join, (None, None))
        return (signed, form) if signed is not None and isinstance(form, Join) else None

    def joins_of(self, user: UserId, device: DeviceId) -> Iterator[tuple[Signed, Join]]:
        """The joins by invite that a device of a user made, whether it was let in or not."""
        for signed, form in self.forms.values():
            if not isinstance(form, Join) or form.invite is UNSET:
                continue
            if (signed.signer, signed.device) == (user, device):
                yield signed, form

    def vouching(self, user: UserId) -> list[Signed]:
        """The group statements that show why the user is a member: the chain up to the founder."""
        grant = self.grant_for(user, Role.READER)
        chain: dict[Hash, Signed] = {}
        wanted = [grant.hash] if grant else []
        while wanted:
            wanted_hash = wanted.pop()
            # A personal group's root grant is its user's inception, which is no group statement.
            if wanted_hash in self.forms and wanted_hash not in chain:
                chain[wanted_hash], form = self.forms[wanted_hash]
                wanted.extend(references(form))
        return list(chain.values())


def _personal_grant(identity: Identity | None) -> dict[Hash, Grant]:
    """In the group that has a user's own id, that user is the admin, and nobody else is in it."""
    if identity is None:
        return {}
    root = Grant(identity.inception, identity.user, Role.ADMIN, identity.since_ms, None)
    return {identity.inception: root}


def _grant_of(
    signed: Signed, form: GroupForm | None, forms: Mapping[Hash, tuple[Signed, GroupForm | None]]
) -> Grant | None:
    if isinstance(form, Founding):
        return Grant(signed.hash, signed.signer, Role.ADMIN, signed.modified, None)
    if isinstance(form, GrantForm):
        under = Hash(bytes.fromhex(form.under))
        role = Role.named(form.role)
        return Grant(signed.hash, as_user(form.user), role, signed.modified, under)
    if isinstance(form, Admit):
        join_signed, join = forms[Hash(bytes.fromhex(form.join))]
        assert isinstance(join, Join)
        assert join.invite is not UNSET
        _, invite = forms[Hash(bytes.fromhex(join.invite))]
        assert isinstance(invite, Invite)
        under = Hash(bytes.fromhex(form.under))
        role = Role.named(invite.role)
        return Grant(signed.hash, join_signed.signer, role, signed.modified, under)
    return None

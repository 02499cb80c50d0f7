"""Who holds which role when: a value built from verified statements. It looks nothing up.

The same statements give the same `GroupState` on every device, in whatever order they arrived.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Self

from msgspec import UNSET

from peerstack.groups.effect import Effect, SealsRead, Standing, effect_of
from peerstack.groups.log import Entry, Grant, StatementLog, grant_of
from peerstack.groups.seals import End
from peerstack.groups.statements import (
    GROUP_TYPE,
    JOIN_TYPE,
    Invite,
    Join,
    Role,
    group_form_untrusted,
    named,
)
from peerstack.identity import Device, Identity, Revoked
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed

_CONSENTS: Final = frozenset({GROUP_TYPE, JOIN_TYPE})


class Membership(enum.Enum):
    """How somebody stands to a group."""

    MEMBER = "member"
    REMOVED = "removed"
    LEFT = "left"
    NONE = "none"
    """Was never in it."""


@dataclass(frozen=True, slots=True)
class Rights:
    """All that decides which records of a user are admitted: where two are equal, they all are."""

    grants: tuple[tuple[Role, int, End | None], ...]
    devices: tuple[tuple[DeviceId, int, End | None], ...]
    """Those that count."""
    certified: frozenset[DeviceId]
    """Those that do not count as well."""
    forked: bool


@dataclass(frozen=True)
class GroupState:
    """What the admitted statements of one group say. A value: extending it gives another."""

    log: StatementLog
    known_seals: SealsRead = field(default_factory=dict, compare=False, repr=False)
    """What an earlier state had read of seals."""

    @classmethod
    def of(
        cls, group: GroupId, statements: Iterable[Signed] = (), known: GroupState | None = None
    ) -> Self:
        """The state that statements already admitted describe: the group's and its users'.

        `known` is an earlier state of the group: what it has read is not read again.
        """
        if known is None:
            return cls(StatementLog.of(group, statements, None))
        return cls(StatementLog.of(group, statements, known.log), known.seals_read)

    def extended(self, admitted: Iterable[Signed]) -> Self:
        """This state and further group statements, each already admitted."""
        return type(self)(self.log.extended(admitted, {}), self.seals_read)

    @cached_property
    def effect(self) -> Effect:
        """What the statements bring about; worked out when it is first asked for."""
        return effect_of(self.log, self.known_seals)

    @property
    def seals_read(self) -> SealsRead:
        """What was read of seals, by this state or the one before."""
        return self.effect.seals if "effect" in self.__dict__ else self.known_seals

    @property
    def group(self) -> GroupId:
        """The group's id."""
        return self.log.group

    @property
    def identities(self) -> Mapping[UserId, Identity]:
        """Everyone who signed a statement here."""
        return self.log.identities

    @property
    def forms(self) -> Mapping[Hash, Entry]:
        """Every statement of the group itself, by hash, with its form."""
        return self.log.forms

    @property
    def is_personal(self) -> bool:
        """Whether this is the group of one user's own devices."""
        return self.group in self.identities

    # --- Devices. -------------------------------------------------------------------------------

    def certified(self, user: UserId, device: DeviceId) -> Device | None:
        """The device of a user, where any root key of theirs ever certified it."""
        return self.log.certified(user, device)

    def device(self, user: UserId, device: DeviceId) -> Device | None:
        """The device of a user, where it counts; an ended one too."""
        identity = self.identities.get(user)
        return identity.devices.get(device) if identity else None

    def device_end(self, user: UserId, device: DeviceId) -> End | None:
        """Where a device that counts ends, and what of it stays in this group."""
        return self.effect.device_ends.get((user, device))

    def spares(self, signed: Signed) -> bool:
        """Whether the device that signed something counts, and what it signed stays."""
        if self.device(signed.signer, signed.device) is None:
            return False
        end = self.device_end(signed.signer, signed.device)
        return end is None or end.spares(signed)

    def revocation(self, revoke: Hash) -> tuple[UserId, Revoked] | None:
        """What a `$revoke` says, and of whose device."""
        return self._revocations.get(revoke)

    @cached_property
    def _revocations(self) -> Mapping[Hash, tuple[UserId, Revoked]]:
        return {
            revoke: (user, revoked)
            for user, identity in self.identities.items()
            for revoke, revoked in identity.revocations.items()
        }

    def is_active(self, user: UserId, device: DeviceId) -> bool:
        """Whether a device counts, and was not revoked."""
        found = self.device(user, device)
        return found is not None and found.end_ms is None

    def active_devices(self) -> Mapping[DeviceId, UserId]:
        """The devices of all members, those that count and were not revoked; whose each is."""
        return {
            device: user
            for user in self.members()
            for device in self.identities[user].devices
            if self.is_active(user, device)
        }

    # --- Roles. ---------------------------------------------------------------------------------

    def grants_of(self, user: UserId) -> Sequence[Grant]:
        """Every grant that was made to the user, whether it stands or not."""
        return self._grants_by_user.get(user, ())

    @cached_property
    def _grants_by_user(self) -> dict[UserId, list[Grant]]:
        found: dict[UserId, list[Grant]] = {}
        for grant in self.log.grants.values():
            found.setdefault(grant.user, []).append(grant)
        return found

    def standing_of(self, user: UserId) -> Sequence[Standing]:
        """Every grant of the user that stands, ended or not, the oldest first."""
        return self.effect.standing.get(user, ())

    def open_grants(self, user: UserId) -> list[Grant]:
        """Every grant that the user holds now, the oldest first."""
        return [each.grant for each in self.standing_of(user) if each.end is None]

    def role_at(self, user: UserId, time_ms: int) -> Role | None:
        """The highest role that the user held at a moment; None for somebody who was no member."""
        held = (
            each.grant.role
            for each in self.standing_of(user)
            if each.grant.since_ms < time_ms and (each.end is None or time_ms < each.end.at_ms)
        )
        return max(held, default=None)

    def role(self, user: UserId) -> Role | None:
        """The highest role that the user holds by these statements."""
        return max((grant.role for grant in self.open_grants(user)), default=None)

    def grant_for(self, user: UserId, role: Role) -> Grant | None:
        """The oldest grant that gives the user at least `role` now."""
        return next((grant for grant in self.open_grants(user) if grant.role >= role), None)

    def members(self) -> Mapping[UserId, Role]:
        """The role of every member."""
        roles = ((user, self.role(user)) for user in self.effect.standing)
        return {user: role for user, role in roles if role is not None}

    def membership(self, user: UserId) -> Membership:
        """How a user stands to the group."""
        if self.role(user) is not None:
            return Membership.MEMBER
        latest = self._latest_end(user)
        if latest is None:
            return Membership.NONE
        by, _ = self.forms[latest.by]
        return Membership.LEFT if by.signer == user else Membership.REMOVED

    def ended_ms(self, user: UserId) -> int | None:
        """When the last right of a former member ended; None for members, and who never was one."""
        latest = self._latest_end(user) if self.role(user) is None else None
        return latest.at_ms if latest is not None else None

    def _latest_end(self, user: UserId) -> End | None:
        ends = (each.end for each in self.standing_of(user) if each.end is not None)
        return max(ends, key=lambda end: (end.at_ms, end.by), default=None)

    def rights(self, user: UserId) -> Rights:
        """All that decides which records of the user are admitted."""
        identity = self.identities.get(user)
        counting = sorted(identity.devices.values(), key=lambda each: each.id) if identity else ()
        return Rights(
            tuple(
                (each.grant.role, each.grant.since_ms, each.records_end)
                for each in self.standing_of(user)
            ),
            tuple((each.id, each.since_ms, self.device_end(user, each.id)) for each in counting),
            frozenset(identity.certified) if identity else frozenset(),
            identity is not None and identity.forked,
        )

    # --- Invites and joins. ---------------------------------------------------------------------

    def invites(self) -> Iterator[tuple[Signed, Invite]]:
        """Every invite whose maker had the right to it, ended or not."""
        for invite in self.effect.invites:
            signed, form = self.forms[invite]
            assert isinstance(form, Invite)
            yield signed, form

    def invite(self, invite: Hash) -> Invite | None:
        """The invite of a hash."""
        return self.log.invite(invite)

    def invite_closed_ms(self, invite: Hash) -> int | None:
        """When an invite was ended, itself or with its maker's right; None where it was not.

        One that was made without the right to it was never open: 0.
        """
        return self.effect.invites.get(invite, 0)

    def uses_of(self, invite: Hash) -> int:
        """How many joins were let in by an invite."""
        return len({grant.consent for grant in self._let_in_by.get(invite, ())})

    def latest_use_ms(self, invite: Hash) -> int | None:
        """When somebody was last let in by an invite (Unix milliseconds)."""
        return max((grant.since_ms for grant in self._let_in_by.get(invite, ())), default=None)

    @cached_property
    def _let_in_by(self) -> Mapping[Hash, Sequence[Grant]]:
        found: dict[Hash, list[Grant]] = {}
        for of_user in self.effect.standing.values():
            for grant in (each.grant for each in of_user):
                if grant.invite is not None:
                    found.setdefault(grant.invite, []).append(grant)
        return found

    def join(self, join: Hash) -> tuple[Signed, Join] | None:
        """The join of a hash."""
        return self.log.join(join)

    def joins_of(self, user: UserId, device: DeviceId) -> Iterator[tuple[Signed, Join]]:
        """The joins by invite that a device of a user made and that may still let it in."""
        left_ms = self.effect.left.get(user, -1)
        for signed, join in self._asked_by(user, device):
            newer = not self._is_older_than_removal(user, join)
            if signed.modified > left_ms and newer and self.spares(signed):
                yield signed, join

    def joins_in_vain(self, by: Join) -> int:
        """How many joins by the same invite as one, or by none as well, nobody was let in for."""
        answered = {grant.consent for grant in self.log.grants.values()}
        return sum(
            isinstance(form, Join) and form.invite == by.invite and signed.hash not in answered
            for signed, form in self.forms.values()
        )

    def asks_in_vain(self, user: UserId, device: DeviceId) -> bool:
        """Whether who was removed has asked to be let in again since, by an invite from before."""
        ended_ms = self.ended_ms(user)
        return ended_ms is not None and any(
            signed.modified > ended_ms and self._is_older_than_removal(user, join)
            for signed, join in self._asked_by(user, device)
        )

    def _asked_by(self, user: UserId, device: DeviceId) -> Iterator[tuple[Signed, Join]]:
        """The joins by invite that a device of a user made."""
        for signed in self._consents_by_user.get(user, ()):
            join = self.log.join(signed.hash)
            if join is not None and join[1].invite is not UNSET and signed.device == device:
                yield join

    def _is_older_than_removal(self, user: UserId, join: Join) -> bool:
        assert join.invite is not UNSET
        invite, _ = self.forms[named(join.invite)]
        return invite.modified < self.effect.removed.get(user, -1)

    def consent_of(self, user: UserId) -> Hash | None:
        """The latest statement by which the user agreed to be in the group, if it still counts."""
        after_ms = self.effect.left.get(user, -1)
        consents = [
            (signed.modified, signed.hash)
            for signed in self._consents_by_user.get(user, ())
            if signed.modified > after_ms and self.spares(signed)
        ]
        return max(consents, default=(0, None))[1]

    @cached_property
    def _consents_by_user(self) -> Mapping[UserId, Sequence[Signed]]:
        found: dict[UserId, list[Signed]] = {}
        for signed, _ in self.forms.values():
            if signed.type in _CONSENTS:
                found.setdefault(signed.signer, []).append(signed)
        return found

    # --- To be shown to others. -----------------------------------------------------------------

    def vouching(self, user: UserId) -> list[Signed]:
        """The group statements that show why the user is a member: the chain up to the founder."""
        grant = self.grant_for(user, Role.READER)
        return self.log.with_references([grant.hash] if grant else [])

    def parting(self, user: UserId, *, sealed: bool) -> list[Signed]:
        """The group statements that show why a user who had been let in is a member no more.

        They may have been let in by who had no right to it, or by an invite that had ended, and be
        removed by whose right has ended since: so these are the ends of all that their grants and
        those ends rest on. `sealed`: with the seals of these ends, which can be large. Of what was
        done before its author heard of their end, they alone say whether it counts.
        """
        grants = [grant.hash for grant in self.log.grants.values() if grant.user == user]
        ends: dict[Hash, None] = {}
        while True:
            rests_on = {signed.hash for signed in self.log.with_references([*grants, *ends])}
            found = dict.fromkeys(
                signed.hash
                for signed, close in self.log.closes()
                if named(close.target) in rests_on or signed.signer == user
            )
            if found == ends:
                break
            ends = found
        of_these = ends.keys() if sealed else set()
        seals = [signed.hash for signed, seal in self.log.seals() if named(seal.ends) in of_these]
        return self.log.with_references([*ends, *seals])

    def was_let_in(self, user: UserId) -> bool:
        """Whether anybody ever gave the user a role, by right or not."""
        return any(grant.user == user for grant in self.log.grants.values())


class Draft(GroupState):
    """A copy of a state that takes in one statement after another, each at its own cost alone.

    To be asked what decides whether statements are admitted; not what has effect.
    """

    def __init__(self, state: GroupState) -> None:
        self._forms = dict(state.log.forms)
        self._grants = dict(state.log.grants)
        log = replace(state.log, forms=self._forms, grants=self._grants)
        super().__init__(log, state.known_seals)

    def add(self, signed: Signed) -> None:
        """Take in a group statement that is admitted."""
        by_user = self._grants_by_user
        form = group_form_untrusted(signed)
        self._forms[signed.hash] = (signed, form)
        grant = grant_of(signed, form, self._forms)
        if grant is not None:
            self._grants[signed.hash] = grant
            by_user.setdefault(grant.user, []).append(grant)

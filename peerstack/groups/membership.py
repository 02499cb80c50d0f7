"""Who holds which role when: a value built from verified statements. It looks nothing up.

The same statements give the same `GroupState` on every device, in whatever order they arrived.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from msgspec import UNSET

from peerstack.groups.effect import Effect, End, Standing, effect_of
from peerstack.groups.log import Entry, Grant, StatementLog
from peerstack.groups.statements import (
    GROUP_TYPE,
    JOIN_TYPE,
    Admit,
    Invite,
    Join,
    Role,
    named,
)
from peerstack.identity import Device, Identity
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


@dataclass(frozen=True)
class GroupState:
    """What the admitted statements of one group say. A value: extending it gives another."""

    log: StatementLog

    @classmethod
    def of(
        cls, group: GroupId, statements: Iterable[Signed] = (), known: GroupState | None = None
    ) -> Self:
        """The state that statements already admitted describe: the group's and its users'.

        `known` is an earlier state of the group: what it has parsed is not parsed again.
        """
        return cls(StatementLog.of(group, statements, known.log.forms if known else {}))

    def extended(self, admitted: Iterable[Signed]) -> Self:
        """This state and further group statements, each already admitted."""
        return type(self)(self.log.extended(admitted, {}))

    @cached_property
    def effect(self) -> Effect:
        """What the statements bring about; worked out when it is first asked for."""
        return effect_of(self.log)

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

    def is_active(self, user: UserId, device: DeviceId) -> bool:
        """Whether a device counts, and was not revoked."""
        found = self.device(user, device)
        return found is not None and found.end_ms is None

    # --- Roles. ---------------------------------------------------------------------------------

    def standing_of(self, user: UserId) -> Iterator[Standing]:
        """Every grant of the user that stands, ended or not."""
        return (each for each in self.effect.standing.values() if each.grant.user == user)

    def open_grants(self, user: UserId) -> list[Grant]:
        """Every grant that the user holds now, the oldest first."""
        held = [each.grant for each in self.standing_of(user) if each.end is None]
        return sorted(held, key=lambda grant: (grant.since_ms, grant.hash))

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
        roles: dict[UserId, Role] = {}
        for each in self.effect.standing.values():
            if each.end is None:
                grant = each.grant
                roles[grant.user] = max(grant.role, roles.get(grant.user, grant.role))
        return roles

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
        grants = sorted(
            self.standing_of(user), key=lambda each: (each.grant.since_ms, each.grant.hash)
        )
        identity = self.identities.get(user)
        devices = sorted(identity.devices.values(), key=lambda each: each.id) if identity else ()
        return Rights(
            tuple((each.grant.role, each.grant.since_ms, each.records_end) for each in grants),
            tuple((each.id, each.since_ms, self.device_end(user, each.id)) for each in devices),
        )

    # --- Invites and joins. ---------------------------------------------------------------------

    def invites(self) -> Iterator[tuple[Signed, Invite]]:
        """Every invite whose maker had the right to it, ended or not."""
        for signed, form in self.forms.values():
            if isinstance(form, Invite):
                maker = self.effect.standing.get(named(form.under))
                if maker is not None and maker.gives(signed):
                    yield signed, form

    def invite(self, invite: Hash) -> Invite | None:
        """The invite of a hash."""
        return self.log.invite(invite)

    def invite_closed_ms(self, invite: Hash) -> int | None:
        """When an invite was ended, itself or with its maker's right; None where it was not."""
        form = self.log.invite(invite)
        maker = self.effect.standing.get(named(form.under)) if form else None
        ends = [self.effect.closed_invites.get(invite)]
        ends.append(maker.end.at_ms if maker is not None and maker.end is not None else None)
        return min((end for end in ends if end is not None), default=None)

    def uses_of(self, invite: Hash) -> int:
        """How many joins were let in by an invite."""
        return len({form.join for _, form in self._admits_by(invite)})

    def latest_use_ms(self, invite: Hash) -> int | None:
        """When somebody was last let in by an invite (Unix milliseconds)."""
        return max((signed.modified for signed, _ in self._admits_by(invite)), default=None)

    def _admits_by(self, invite: Hash) -> Iterator[tuple[Signed, Admit]]:
        for signed, form in self.forms.values():
            if isinstance(form, Admit):
                join = self.join(named(form.join))
                if join is not None and join[1].invite == invite.hex():
                    yield signed, form

    def join(self, join: Hash) -> tuple[Signed, Join] | None:
        """The join of a hash."""
        return self.log.join(join)

    def joins_of(self, user: UserId, device: DeviceId) -> Iterator[tuple[Signed, Join]]:
        """The joins by invite that a device of a user made and that may still let it in."""
        left_ms = self.effect.left.get(user, -1)
        for signed, form in self.forms.values():
            if not isinstance(form, Join) or form.invite is UNSET:
                continue
            usable = signed.modified > left_ms and signed.hash not in self.effect.spent
            if usable and (signed.signer, signed.device) == (user, device):
                yield signed, form

    def consent_of(self, user: UserId) -> Hash | None:
        """The latest statement by which the user agreed to be in the group, if it still counts."""
        after_ms = self.effect.left.get(user, -1)
        consents = [
            (signed.modified, signed.hash)
            for signed, _ in self.forms.values()
            if signed.signer == user and signed.type in _CONSENTS and signed.modified > after_ms
        ]
        return max(consents, default=(0, None))[1]

    # --- To be shown to others. -----------------------------------------------------------------

    def vouching(self, user: UserId) -> list[Signed]:
        """The group statements that show why the user is a member: the chain up to the founder."""
        grant = self.grant_for(user, Role.READER)
        return self.log.with_references([grant.hash] if grant else [])

    def parting(self, user: UserId) -> list[Signed]:
        """The group statements that show why the user is a member no more."""
        ends = (each.end.by for each in self.standing_of(user) if each.end is not None)
        return self.log.with_references(ends)

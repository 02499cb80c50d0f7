"""What the statements of a group bring about: which grants stand, and where each ends.

A pure function of the whole set (`docs/rules.md`, "What has effect"). It ends because everything
depends on what is older or higher alone: devices on their user's that end later; a grant on the one
that it is under; its end on grants above it; and all others on those of admins, which are settled
first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from peerstack.groups.devices import Devices
from peerstack.groups.leaves import Alike, Leaves
from peerstack.groups.log import Grant, StatementLog
from peerstack.groups.seals import (
    NO_HASHES,
    Closing,
    End,
    Part,
    Seals,
    end_of_grant,
    is_counted,
    lasting_ends,
    read_seals,
)
from peerstack.groups.statements import Close, Founding, Invite, named
from peerstack.ids import DeviceId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed

MaySeal = Callable[[Grant], bool]
"""Whether the holder of a grant may say what stays."""

SealsRead = Mapping[tuple[Hash, ...], Seals]


@dataclass(frozen=True, slots=True)
class Standing:
    """A grant that stands, and its end, if it has one."""

    grant: Grant
    end: End | None
    """For statements made by it: sealed by those alone who may end it."""
    records_end: End | None
    """The same, for records: sealed by any admin."""

    def gives(self, signed: Signed, *, spared: bool) -> bool:
        """Whether a statement made by the grant has effect; `spared`: by what signed it.

        What a seal of the grant's end names stays, whatever becomes of the device that signed it:
        else who was removed could take back what others saw fit to keep.
        """
        if signed.modified <= self.grant.since_ms:
            return False
        named_by_seal = self.end is not None and signed.hash in self.end.named
        return named_by_seal or (spared and (self.end is None or self.end.spares(signed)))


@dataclass(frozen=True, slots=True)
class Effect:
    """What follows from a group's statements."""

    standing: Mapping[UserId, tuple[Standing, ...]] = field(default_factory=dict)
    """The grants of each user that stand, ended or not, the oldest first."""
    device_ends: Mapping[tuple[UserId, DeviceId], End] = field(default_factory=dict)
    invites: Mapping[Hash, int | None] = field(default_factory=dict)
    """The invites that were made by right, and when each ended (Unix milliseconds), if it did."""
    removed: Mapping[UserId, int] = field(default_factory=dict)
    """When users last had a grant ended by others: no older invite lets them in again."""
    left: Mapping[UserId, int] = field(default_factory=dict)
    """When users last left (Unix milliseconds): they are in again by a later consent alone."""
    seals: SealsRead = field(default_factory=dict, compare=False, repr=False)
    """What was read of seals, by their parts: a large one takes long, and seldom changes."""


def effect_of(log: StatementLog, known: SealsRead) -> Effect:
    """What the statements of a group bring about.

    `known` is what was read of seals for an earlier state of the group; it changes no outcome.
    """
    return _Fold(log, known).run()


class _Fold:
    def __init__(self, log: StatementLog, known: SealsRead) -> None:
        self._log = log
        self._known = known
        self._standing: dict[Hash, Standing] = {}
        self._leaves: dict[UserId, list[Closing]] = defaultdict(list)
        self._given_up: dict[Hash, list[Closing]] = defaultdict(list)
        self._removals: dict[UserId, list[Closing]] = defaultdict(list)
        self._invite_closes: dict[Hash, list[Closing]] = defaultdict(list)
        self._parts: dict[Hash, list[Part]] = defaultdict(list)
        self._read: dict[tuple[Hash, ...], Seals] = {}
        for signed, close in log.closes():
            self._sort_close(signed, close)
        for signed, seal in log.seals():
            self._parts[named(seal.ends)].append((signed, seal))
        self._devices = Devices(log, self._parts)
        self._sorted_leaves: dict[UserId, Leaves] = {}
        self._aimed: dict[Hash, list[Closing]] = {}

    def _sort_close(self, signed: Signed, close: Close) -> None:
        target = self._log.grants.get(named(close.target))
        if target is None:
            self._invite_closes[named(close.target)].append((signed, close))
        elif target.user == signed.signer and is_leave(close):
            self._leaves[target.user].append((signed, close))
        elif target.user == signed.signer:
            self._given_up[target.hash].append((signed, close))
        else:
            self._removals[target.user].append((signed, close))

    def run(self) -> Effect:
        in_order = sorted(self._log.grants.values(), key=lambda each: each.order)
        # What a grant is under is older than it, and admins' grants depend on no others.
        for grant in [each for each in in_order if each.is_admin]:
            self._settle(grant)
        for grant in [each for each in in_order if not each.is_admin]:
            self._settle(grant)
        return Effect(
            self._by_user(),
            self._devices.ends,
            dict(self._invites()),
            dict(self._removed()),
            dict(self._left()),
            self._read,
        )

    # --- Grants. --------------------------------------------------------------------------------

    def _settle(self, grant: Grant) -> None:
        end = self._end_of(grant, lambda sealing: self._log.may_end(sealing, grant))
        if self._stands(grant, end):
            self._standing[grant.hash] = Standing(grant, end, None)

    def _stands(self, grant: Grant, end: End | None) -> bool:
        entry = self._log.forms.get(grant.hash)
        if grant.under is None or entry is None or grant.consent is None:
            return True  # A founding, or a personal group's inception: its own id vouches for it.
        if not self._gives(grant.under, entry[0]):
            return False
        consent, form = self._log.forms[grant.consent]
        # Once sealed it is in others' hands, and its holder cannot undo it by ending a device.
        settled = isinstance(form, Founding) or (end is not None and end.sealed)
        if not settled and not self._devices.spares(consent):
            return False
        return grant.invite is None or self._lets_in(grant, grant.invite)

    def _gives(self, under: Hash, signed: Signed) -> bool:
        """Whether a statement made under a grant has effect."""
        standing = self._standing.get(under)
        return standing is not None and standing.gives(signed, spared=self._devices.spares(signed))

    def _lets_in(self, grant: Grant, invite_hash: Hash) -> bool:
        """Whether a grant went by an invite that was open, to a user who was not removed."""
        if not self._is_invite(invite_hash):
            return False
        ended_ms = self._invite_ended_ms(invite_hash)
        if ended_ms is not None and ended_ms < grant.since_ms:
            return False
        made_ms = self._log.forms[invite_hash][0].modified
        return not any(
            made_ms < signed.modified < grant.since_ms
            and self._log.may_end(self._log.grants[named(close.under)], grant)
            and self._acts(signed, close)
            for signed, close in self._removals.get(grant.user, ())
        )

    def _target(self, close: Close) -> Grant:
        return self._log.grants[named(close.target)]

    def _acts(self, signed: Signed, close: Close) -> bool:
        return self._gives(named(close.under), signed)

    # --- Invites. -------------------------------------------------------------------------------

    def _invites(self) -> Iterable[tuple[Hash, int | None]]:
        for invite_hash, (_, form) in self._log.forms.items():
            if isinstance(form, Invite) and self._is_invite(invite_hash):
                yield invite_hash, self._invite_ended_ms(invite_hash)

    def _is_invite(self, invite_hash: Hash) -> bool:
        """Whether an invite was made by right."""
        signed, form = self._log.forms[invite_hash]
        assert isinstance(form, Invite)
        return self._gives(named(form.under), signed)

    def _invite_ended_ms(self, invite_hash: Hash) -> int | None:
        """When an invite ended: by a close of it, or with the right of who made it."""
        invite = self._log.invite(invite_hash)
        assert invite is not None
        ends = [
            signed.modified
            for signed, close in self._invite_closes.get(invite_hash, ())
            if self._acts(signed, close)
        ]
        maker = self._standing[named(invite.under)]
        if maker.end is not None:
            ends.append(maker.end.at_ms)
        return min(ends, default=None)

    # --- Ends of grants. ------------------------------------------------------------------------

    def _end_of(self, grant: Grant, may_seal: MaySeal) -> End | None:
        return end_of_grant(*self._ends_of(grant, may_seal))

    def _ends_of(
        self, grant: Grant, may_seal: MaySeal
    ) -> tuple[Sequence[Closing], Sequence[Closing], Seals]:
        """The removals and partings that may end a grant, and the seals of all of them."""
        removals, partings = self._removals_of(grant), self._partings_of(grant)
        seals = self._seals_by(may_seal, [signed for signed, _ in (*removals, *partings)])
        kept = [
            each
            for each in partings
            if self._is_kept(each[0], seals) and not self._is_undone(*each, grant, may_seal)
        ]
        return removals, kept, seals

    def _is_undone(self, leave: Signed, close: Close, grant: Grant, may_seal: MaySeal) -> bool:
        """Whether who may end a grant has undone a leave under another: by what they sealed there.

        Else nobody could put right what a thief has dated beyond all that is still to come.
        """
        if not is_leave(close) or named(close.target) == grant.hash:
            return False
        removals = [
            (signed, removal)
            for signed, removal in self._removals_aimed_at(self._target(close))
            if self._log.may_end(self._log.grants[named(removal.under)], grant)
            and self._acts(signed, removal)
        ]
        if not removals:
            return False
        seals = self._seals_by(may_seal, [leave, *(signed for signed, _ in removals)])
        sealed = any(
            seals.fulfil(signed.hash, (by.count, named(by.root))) for signed, by in removals
        )
        return sealed and leave.hash not in seals.named

    def _is_kept(self, parting: Signed, seals: Seals) -> bool:
        """Whether a parting counts: once it is sealed, its author cannot undo it."""
        return seals.cover(parting.hash) or self._devices.spares(parting)

    def _seals_by(self, may_seal: MaySeal, ends: Iterable[Signed]) -> Seals:
        return self._seals(
            [signed.hash for signed in ends],
            lambda signed, under: may_seal(self._log.grants[under]) and self._gives(under, signed),
        )

    def _seals(self, ends: Iterable[Hash], counts: Callable[[Signed, Hash], bool]) -> Seals:
        """What the parts that count add up to, of the seals of some ends."""
        parts = [
            (signed, seal)
            for end in sorted(ends)
            for signed, seal in self._parts.get(end, ())
            if counts(signed, named(seal.under))
        ]
        # The same parts are asked about for statements, for records, and for each grant.
        key = tuple(signed.hash for signed, _ in parts)
        if key not in self._read:
            self._read[key] = self._known.get(key) or read_seals(parts)
        return self._read[key]

    def _removals_of(self, grant: Grant) -> list[Closing]:
        """What ended a grant by authority: a close of it, or of one that gave no more.

        Two members may let one newcomer in by one join at once, so a close ends what its author
        did not know, where that was given for the same consent.
        """
        return [
            (signed, close)
            for signed, close in self._removals_aimed_at(grant)
            if self._log.may_end(self._log.grants[named(close.under)], grant)
            and self._acts(signed, close)
        ]

    def _removals_aimed_at(self, grant: Grant) -> list[Closing]:
        if grant.hash not in self._aimed:
            removals = self._removals.get(grant.user, ())
            self._aimed[grant.hash] = [each for each in removals if self._is_aimed(*each, grant)]
        return self._aimed[grant.hash]

    def _is_aimed(self, signed: Signed, close: Close, grant: Grant) -> bool:
        target = self._target(close)
        no_less = target.role <= grant.role and grant.since_ms < signed.modified
        return target.hash == grant.hash or (target.consent == grant.consent and no_less)

    def _partings_of(self, grant: Grant) -> list[Closing]:
        """What its holder ended it by: giving this one up, or leaving, which takes back consent.

        Of leaves, those that can decide anything.
        """
        leaves = self._leaves_of(grant.user).since(grant.consent_ms)
        return [*self._given_up.get(grant.hash, ()), *leaves]

    def _leaves_of(self, user: UserId) -> Leaves:
        if user not in self._sorted_leaves:
            self._sorted_leaves[user] = Leaves(
                (self._likeness(*each), each)
                for each in self._leaves.get(user, ())
                if each[0].hash in self._told_apart or self._devices.spares(each[0])
            )
        return self._sorted_leaves[user]

    def _likeness(self, signed: Signed, close: Close) -> Alike:
        """What seals tell apart is; all others under a grant go the same way."""
        if signed.hash in self._told_apart:
            return None
        target = self._target(close)
        return target.hash if self._removals_aimed_at(target) else NO_HASHES

    @cached_property
    def _told_apart(self) -> frozenset[Hash]:
        """The leaves that any seal is for, or names."""
        leaves = {signed.hash.hex() for of_user in self._leaves.values() for signed, _ in of_user}
        parts = (seal for of_end in self._parts.values() for _, seal in of_end) if leaves else ()
        found = {each for seal in parts for each in leaves.intersection([seal.ends, *seal.hashes])}
        return frozenset(Hash(bytes.fromhex(each)) for each in found)

    def _left(self) -> Iterable[tuple[UserId, int]]:
        for user, leaves in self._leaves.items():
            under = defaultdict[Hash, list[Signed]](list)
            for signed, close in leaves:
                under[named(close.target)].append(signed)
            times = [at_ms for each in under.items() for at_ms in self._counting(*each)]
            if times:
                yield user, max(times)

    def _counting(self, target: Hash, leaves: Iterable[Signed]) -> Iterable[int]:
        """The times of those leaves under a grant that count for it."""
        grant = self._log.grants[target]
        removals, partings, seals = self._ends_of(
            grant, lambda sealing: self._log.may_end(sealing, grant)
        )
        lasting = lasting_ends(removals, partings, seals)
        for signed in leaves:
            if self._is_kept(signed, seals) and is_counted(signed, lasting, seals):
                yield signed.modified

    # --- The outcome. ---------------------------------------------------------------------------

    def _removed(self) -> Iterable[tuple[UserId, int]]:
        for user, removals in self._removals.items():
            acting = [signed.modified for signed, close in removals if self._acts(signed, close)]
            if acting:
                yield user, max(acting)

    def _by_user(self) -> dict[UserId, tuple[Standing, ...]]:
        found: dict[UserId, list[Standing]] = defaultdict(list)
        for standing in sorted(self._standing.values(), key=lambda each: each.grant.order):
            found[standing.grant.user].append(self._for_records(standing))
        return {user: tuple(all_of_user) for user, all_of_user in found.items()}

    def _for_records(self, standing: Standing) -> Standing:
        if standing.end is None:
            return standing
        end = self._end_of(standing.grant, lambda sealing: sealing.is_admin)
        return Standing(standing.grant, standing.end, end)


def is_leave(close: Close) -> bool:
    """Whether a `$close` takes its author out of the group."""
    return close.under == close.target

"""What the statements of a group bring about: which grants stand, and where each ends.

A pure function of the whole set (`docs/rules.md`, "What has effect"). It ends because everything
depends on what is older or higher alone: a grant on the one that it is under, its end on grants
above it, and the ends of all others on those of admins, which are settled first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from peerstack.groups.log import Grant, StatementLog
from peerstack.groups.statements import Close, Seal, named
from peerstack.identity import Device
from peerstack.ids import DeviceId, UserId
from peerstack.keys import Hash, sha256
from peerstack.record import Signed

Closing = tuple[Signed, Close]
Part = tuple[Signed, Seal]

NO_HASHES: Final = sha256()
"""The root of a seal that names nothing."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a right ends, and what stays of what was signed by it."""

    at_ms: int
    by: Hash
    """The earliest statement that ended it."""
    sealed: bool
    """Whether what stays is known: then only that stays, and until then, what is earlier."""
    named: frozenset[Hash]
    """What seals name: it stays, whatever its time."""

    def spares(self, signed: Signed) -> bool:
        """Whether something that was signed by the right stays."""
        return signed.hash in self.named or (not self.sealed and signed.modified < self.at_ms)

    def leaves_out(self, signed: Signed) -> bool:
        """Whether it is early enough to stay, but outside the seal."""
        return self.sealed and signed.modified < self.at_ms and signed.hash not in self.named


@dataclass(frozen=True, slots=True)
class Standing:
    """A grant that stands, and its end, if it has one."""

    grant: Grant
    end: End | None
    """For statements made by it: sealed by those alone who may end it."""
    records_end: End | None
    """The same, for records: sealed by any admin."""

    def gives(self, signed: Signed) -> bool:
        """Whether a statement made by this grant has effect."""
        early = signed.modified <= self.grant.since_ms
        return not early and (self.end is None or self.end.spares(signed))


@dataclass(frozen=True, slots=True)
class Effect:
    """What follows from a group's statements."""

    standing: Mapping[Hash, Standing] = field(default_factory=dict)
    device_ends: Mapping[tuple[UserId, DeviceId], End] = field(default_factory=dict)
    closed_invites: Mapping[Hash, int] = field(default_factory=dict)
    """When invites ended that an admin has ended (Unix milliseconds)."""
    spent: Mapping[Hash, int] = field(default_factory=dict)
    """The joins that let nobody in any more, since who came by them was removed; and when."""
    left: Mapping[UserId, int] = field(default_factory=dict)
    """When users last left (Unix milliseconds): they are in again by a later consent alone."""


def effect_of(log: StatementLog) -> Effect:
    """What the statements of a group bring about."""
    fold = _Fold(log)
    return fold.run()


class _Fold:
    def __init__(self, log: StatementLog) -> None:
        self._log = log
        self._standing: dict[Hash, Standing] = {}
        self._device_ends: dict[tuple[UserId, DeviceId], End] = {}
        self._spent: dict[Hash, int] = {}
        self._own_closes: dict[UserId, list[Closing]] = defaultdict(list)
        self._closes: dict[tuple[UserId, Hash | None], list[Closing]] = defaultdict(list)
        self._invite_closes: dict[Hash, list[Closing]] = defaultdict(list)
        self._parts: dict[Hash, list[Part]] = defaultdict(list)
        for signed, close in log.closes():
            self._sort_close(signed, close)
        for signed, seal in log.seals():
            self._parts[named(seal.ends)].append((signed, seal))

    def _sort_close(self, signed: Signed, close: Close) -> None:
        target = self._log.grants.get(named(close.target))
        if target is None:
            self._invite_closes[named(close.target)].append((signed, close))
        elif target.user == signed.signer:
            self._own_closes[target.user].append((signed, close))
        else:
            self._closes[target.user, target.consent].append((signed, close))

    def run(self) -> Effect:
        in_order = sorted(self._log.grants.values(), key=lambda each: (each.since_ms, each.hash))
        # What a grant is under is older than it, and admins' grants depend on no others.
        for grant in [each for each in in_order if each.is_admin]:
            self._settle(grant)
        for grant in [each for each in in_order if not each.is_admin]:
            self._settle(grant)
        return Effect(
            {each.grant.hash: self._for_records(each) for each in self._standing.values()},
            self._all_device_ends(),
            dict(self._invites_closed()),
            self._spent,
            {user: max(left) for user in self._own_closes if (left := self._leaves(user))},
        )

    def _leaves(self, user: UserId) -> list[int]:
        return [
            signed.modified
            for signed, close in self._own_closes[user]
            if is_leave(close) and self._device_gives(signed)
        ]

    # --- Grants. --------------------------------------------------------------------------------

    def _settle(self, grant: Grant) -> None:
        if not self._stands(grant):
            return
        end = self._end_of(grant, lambda sealing: self._log.may_end(sealing, grant))
        self._standing[grant.hash] = Standing(grant, end, None)
        if grant.consent is not None:
            for signed, _ in self._removals(grant):
                spent_ms = self._spent.get(grant.consent, signed.modified)
                self._spent[grant.consent] = min(spent_ms, signed.modified)

    def _for_records(self, standing: Standing) -> Standing:
        if standing.end is None:
            return standing
        end = self._end_of(standing.grant, lambda sealing: sealing.is_admin)
        return Standing(standing.grant, standing.end, end)

    def _stands(self, grant: Grant) -> bool:
        entry = self._log.forms.get(grant.hash)
        if entry is None:
            return True  # A personal group's: the user's inception.
        if not self._device_gives(entry[0]):
            return False
        if grant.under is None:
            return True
        if not self._gives(grant.under, entry[0]):
            return False
        assert grant.consent is not None
        consent, _ = self._log.forms[grant.consent]
        return self._device_gives(consent) and self._lets_in(grant)

    def _lets_in(self, grant: Grant) -> bool:
        """Whether the invite that a grant went by, if it did, was open at its time."""
        if grant.invite is None or grant.consent is None:
            return True
        spent_ms = self._spent.get(grant.consent)
        if spent_ms is not None and spent_ms < grant.since_ms:
            return False
        signed, _ = self._log.forms[grant.invite]
        invite = self._log.invite(grant.invite)
        assert invite is not None
        maker = self._standing.get(named(invite.under))
        if maker is None or not maker.gives(signed) or not self._device_gives(signed):
            return False
        if maker.end is not None and maker.end.at_ms < grant.since_ms:
            return False
        closed_ms = self._closed_ms(grant.invite)
        return closed_ms is None or closed_ms >= grant.since_ms

    def _closed_ms(self, invite_hash: Hash) -> int | None:
        invite = self._log.invite(invite_hash)
        assert invite is not None
        closes = (
            signed.modified
            for signed, form in self._invite_closes.get(invite_hash, ())
            if self._log.may_end_invite(self._log.grants[named(form.under)], invite)
            and self._gives(named(form.under), signed)
            and self._device_gives(signed)
        )
        return min(closes, default=None)

    def _invites_closed(self) -> Iterable[tuple[Hash, int]]:
        for invite_hash in self._invite_closes:
            closed_ms = self._closed_ms(invite_hash)
            if closed_ms is not None:
                yield invite_hash, closed_ms

    def _gives(self, under: Hash, signed: Signed) -> bool:
        standing = self._standing.get(under)
        return standing is not None and standing.gives(signed)

    # --- Ends. ----------------------------------------------------------------------------------

    def _end_of(self, grant: Grant, may_seal: Callable[[Grant], bool]) -> End | None:
        removals = self._removals(grant)
        closes = [*removals, *self._partings(grant)]
        if not closes:
            return None
        parts = [
            (signed, seal)
            for close, _ in closes
            for signed, seal in self._parts.get(close.hash, ())
            if may_seal(self._log.grants[named(seal.under)])
            and self._gives(named(seal.under), signed)
            and self._device_gives(signed)
        ]
        committed = {close.hash: (form.count, named(form.root)) for close, form in removals}
        return _end([(close.modified, close.hash) for close, _ in closes], parts, committed)

    def _removals(self, grant: Grant) -> list[Closing]:
        """What ended a grant by authority: a close of it, or of one that gave no more.

        Two members may let one newcomer in by one join at once, so a close ends what its author
        did not know, where that was given for the same consent.
        """
        return [
            (signed, close)
            for signed, close in self._closes.get((grant.user, grant.consent), ())
            if self._log.grants[named(close.target)].role <= grant.role
            and signed.modified > grant.since_ms
            and self._log.may_end(self._log.grants[named(close.under)], grant)
            and self._gives(named(close.under), signed)
            and self._device_gives(signed)
        ]

    def _partings(self, grant: Grant) -> list[Closing]:
        """What its holder ended it by: giving this one up, or leaving after having consented."""
        return [
            (signed, close)
            for signed, close in self._own_closes.get(grant.user, ())
            if (
                signed.modified > grant.consent_ms
                if is_leave(close)
                else named(close.target) == grant.hash
            )
            and self._device_gives(signed)
        ]

    # --- Devices. -------------------------------------------------------------------------------

    def _device_gives(self, signed: Signed) -> bool:
        """Whether the device that signed something counted, and what it signed stays."""
        device = self._device(signed)
        if device is None or signed.modified <= device.since_ms:
            return False
        end = self._device_end(device)
        return end is None or end.spares(signed)

    def _device(self, signed: Signed) -> Device | None:
        identity = self._log.identities.get(signed.signer)
        return identity.devices.get(signed.device) if identity else None

    def _device_end(self, device: Device) -> End | None:
        """The end of a device, sealed by others of its user, which end later if at all."""
        if device.end_ms is None:
            return None
        known = self._device_ends.get((device.user, device.id))
        if known is None:
            revocations = self._log.identities[device.user].revocations
            parts = [
                (signed, seal)
                for revoke in device.ends
                for signed, seal in self._parts.get(revoke, ())
                if self._may_seal_device(signed, device)
            ]
            known = _end([(revocations[each].at_ms, each) for each in device.ends], parts, {})
            self._device_ends[device.user, device.id] = known
        return known

    def _may_seal_device(self, signed: Signed, ended: Device) -> bool:
        sealing = self._device(signed)
        if sealing is None or sealing.user != ended.user or sealing.id == ended.id:
            return False
        # Only who ends later is asked about, so that this ends.
        in_time = sealing.end_ms is None or signed.modified < sealing.end_ms
        return in_time and self._device_gives(signed)

    def _all_device_ends(self) -> dict[tuple[UserId, DeviceId], End]:
        for identity in self._log.identities.values():
            for device in identity.devices.values():
                self._device_end(device)
        return self._device_ends


def is_leave(close: Close) -> bool:
    """Whether a `$close` takes its author out of the group."""
    return close.under == close.target


def _end(
    ends: Sequence[tuple[int, Hash]],
    parts: Sequence[Part],
    committed: Mapping[Hash, tuple[int, Hash]],
) -> End:
    """The end that some statements and the parts of their seals amount to.

    Who removes somebody commits to the seal; of other ends, any complete seal will do.
    """
    sets: dict[tuple[Hash, int, Hash], set[Hash]] = defaultdict(set)
    for end, (count, root) in committed.items():
        sets[end, count, root] = set()
    for _, seal in parts:
        sets[named(seal.ends), seal.count, named(seal.root)].update(map(named, seal.hashes))
    sealed = any(
        committed.get(end, (count, root)) == (count, root) and _is_complete(hashes, count, root)
        for (end, count, root), hashes in sets.items()
    )
    at_ms, by = min(ends)
    return End(at_ms, by, sealed, frozenset().union(*sets.values()))


def _is_complete(hashes: set[Hash], count: int, root: Hash) -> bool:
    return len(hashes) == count and seal_root(hashes) == root


def seal_root(hashes: Iterable[Hash]) -> Hash:
    """What a seal over some hashes is known by: SHA-256 over them, ascending."""
    return sha256(*sorted(hashes))

"""Where a right or a device ends, and what the seals of that end say stays.

Knows not who may seal: it is given the parts of seals that count (`docs/rules.md`, "Seals").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from peerstack.groups.statements import Close, Seal, named
from peerstack.keys import Hash, sha256
from peerstack.record import Signed

Closing = tuple[Signed, Close]
Part = tuple[Signed, Seal]
Commitment = tuple[int, Hash]
"""How many hashes a seal has, and their root."""

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
class Seals:
    """What the parts of some seals amount to."""

    named: frozenset[Hash]
    complete: frozenset[tuple[Hash, Commitment]]
    """Which seals have all their parts, by the end that they are for."""

    def cover(self, end: Hash) -> bool:
        """Whether any seal for an end is complete."""
        return any(sealed == end for sealed, _ in self.complete)

    def fulfil(self, end: Hash, commitment: Commitment) -> bool:
        """Whether the very seal that an end commits to is complete."""
        return commitment == (0, NO_HASHES) or (end, commitment) in self.complete


def read_seals(parts: Iterable[Part]) -> Seals:
    """What parts of seals amount to. A seal's parts are by one device, so no other can spoil it."""
    sets: dict[tuple[Hash, Commitment, str], set[Hash]] = defaultdict(set)
    for signed, seal in parts:
        key = named(seal.ends), (seal.count, named(seal.root)), signed.device
        sets[key].update(map(named, seal.hashes))
    complete = frozenset(
        (end, commitment)
        for (end, commitment, _), hashes in sets.items()
        if commitment == (len(hashes), seal_root(hashes))
    )
    return Seals(frozenset().union(*sets.values()), complete)


def seal_root(hashes: Iterable[Hash]) -> Hash:
    """What a seal over some hashes is known by: SHA-256 over them, ascending."""
    return sha256(*sorted(hashes))


def end_of_grant(
    removals: Sequence[Closing], partings: Sequence[Closing], seals: Seals
) -> End | None:
    """The end of a grant by what others and its holder closed it with; None where nothing did.

    Who removes somebody commits to the seal; of partings, any complete seal will do. Once the grant
    is sealed, its holder can part from it no more: a parting would be backdated at will.
    """
    lasting = lasting_ends(removals, partings, seals)
    counted = (signed for signed, _ in partings if is_counted(signed, lasting, seals))
    ends = [*(signed for signed, _ in removals), *counted]
    times = {signed.hash: signed.modified for signed in ends}
    return end_at(times, seals.named, lasting) if times else None


def lasting_ends(
    removals: Sequence[Closing], partings: Sequence[Closing], seals: Seals
) -> Collection[Hash]:
    """Those ends of a grant that are sealed, and decide over what its holder parted from it by.

    A seal of who removes decides over the holder's own statements; among those, a sealed one.
    """
    sealed = {
        signed.hash
        for signed, close in removals
        if seals.fulfil(signed.hash, (close.count, named(close.root)))
    }
    return sealed or {signed.hash for signed, _ in partings if seals.cover(signed.hash)}


def is_counted(parting: Signed, lasting: Collection[Hash], seals: Seals) -> bool:
    """Whether a parting from a grant is not left out by the ends of it that are sealed."""
    return not lasting or parting.hash in lasting or parting.hash in seals.named


def end_at(times: Mapping[Hash, int], stays: frozenset[Hash], sealed: Collection[Hash]) -> End:
    """The end that statements of these times make; any of them that is sealed makes it so."""
    at_ms, by = min((time_ms, end) for end, time_ms in times.items())
    return End(at_ms, by, bool(sealed), stays)

"""What people sign to end rights, grants and devices, and to say what stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from peerstack import limits
from peerstack.groups.seals import seal_root
from peerstack.groups.statements import CLOSE_TYPE, SEAL_TYPE, Close, Seal
from peerstack.identity import (
    REVOKE_TYPE,
    ROTATE_TYPE,
    Certificate,
    Revocation,
    Rotation,
    next_key_hash,
)
from peerstack.ids import DeviceId
from peerstack.keys import Hash, Signer
from peerstack.record import Signed
from tests.people import Person, signer


def hashes(things: Iterable[Signed]) -> list[Hash]:
    """The hashes of some records and statements, as seals have them."""
    return sorted({each.hash for each in things})


def closes(
    who: Person, under: Signed, target: Signed, modified: int, stays: Iterable[Signed] = ()
) -> Signed:
    """Ends a grant or an invite, and commits to a seal of what stays."""
    return closes_over(who, under, target, modified, hashes(stays))


def closes_over(
    who: Person, under: Signed, target: Signed, modified: int, stays: Sequence[Hash]
) -> Signed:
    root = seal_root(stays).hex()
    form = Close(under.hash.hex(), target.hash.hex(), len(stays), root)
    return who.states(under.group, CLOSE_TYPE, modified, form)


def leaves(who: Person, under: Signed, modified: int) -> Signed:
    """Takes its author out of the group."""
    return closes(who, under, under, modified)


def seals(
    who: Person, under: Signed, ends: Signed, modified: int, stays: Iterable[Signed] = ()
) -> list[Signed]:
    """Every part of a seal over some records and statements; one, if there are none."""
    return list(seals_over(who, under, ends, modified, hashes(stays)))


def seals_over(
    who: Person,
    under: Signed,
    ends: Signed,
    modified: int,
    stays: Sequence[Hash],
    part_hashes: int = limits.SEAL_PART_HASHES,
) -> Iterator[Signed]:
    root = seal_root(stays).hex()
    for part, first in enumerate(range(0, len(stays) or 1, part_hashes)):
        in_part = [each.hex() for each in stays[first : first + part_hashes]]
        form = Seal(under.hash.hex(), ends.hash.hex(), len(stays), root, part, in_part)
        yield who.states(under.group, SEAL_TYPE, modified, form)


def revokes(
    who: Person,
    device: DeviceId,
    modified: int,
    *,
    under: Signed | None = None,
    root: Signer | None = None,
) -> Signed:
    """Ends a device; by the first root key, where no other is given."""
    form = Revocation((under or who.user.statements[0]).hash.hex(), device)
    return who.states_as_root(REVOKE_TYPE, modified, form, root=root)


def rotates(
    who: Person,
    modified: int,
    keeps: Iterable[Signed],
    *,
    under: Signed | None = None,
    root: Signer | None = None,
    next_root: Signer | None = None,
) -> Signed:
    """The next root key; the first one that was committed to, where no other is given."""
    key = root or second_root(who)
    form = Rotation(
        (under or who.user.statements[0]).hash.hex(),
        key.public.hex(),
        next_key_hash((next_root or third_root(who)).public).hex(),
        [each.hash.hex() for each in keeps],
    )
    return who.states_as_root(ROTATE_TYPE, modified, form, root=key)


def certifies_again(who: Person, certificate: Signed, under: Signed, root: Signer) -> Signed:
    """The same device, certified by a later root key."""
    value = {**certificate.value, "under": under.hash.hex(), "name": "still mine"}
    form = Certificate(**value)
    return who.states_as_root(certificate.type, certificate.modified, form, root=root)


def second_root(who: Person) -> Signer:
    """The key to which the user's beginning commits."""
    return Signer(who.recovery)


def third_root(who: Person) -> Signer:
    """The key to which rotations commit, where nothing else is said."""
    return signer(f"{who.user.name}'s third root")

"""What a set of verified identity statements adds up to: the keys and devices of one user.

An identity is a set of statements, never a document that the last writer wins; the same set reads
alike in whatever order it arrived. Each rule has a row in `docs/rules.md` ("Identity").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TypeVar

from peerstack.identity.statements import (
    DEVICE_TYPE,
    REVOKE_TYPE,
    ROTATE_TYPE,
    USER_TYPE,
    Certificate,
    Inception,
    Revocation,
    Rotation,
    decode_form_untrusted,
)
from peerstack.ids import DeviceId, UserId
from peerstack.keys import Hash, PublicKey
from peerstack.record import Signed

Item = TypeVar("Item")
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Device:
    """One certified device of a user."""

    id: DeviceId
    user: UserId
    key: PublicKey
    name: str
    since_ms: int
    """`modified` of the certificate: what the device signs counts after it."""
    certificate: Hash
    end_ms: int | None = None
    """`modified` of the earliest `$revoke` that has effect: what it signs counts before it."""
    ends: frozenset[Hash] = frozenset()
    """The hashes of the `$revoke`s that have effect, which seals name."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What one `$revoke` says."""

    device: DeviceId
    at_ms: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What a set of verified statements says of one user."""

    user: UserId
    name: str
    inception: Hash
    inceptions: frozenset[Hash]
    """All spellings of the inception: they say the same, and statements may be under any."""
    since_ms: int
    root: PublicKey
    """The root key of the present: that of the latest rotation."""
    head: Hash
    """The statement that gives `root`: new certificates, revocations, rotations are under it."""
    next: Hash
    """The hash of the root key after this one."""
    forked: bool
    """Whether two rotations of one parent are known: then nothing that follows them counts."""
    devices: Mapping[DeviceId, Device] = field(default_factory=dict)
    """The devices that count, ended ones too."""
    certified: Mapping[DeviceId, Device] = field(default_factory=dict)
    """Every device that any root key of the user certified, whether it counts or not.

    Its key and beginning are bound by its id, so they are known for good: what decides whether a
    statement is admitted goes by this, and never changes its mind."""
    revocations: Mapping[Hash, Revoked] = field(default_factory=dict)
    """Every `$revoke`, whether it counts or not."""


def read_identity(statements: Iterable[Signed]) -> Identity | None:
    """The identity that verified statements of one user describe, in whatever order they come.

    Returns None while the inception is missing. An inception may be spelled in several ways; since
    the user id derives from what it says, each is as good as the others. Certificates for one
    device id differ in nothing but the name; the one with the lowest hash gives it.
    """
    in_order = sorted(statements, key=lambda signed: signed.order)
    inceptions = [signed for signed in in_order if signed.type == USER_TYPE]
    if not inceptions:
        return None
    reader = _Reader(inceptions, in_order)
    return reader.read()


@dataclass(frozen=True, slots=True)
class _Root:
    """One root key of the user's chain, and what its rotation kept of those before it."""

    names: frozenset[Hash]
    """The statements that give it: any spelling of the inception, or the one rotation."""
    key: PublicKey
    next: Hash
    keeps: frozenset[Hash]


class _Reader:
    def __init__(self, inceptions: Sequence[Signed], statements: Sequence[Signed]) -> None:
        self._inception = inceptions[0]
        self._form = decode_form_untrusted(self._inception, Inception)
        self._names = frozenset(signed.hash for signed in inceptions)
        self._statements = statements
        self._chain, self._forked = self._follow()
        self._places = {name: at for at, root in enumerate(self._chain) for name in root.names}
        # Which roots keep a certificate, ascending: looked up, since a hostile user makes many.
        kept = ((name, at) for at, root in enumerate(self._chain) for name in root.keeps)
        self._kept_by = {
            name: [at for _, at in pairs] for name, pairs in _grouped(kept, itemgetter(0)).items()
        }

    def read(self) -> Identity:
        latest = self._chain[-1]
        certificates = list(self._certificates())
        revocations = list(self._revocations())
        certificates_of = _grouped(certificates, lambda each: each[0].id)
        revocations_of = _grouped(revocations, lambda each: DeviceId(each[1].device))
        devices = _by_device(
            device for device, under in certificates if self._counts(device, under)
        )
        return Identity(
            self._inception.signer,
            self._form.name,
            self._inception.hash,
            self._names,
            self._inception.modified,
            latest.key,
            max(latest.names) if len(self._chain) > 1 else self._inception.hash,
            latest.next,
            self._forked,
            {
                each: self._ended(device, certificates_of[each], revocations_of.get(each, ()))
                for each, device in devices.items()
            },
            _by_device(device for device, _ in certificates),
            {
                signed.hash: Revoked(DeviceId(form.device), signed.modified)
                for signed, form in revocations
            },
        )

    def _follow(self) -> tuple[list[_Root], bool]:
        """The chain of root keys up to the present, or up to where it forks."""
        rotations = _grouped(self._rotations(), lambda each: _hash(each[1].under))
        first = _Root(self._names, _key(self._form.key), _hash(self._form.next), frozenset())
        chain = [first]
        while True:
            following = [each for name in chain[-1].names for each in rotations.get(name, ())]
            if len(following) != 1:
                return chain, len(following) > 1
            signed, form = following[0]
            keeps = frozenset(map(_hash, form.keeps))
            chain.append(_Root(frozenset({signed.hash}), _key(form.key), _hash(form.next), keeps))

    def _rotations(self) -> Iterator[tuple[Signed, Rotation]]:
        for signed in self._statements:
            if signed.type == ROTATE_TYPE:
                yield signed, decode_form_untrusted(signed, Rotation)

    def _certificates(self) -> Iterator[tuple[Device, Hash]]:
        """Every certificate, and what it is under. None is as early as the user."""
        for signed in self._statements:
            if signed.type == DEVICE_TYPE and signed.modified > self._inception.modified:
                form = decode_form_untrusted(signed, Certificate)
                yield _device(signed, form), _hash(form.under)

    def _revocations(self) -> Iterator[tuple[Signed, Revocation]]:
        for signed in self._statements:
            if signed.type == REVOKE_TYPE:
                yield signed, decode_form_untrusted(signed, Revocation)

    def _place(self, under: Hash) -> int | None:
        """Which root of the chain a statement gives; None for one beyond a fork."""
        return self._places.get(under)

    def _counts(self, device: Device, under: Hash) -> bool:
        """Whether a certificate counts: each rotation after its root has kept it."""
        place = self._place(under)
        if place is None:
            return False
        kept_by = self._kept_by.get(device.certificate, ())
        return len(kept_by) - bisect_right(kept_by, place) == len(self._chain) - 1 - place

    def _ended(
        self,
        device: Device,
        certificates: Sequence[tuple[Device, Hash]],
        revocations: Sequence[tuple[Signed, Revocation]],
    ) -> Device:
        """The device with its end, where a root key ended it and no later one stood by it."""
        stood_by = self._stood_by(certificates)
        places = ((signed, self._place(_hash(form.under))) for signed, form in revocations)
        # An older root key than the latest that stood by the device may be stolen.
        ends = [signed for signed, place in places if place is not None and place >= stood_by]
        if not ends:
            return device
        end_ms = min(signed.modified for signed in ends)
        return replace(device, end_ms=end_ms, ends=frozenset(signed.hash for signed in ends))

    def _stood_by(self, certificates: Iterable[tuple[Device, Hash]]) -> int:
        """The latest root that kept a device, or certified it, by all certificates of it."""
        places = [-1]
        for device, under in certificates:
            place = self._place(under)
            places += [] if place is None else [place]
            places += self._kept_by.get(device.certificate, ())[-1:]
        return max(places)


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def _by_device(devices: Iterable[Device]) -> dict[DeviceId, Device]:
    found: dict[DeviceId, Device] = {}
    for device in sorted(devices, key=lambda each: each.certificate):
        found.setdefault(device.id, device)
    return found


def _device(signed: Signed, form: Certificate) -> Device:
    device = DeviceId(form.device)
    return Device(device, signed.signer, _key(form.key), form.name, signed.modified, signed.hash)


def _key(text: str) -> PublicKey:
    return PublicKey(bytes.fromhex(text))


def _hash(text: str) -> Hash:
    return Hash(bytes.fromhex(text))

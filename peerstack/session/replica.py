"""What a session asks of the device that it runs on. The engine answers it from the store."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from peerstack.errors import Reason
from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.keys import Hash, Secret
from peerstack.reconcile.fingerprint import Fingerprint, Item, hashed_fingerprint
from peerstack.reconcile.ordered import OrderedSet
from peerstack.reconcile.span import Span
from peerstack.record import Signed
from peerstack.session.wire import Kind


class Standing(enum.Enum):
    """What the statements here say of a peer, in one group."""

    MEMBER = enum.auto()
    UNKNOWN = enum.auto()
    HOST = enum.auto()
    """We are no member (yet): the peer may show us statements, and nothing else."""
    PARTED = enum.auto()
    """The peer left or was removed, or its device was revoked: it gets the statements of that."""


class SecretKind(enum.IntEnum):
    """What it says of somebody to hold a secret of a group; the lower, the more."""

    MEMBER = 1
    """The secret that the group has now."""
    PAIR = 2
    """One that only these two devices can work out, one of them an admin's."""
    OLD = 3
    """One that the group had: whoever holds no other was a member once, and may be still."""
    INVITE = 4
    """An invite's: it shows no membership, only that one was invited."""
    ENDED_INVITE = 5
    """One that lets nobody in any more: like an old one, others are heard by it and no more."""


class SharedSecret(NamedTuple):
    """What two devices must both hold to recognise a group in each other."""

    group: GroupId
    secret: Secret
    kind: SecretKind


class Roots(NamedTuple):
    """The fingerprints of the sets of a group, in the order in which they are brought level."""

    statements: Fingerprint
    records: Fingerprint
    conflicts: Fingerprint = hashed_fingerprint(())


class Slice(NamedTuple):
    """Some of what lies in a span, in order, and where to go on."""

    items: Sequence[Signed]
    rest: Span | None


class Replica(Protocol):
    """The groups on this device, within one turn of the engine."""

    def secrets(self) -> Sequence[SharedSecret]:
        """All that a peer may be recognised by, most urgent group first."""
        ...

    def standing(self, group: GroupId, user: UserId, device: DeviceId, key: bytes) -> Standing:
        """What the group's statements say of the device at the other end."""
        ...

    def holds(self, group: GroupId, device: DeviceId, secrets: Collection[Secret]) -> None:
        """Note that a device, proven to be a member's, has these of the group's secrets."""
        ...

    def agreed(self, group: GroupId) -> None:
        """The peer has shown the same of a group as is here."""
        ...

    def takes_lease(self, group: GroupId) -> bool:
        """Whether the peer may bring the group level now; else it is resumed later."""
        ...

    def roots(self, group: GroupId) -> Roots:
        """Where this device stands in a group; a few lookups, whatever the group's size."""
        ...

    def ordered(self, group: GroupId, kind: Kind) -> OrderedSet:
        """One set of a group, for comparing."""
        ...

    def wanted(self, group: GroupId, kind: Kind, items: Sequence[Item]) -> Sequence[Item]:
        """Those of a peer's items that could change anything here and were not seen before."""
        ...

    def excluded(self, group: GroupId, kind: Kind) -> Sequence[Hash]:
        """Hashes of what is known without being in the set (replaced, held, refused): bounded."""
        ...

    def sample(self, group: GroupId, rank: int) -> Sequence[Item]:
        """Neighbouring live records, `limits.AUDIT_ITEMS` of them, of which the first has `rank`.

        That is how many stand before it; fewer records only where no more follow.
        """
        ...

    def has_set_aside(self, group: GroupId, kind: Kind) -> bool:
        """Whether anything is held or was refused, so that it must not be sent unseen."""
        ...

    def read(self, group: GroupId, kind: Kind, keys: Sequence[bytes]) -> Sequence[Signed]:
        """What this device has for some keys of a set; of records, the live versions."""
        ...

    def read_span(self, group: GroupId, kind: Kind, span: Span) -> Slice:
        """The next of what lies in a span, at most `limits.BATCH_RECORDS`."""
        ...

    def introduction(self, group: GroupId) -> Sequence[Signed]:
        """The statements that show why this device belongs to the group, or asks to join it."""
        ...

    def parting(self, group: GroupId, user: UserId, *, sealed: bool) -> Sequence[Signed]:
        """The statements that show why a peer's user or device is not in the group any more.

        `sealed`: with the seals of their ends, which they need who think that they are in it.
        """
        ...

    def arrived(self, group: GroupId, kind: Kind, items: Sequence[Signed], number: int) -> None:
        """Take what a peer sent. The engine later calls `Peer.settled` with the number."""
        ...

    def refused(self, reason: Reason) -> None:
        """Count something that a peer sent and that cannot be accepted."""
        ...

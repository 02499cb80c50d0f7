"""What goes into the store and comes out of it, beside `Signed`. Knows no SQL."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from peerstack.ids import DeviceId, GroupId, UserId
from peerstack.keys import Hash
from peerstack.reconcile import Fingerprint, Item, Sum
from peerstack.record import Signed


class VersionState(enum.StrEnum):
    """Why a version is kept although it is not live."""

    HISTORY = "history"
    UNSEEN = "unseen"
    """History too, and the author of what is live had not seen it: a conflict to be settled."""
    HELD = "held"
    QUARANTINED = "quarantined"


class Head(msgspec.Struct, frozen=True):
    """What a merge needs of a live version, without its body."""

    modified: int
    hash: Hash
    device: DeviceId

    @property
    def order(self) -> tuple[int, bytes]:
        """As `Signed.order`: of two versions of an id, the higher one wins."""
        return (self.modified, self.hash)


class Change(msgspec.Struct, frozen=True):
    """A version that becomes live, over the one that is live now (if there is one)."""

    record: Signed
    previous: Head | Signed | None
    origin: str
    """`LOCAL_ORIGIN`, or the id of the device that the record came from."""
    conflict: bool = False
    """Whether the author of `record` had not seen `previous`."""


class Withdrawal(msgspec.Struct, frozen=True):
    """A live version that leaves for the quarantine, since its author had no right to it."""

    record: Signed
    why: str
    """As in `SetAside`."""
    heir: Signed | None
    """The lost version that is live again in its place, if there is one."""


LOCAL_ORIGIN = "local"

UNCHECKED: Final = "certificate"
"""What a held version waits for whose signature cannot be checked yet: it may be a forged copy."""


class Waiting(msgspec.Struct, frozen=True):
    """A statement that waits for something, as `pending_statements` is asked about it."""

    signed: Signed
    waits_for: str
    """The hash of a statement in hex, or a user's id."""


class Sender(msgspec.Struct, frozen=True):
    """Who sent what waits: its room is shared out among senders."""

    name: str
    """A member's device id. Anybody may claim to be a device, so of others, the proven key."""
    is_member: bool


class LoggedChange(msgspec.Struct, frozen=True):
    """One entry of this device's log of changes.

    `previous` is what `record` won over; `None` if nothing, or no longer kept. Where a loser came
    late, `record` is the version that was live already; where the one that first won over a
    conflict is no longer kept, it is the one that is live now. `withdrawn`: `record` left, since
    its author had no right to it; what is live again in its place, if anything, has an entry
    behind.
    """

    seq: int
    record: Signed
    previous: Signed | None
    origin: str
    conflict: bool
    withdrawn: bool = False


class SetAside(msgspec.Struct, frozen=True):
    """A version in quarantine."""

    record: Signed
    why: str
    """The hash, in hex, of the statement that ended its author's right; or a reason's name."""
    since_ms: int


class BrokenVersion(NamedTuple):
    """A version that the disk did not keep as it was stored; each text as it was found."""

    group: str
    type: str
    id: str
    body: str
    hash: str
    """In hex."""


class KeptVersion(msgspec.Struct, frozen=True):
    """A version that is kept without being live, and why."""

    record: Signed
    state: VersionState
    why: str
    """As in `SetAside`; empty but in quarantine."""


class Judging(msgspec.Struct, frozen=True):
    """A signer whose versions in a group are to be judged again."""

    group: GroupId
    signer: UserId
    cursor: str
    """How far that has come; empty at the beginning."""


class GroupRow(msgspec.Struct, frozen=True):
    """A group on this device, and what its two sets amount to."""

    id: GroupId
    joined_ms: int
    records: Sum
    statements_root: bytes
    """SHA-256 over the sorted hashes of the statements that belong to the group."""
    statements_count: int

    @property
    def root(self) -> Fingerprint:
        """The fingerprint of all live records."""
        return self.records.fingerprint()


class Counts(msgspec.Struct, frozen=True):
    """How many versions and statements of a group the store holds, by what it knows of them."""

    live: int
    history: int
    held: int
    quarantined: int
    pending_statements: int
    refused: Mapping[str, int]
    """Hashes that are remembered because they were refused, by reason."""


def item_of(record: Signed) -> Item:
    """A live record's place in its group's ordered set, and its hash."""
    return Item(key_of(record.modified, record.id), record.hash)


def key_of(modified: int, record_id: str) -> bytes:
    """The key in a group's ordered set: 6 bytes of `modified`, big endian, and the id."""
    return modified.to_bytes(6, "big") + record_id.encode("ascii")

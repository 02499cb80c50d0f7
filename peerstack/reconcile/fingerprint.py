"""What stands for a range when it is compared: a count and a digest.

Two kinds: sums modulo 2^256, which a store can maintain as items come and go, and a hash over
sorted keys, for small sets whose comparison must not be forgeable. Knows no sets and no peers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final, Self

import msgspec

from peerstack import limits

DIGEST_BYTES: Final = 16
SUM_BYTES: Final = 32
_MODULUS: Final = 1 << (8 * SUM_BYTES)


class Fingerprint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How many items a range holds, and 16 bytes that differ where the items do."""

    count: Annotated[int, msgspec.Meta(ge=0, le=limits.INTEGER_MAX)]
    digest: Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class Item(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member of an ordered set: its place, and the hash of what stands there.

    The hash covers the place too: no two items of a set have the same `digest`. It is empty in sets
    whose keys are hashes themselves.
    """

    key: Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.RECONCILE_KEY_BYTES)]
    digest: Annotated[bytes, msgspec.Meta(max_length=32)]


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum modulo 2^256 of items' hashes, and how many they are. Order does not matter."""

    count: int = 0
    total: int = 0

    @classmethod
    def of(cls, item: Item) -> Self:
        """The sum of one item alone: SHA-256 over its length-prefixed key and its digest."""
        return cls(1, int.from_bytes(_item_hash(item), "big"))

    @classmethod
    def load(cls, count: int, total: bytes) -> Self:
        """The sum whose `count` and 32-byte `dump` were stored."""
        return cls(count, int.from_bytes(total, "big"))

    def plus(self, other: Sum) -> Sum:
        """Both together."""
        return Sum(self.count + other.count, (self.total + other.total) % _MODULUS)

    def minus(self, other: Sum) -> Sum:
        """This one without the items of `other`, which were all in it."""
        return Sum(self.count - other.count, (self.total - other.total) % _MODULUS)

    def dump(self) -> bytes:
        """The total as 32 big-endian bytes, for a store to keep beside the count."""
        return self.total.to_bytes(SUM_BYTES, "big")

    def fingerprint(self) -> Fingerprint:
        """Count, and the first 16 bytes of SHA-256 over total and count (8 bytes)."""
        hashed = hashlib.sha256(self.dump() + self.count.to_bytes(8, "big"))
        return Fingerprint(self.count, hashed.digest()[:DIGEST_BYTES])


def hashed_fingerprint(keys: Iterable[bytes]) -> Fingerprint:
    """Count, and the first 16 bytes of SHA-256 over `keys`: ascending, all of one length."""
    hasher = hashlib.sha256()
    count = 0
    for key in keys:
        hasher.update(key)
        count += 1
    return Fingerprint(count, hasher.digest()[:DIGEST_BYTES])


def plain_hash(salt: bytes, items: Iterable[Item]) -> bytes:
    """SHA-256 (32 bytes) over `salt` and the hashes of `items`, ascending: what sums claim.

    Two sets crafted to have equal sums (Wagner's generalised birthday) have unequal plain hashes.
    """
    return hashlib.sha256(salt + b"".join(map(_item_hash, items))).digest()


def _item_hash(item: Item) -> bytes:
    return hashlib.sha256(len(item.key).to_bytes(2, "big") + item.key + item.digest).digest()

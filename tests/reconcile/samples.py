"""Items shaped like an app's records: (modified, id) for a key, the record's hash for a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from random import Random

from peerstack.reconcile import Item

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FIRST_MS = 1_700_000_000_000


def record(modified_ms: int, random: Random) -> Item:
    number = modified_ms << 80 | random.getrandbits(80)
    ulid = "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
    key = modified_ms.to_bytes(6, "big") + ulid.encode()
    return Item(key, hashlib.sha256(key).digest())


def records(count: int, random: Random, gap_ms: int = 20_000) -> list[Item]:
    """`count` records written one after another, in that order."""
    modified_ms, made = _FIRST_MS, []
    for _ in range(count):
        modified_ms += random.randrange(1, gap_ms)
        made.append(record(modified_ms, random))
    return made


def edited(items: list[Item], count: int, random: Random) -> list[Item]:
    """As many records of any age, written again later than all: they move to the young end."""
    chosen = set(random.sample(range(len(items)), count))
    kept = [item for place, item in enumerate(items) if place not in chosen]
    latest_ms = int.from_bytes(items[-1].key[:6], "big")
    return kept + [record(latest_ms + 1 + nth, random) for nth in range(count)]


def without(items: list[Item], places: Iterable[int]) -> list[Item]:
    left_out = set(places)
    return [item for place, item in enumerate(items) if place not in left_out]


def hashes(count: int, random: Random) -> list[Item]:
    """Like statements: the key is the hash, and there is nothing more to compare."""
    return [Item(random.randbytes(32), b"") for _ in range(count)]

"""Half-open ranges of keys, and the shortest bounds between them.

Knows nothing of what a key means.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Span(NamedTuple):
    """The keys from `lower` (in it) to `upper` (not in it), compared as bytes."""

    lower: bytes
    """`b""` stands before every key."""
    upper: bytes | None
    """`None` stands behind every key."""

    def __contains__(self, key: object) -> bool:
        """Whether `key` lies in the span."""
        if not isinstance(key, bytes):
            return False
        return self.lower <= key and (self.upper is None or key < self.upper)


EVERYTHING: Final = Span(b"", None)


def shortest_bound(left: bytes, right: bytes) -> bytes:
    """The shortest prefix of `right` that stands behind `left`, for two keys `left < right`.

    Bounds need not be keys; short ones save most of what a fingerprint costs to send.
    """
    shared = 0
    while shared < len(left) and left[shared] == right[shared]:
        shared += 1
    return right[: shared + 1]

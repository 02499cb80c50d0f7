"""The leaves of one user, found by the grants that they may end.

Any number of them is signed for nothing, and each may end every grant that a user ever had. So each
grant is shown those alone that can decide where it ends: of all that are treated alike, the
earliest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from peerstack.groups.seals import Closing
from peerstack.keys import Hash

Alike = Hash | None
"""What leaves have in common that are treated alike; None where each may be treated otherwise."""


class Leaves:
    """Some leaves of one user, in the order of their times."""

    def __init__(self, leaves: Iterable[tuple[Alike, Closing]]) -> None:
        found = defaultdict[Alike, list[Closing]](list)
        for alike, leave in leaves:
            found[alike].append(leave)
        self._by_likeness: Final = {
            alike: sorted(those, key=lambda each: each[0].order) for alike, those in found.items()
        }

    def since(self, consent_ms: int) -> Iterator[Closing]:
        """Those that may decide what becomes of a grant by a consent of that time."""
        for alike, leaves in self._by_likeness.items():
            first = bisect_left(leaves, consent_ms, key=lambda each: each[0].modified)
            yield from leaves[first:] if alike is None else leaves[first : first + 1]

"""Which peer brings which group level: one at a time, so that what several have comes once.

News (`session.peer.Peer.push` and `tell`) goes to all who are connected at once, and waits for
nothing here. All else does. In memory alone; nothing is lost but bytes where it goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from peerstack.ids import GroupId
from peerstack.ports import Instant
from peerstack.signaling.rendezvous import Link

_IDLE_MS: Final = 5_000
"""A peer that has brought nothing for as long waits no more for the others: nor do they for it."""

_WHOLE_MS: Final = 60_000
"""Nobody keeps others waiting longer, whatever it brings."""


class _Lease(NamedTuple):
    link: Link
    idle_at_ms: int
    ends_ms: int

    @property
    def until_ms(self) -> int:
        return min(self.idle_at_ms, self.ends_ms)


class Leases:
    """For each group at most one; they end by themselves."""

    def __init__(self) -> None:
        self._held: dict[GroupId, _Lease] = {}
        self._waiting: dict[GroupId, dict[Link, None]] = {}
        """Whose turn it is next, in order: whoever has had one goes behind the others."""

    def take(self, group: GroupId, link: Link, now: Instant) -> bool:
        """Whether the peer at `link` may bring a group level now; else it waits for its turn.

        What is over still keeps it from others, and from who had it, until it is passed on.
        """
        held = self._held.get(group)
        if held is None:
            ends_ms = now.mono_ms + _WHOLE_MS
            self._held[group] = _Lease(link, now.mono_ms + _IDLE_MS, ends_ms)
            return True
        if held.link == link and now.mono_ms < held.until_ms:
            return True
        self._waiting.setdefault(group, {})[link] = None
        return False

    def renew(self, link: Link, now: Instant) -> None:
        """The peer has brought something."""
        for group, held in self._held.items():
            if held.link == link:
                self._held[group] = held._replace(idle_at_ms=now.mono_ms + _IDLE_MS)

    def pass_on(
        self, now: Instant, is_brought: Callable[[Link, GroupId], bool]
    ) -> list[tuple[GroupId, list[Link]]]:
        """End what is over, which is due after every turn; who was waiting, and is to try again.

        Who tries first has it; the others keep their order. `is_brought`: whether a peer is still
        at it.
        """
        over = [
            group
            for group, held in self._held.items()
            if now.mono_ms >= held.until_ms or not is_brought(held.link, group)
        ]
        for group in over:
            del self._held[group]
        return [
            (each, list(self._waiting.pop(each))) for each in sorted(over) if each in self._waiting
        ]

    @property
    def next_wake_ms(self) -> int | None:
        """When (monotonic) the next one ends that somebody waits for; None for never."""
        return min((self._held[group].until_ms for group in self._waiting), default=None)

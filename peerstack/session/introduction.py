"""What a peer is told of a group unasked: why this device is in it, or who is no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from peerstack import limits
from peerstack.ids import GroupId, UserId
from peerstack.keys import Hash
from peerstack.reconcile import Fingerprint
from peerstack.record import Signed


class Introduction:
    """The statements that two have said to each other unasked, on one connection."""

    def __init__(self, group: GroupId) -> None:
        self._group: Final = group
        self._due: list[Signed] = []
        self._held: list[tuple[Sequence[Signed], Fingerprint]] = []
        self._said: set[Hash] = set()
        self._told: set[Hash] = set()
        """What the peer keeps of it, as far as this side can know."""
        self._heard: set[Hash] = set()
        self._signed_by: set[UserId] = set()
        """Who signed something of the group that the peer was told of."""

    @property
    def due(self) -> Sequence[Signed]:
        """What is to be told, in this order, before anything else that there is room for."""
        return self._due

    def sent(self, count: int) -> None:
        """The first of what is due were sent."""
        self._due = self._due[count:]

    def tell(self, statements: Sequence[Signed]) -> None:
        """Have the peer be told of all of some statements that it was not told of yet.

        Identities of users who have signed nothing else that it was told of are told again with
        whatever it has not heard yet: a device keeps none of these alone.
        """
        news = [signed for signed in statements if signed.hash not in self._told]
        if any(signed.hash not in self._said for signed in news):
            self._due += news
            self.note_told(news)

    def note_told(self, statements: Sequence[Signed]) -> None:
        """The peer is told of some statements."""
        self._said.update(signed.hash for signed in statements)
        self._signed_by.update(
            signed.signer for signed in statements if signed.group == self._group
        )
        self._told.update(signed.hash for signed in statements if signed.signer in self._signed_by)

    def untold(self, statements: Sequence[Signed]) -> list[Signed]:
        """Those of some statements that the peer was not told of, and has not shown itself."""
        known = self._told | self._heard
        return [signed for signed in statements if signed.hash not in known]

    def answer(self, statements: Sequence[Signed]) -> None:
        """The same, but for what the peer itself has shown."""
        self.tell(self.untold(statements))

    def hold(self, statements: Sequence[Signed], stand: Fingerprint) -> None:
        """Keep what the peer is to be told of, unless it shows soon to have come to stand there."""
        self._held.append((statements, stand))

    def take_held(self) -> Sequence[Signed]:
        """What was kept for the peer; once."""
        held, self._held = self._held, []
        return [signed for statements, _ in held for signed in statements]

    def stands(self, there: Fingerprint) -> None:
        """The peer has shown where it stands: what brought this side there, it has heard too."""
        known = [place for place, (_, stand) in enumerate(self._held) if stand == there]
        if known:
            self._held = self._held[known[-1] + 1 :]

    def heard(self, statements: Sequence[Signed]) -> None:
        """The peer has shown some statements."""
        if len(self._heard) < limits.INTRODUCTION_STATEMENTS:
            self._heard.update(signed.hash for signed in statements)

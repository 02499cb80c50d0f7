"""Where this device is present: its connections to servers, its topics there, its announcements.

Knows nothing of other devices.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.keys import KEY_BYTES, BoxKey, Secret, Signer
from peerstack.ports import Entropy, below
from peerstack.signaling.rendezvous.boxes import (
    CHALLENGE_BYTES,
    Announcement,
    Echo,
    Peer,
    seal_announcement,
    topic_of,
)
from peerstack.signaling.rendezvous.effects import Announce, Effect, JoinTopics, LeaveTopics

Place = Hashable
"""What a meeting secret belongs to, such as a group's id. Opaque."""

AGAIN_AFTER_MS: Final = 500
AGAIN_WITHIN_MS: Final = 2_000
AGAIN_PAUSE_MS: Final = 10_000
"""From one announcing again to the next, so that a peer cannot make this device fill a topic."""

UNHEARD_MAX_MS: Final = 60_000
"""The longest while over which a server may spread what it asks to be announced again."""

ROUND_MS: Final = 10 * 60 * 1000
"""How seldom, at most, this device considers announcing itself again; half of it at least."""


@dataclass(frozen=True, slots=True)
class Me:
    """This device, and the key with which it signs."""

    peer: Peer
    signer: Signer


class Presence:
    """This device on one server, for as long as one connection lasts."""

    def __init__(
        self, server: str, address: str, day: int, topics_max: int, entropy: Entropy
    ) -> None:
        self.server = server
        self.address = address
        self.day = day
        self.nonce = entropy.draw(CHALLENGE_BYTES)
        self.box_key = BoxKey(entropy.draw(KEY_BYTES))
        self.topics: dict[bytes, Secret] = {}
        self._topics_max = min(topics_max, limits.TOPICS_PER_CONNECTION)
        self._worked_out: dict[tuple[Secret, int], bytes] = {}
        """The topics of all secrets and days: who is in many groups enters anew for each change."""
        self._announced: set[Secret] = set()
        self._signals = 0

    def number(self) -> int:
        """The next number for what this device signals; see `boxes.Echo`."""
        self._signals += 1
        return self._signals

    def secret_untrusted(self, topic: bytes) -> Secret:
        """The secret of a topic that this device is in. Raises `RemoteError`."""
        if topic not in self.topics:
            raise RemoteError(Reason.UNEXPECTED, "from a topic that was not joined")
        return self.topics[topic]

    def enter(self, secrets: Iterable[Secret], day: int) -> list[Effect]:
        """Be in the topics of these secrets, the most important first, and in no others.

        With few topics allowed, the last secrets are left out.

        Two devices on one server may for a while hold different days for today's. Each announces in
        its own today's, and listens in both neighbours', so they hear each other.
        """
        self.day = day
        days = range(max(0, day - 1), day + 2)
        before = self._worked_out
        self._worked_out = {
            (secret, each): before.get((secret, each)) or topic_of(secret, each)
            for secret in secrets
            for each in days
        }
        due = [(topic, secret) for (secret, _), topic in self._worked_out.items()]
        topics = dict(due[: self._topics_max - self._topics_max % len(days)])
        left = tuple(topic for topic in self.topics if topic not in topics)
        new = tuple(topic for topic in topics if topic not in self.topics)
        self.topics = topics
        self._announced &= set(topics.values())
        effects: list[Effect] = [LeaveTopics(self.server, left)] if left else []
        return effects + ([JoinTopics(self.server, new)] if new else [])

    def conceal(self, current: Container[Secret]) -> None:
        """Under other secrets than these, this device was never announced."""
        self._announced = {secret for secret in self._announced if secret in current}

    def announcement(self, me: Me, echo: Echo | None = None) -> Announcement:
        """How to reach this device here."""
        return Announcement(me.peer, self.address, self.nonce, self.box_key.public, echo)

    def announce(
        self, me: Me, secrets: Iterable[Secret], entropy: Entropy, *, again: bool = False
    ) -> list[Effect]:
        """Announce this device to those who know these secrets and were not told yet."""
        effects: list[Effect] = []
        for secret in secrets:
            topic = self._worked_out.get((secret, self.day))
            if topic in self.topics and (again or secret not in self._announced):
                self._announced.add(secret)
                announcement = self.announcement(me)
                box = seal_announcement(announcement, me.signer, secret, topic, entropy)
                effects.append(Announce(self.server, topic, box))
        return effects


class Beacon:
    """All presences of this device, and the secrets by which it can be found."""

    def __init__(self, me: Me, entropy: Entropy) -> None:
        self._me = me
        self._entropy = entropy
        self.presences: dict[str, Presence] = {}
        """By server."""
        self._current: dict[Secret, None] = {}
        self._again: dict[Secret, None] = {}
        self._again_ms: int | None = None
        self._rested_ms = 0
        self._round_ms: int | None = None
        self.places: dict[Secret, Place] = {}
        """The place of each secret, the most important first."""

    def set_secrets(
        self, current: Mapping[Place, Secret], old: Mapping[Place, Sequence[Secret]]
    ) -> list[Effect]:
        """Announce under the current secrets, and only listen under the old ones, newest first.

        All current ones are more important than any old one, and the newest old one of any place
        more than the second of another.
        """
        before = (list(self.places.items()), self._current)
        self.places = {}
        for place, secret in current.items():
            self.places.setdefault(secret, place)
        for row in zip_longest(*old.values()):
            for place, secret in zip(old, row, strict=True):
                if secret is not None:
                    self.places.setdefault(secret, place)
        self._current = dict.fromkeys(current.values())
        effects: list[Effect] = []
        if (list(self.places.items()), self._current) == before:
            return effects
        for presence in self.presences.values():
            presence.conceal(self._current)
            effects += self._enter(presence, presence.day)
        return effects

    def welcomed(
        self, server: str, address: str, day: int, topics_max: int, now_ms: int
    ) -> list[Effect]:
        """A connection to a server begins; one that it had there before has ended."""
        self._begin_round(now_ms)
        presence = Presence(server, address, day, topics_max, self._entropy)
        self.presences[server] = presence
        return self._enter(presence, day)

    def day_changed(self, server: str, day: int) -> list[Effect]:
        """Move on to the topics of another day."""
        presence = self.presences.get(server)
        return presence.enter(self.places, day) if presence else []

    def unheard(self, server: str, spread_ms: int, now_ms: int) -> None:
        """Announce all again, at a random moment within what the server asks for."""
        if server in self.presences:
            spread_ms = max(AGAIN_WITHIN_MS, min(spread_ms, UNHEARD_MAX_MS))
            self.announce_soon(self._current, now_ms, spread_ms)

    def lost(self, server: str) -> None:
        """The connection to a server ended."""
        self.presences.pop(server, None)
        if not self.presences:
            self._round_ms = None

    def at_untrusted(self, server: str) -> Presence:
        """The presence on a server. Raises `RemoteError` if there is none."""
        presence = self.presences.get(server)
        if presence is None:
            raise RemoteError(Reason.UNEXPECTED, "from a server that is not connected")
        return presence

    def announce_soon(
        self, secrets: Iterable[Secret], now_ms: int, within_ms: int = AGAIN_WITHIN_MS
    ) -> None:
        """Announce again under those of these secrets that are current, after a random while."""
        self._again |= dict.fromkeys(secrets)
        if self._again and self._again_ms is None:
            spread_ms = below(within_ms - AGAIN_AFTER_MS, self._entropy)
            self._again_ms = max(now_ms + AGAIN_AFTER_MS + spread_ms, self._rested_ms)

    def wake(self, now_ms: int) -> list[Effect]:
        """Announce again if that is due."""
        if self._again_ms is None or now_ms < self._again_ms:
            return []
        due = [secret for secret in self._again if secret in self._current]
        self._again, self._again_ms = {}, None
        self._rested_ms = now_ms + AGAIN_PAUSE_MS
        effects: list[Effect] = []
        for presence in self.presences.values():
            effects += presence.announce(self._me, due, self._entropy, again=True)
        return effects

    def make_round(self, links: Mapping[Place, int], now_ms: int) -> None:
        """Announce again where that is due: in a place with n links, in one round of n + 1.

        Who only listens there, since it has a newer secret, may have come without being heard. So
        of those who are linked with each other, about one announces itself in each round, and
        nobody who is linked with this device can keep it from ever doing so.
        """
        if self._round_ms is not None and self._round_ms <= now_ms:
            crowds = {secret: links.get(self.places[secret], 0) + 1 for secret in self._current}
            due = [secret for secret, crowd in crowds.items() if not below(crowd, self._entropy)]
            self.announce_soon(due, now_ms)
            self._begin_round(now_ms)

    @property
    def next_wake_ms(self) -> int | None:
        """When `make_round` or `wake` is due (monotonic)."""
        due = (self._again_ms, self._round_ms)
        return min((each for each in due if each is not None), default=None)

    def _begin_round(self, now_ms: int) -> None:
        self._round_ms = now_ms + ROUND_MS // 2 + below(ROUND_MS // 2, self._entropy)

    def _enter(self, presence: Presence, day: int) -> list[Effect]:
        entered = presence.enter(self.places, day)
        return entered + presence.announce(self._me, self._current, self._entropy)

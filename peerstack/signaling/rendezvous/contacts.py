"""The devices that announced themselves here, and how far a link with each of them has got.

A bounded table that nothing in it can crash or overfill. It decides whom this device wants a link
with, but makes none.
"""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.keys import PublicKey, Secret
from peerstack.ports import Entropy, below
from peerstack.signaling.rendezvous.beacon import Place
from peerstack.signaling.rendezvous.boxes import Peer
from peerstack.signaling.rendezvous.effects import Link
from peerstack.signaling.rendezvous.overlay import choose, neighbours

RETRY_FIRST_MS: Final = 1_000
RETRY_MOST_MS: Final = 5 * 60 * 1000
PARTED_FIRST_MS: Final = 60 * 60 * 1000
PARTED_MOST_MS: Final = 24 * 60 * 60 * 1000
"""How long to leave in peace whom there is nothing to say to, unless something changes."""

STABLE_MS: Final = 60_000
"""A link that lived this long was no failure."""

LINKS_PER_PLACE: Final = 2 * limits.PEERS_PER_GROUP
"""Half of them wished for here, half of them by others."""


@dataclass(slots=True)
class Sighting:
    """A peer on one server, as it announced itself there."""

    server: str
    address: str
    nonce: bytes
    box_key: PublicKey
    number: int = 0
    """The highest that the peer signalled from there."""
    greeted_ms: int | None = None

    def advance_untrusted(self, number: int) -> None:
        """Take the number of a signal. Raises `RemoteError` unless it is the highest so far."""
        if number <= self.number:
            raise RemoteError(Reason.UNEXPECTED, "a signal for the second time, or out of order")
        self.number = number


class Stage(enum.Enum):
    """How far an attempt has got."""

    AWAITED = "the peer was asked to call"
    OFFERING = "the shell makes an offer"
    OFFERED = "the peer has the offer"
    ANSWERING = "the shell makes an answer"
    CONNECTING = "both have both descriptions"


@dataclass(slots=True)
class Attempt:
    """A link that is not there yet."""

    link: Link
    stage: Stage
    sighting: Sighting
    deadline_ms: int
    number: int = 0
    """Of the offer."""


@dataclass(slots=True)
class Contact:
    """A peer, where it can be reached, and the link with it."""

    peer: Peer
    secrets: dict[Secret, None] = field(default_factory=dict, repr=False)
    """Under which it was heard, the latest last."""
    sightings: dict[str, Sighting] = field(default_factory=dict)
    """By server, the latest last."""
    attempt: Attempt | None = None
    up: Link | None = None
    up_since_ms: int = 0
    asks: bool = False
    """It is for this device to call, and the peer wants it to."""
    failures: int = 0
    partings: int = 0
    """How often in a row a link showed that there is nothing to say to each other."""
    retry_ms: int | None = None

    @property
    def engaged(self) -> bool:
        """Whether there is a link, or an attempt at one."""
        return self.up is not None or self.attempt is not None

    def is_promising(self, now_ms: int) -> bool:
        """Whether to count on this peer: it can be reached and did not just fail."""
        if self.engaged:
            return True
        failed = (
            (self.failures or self.partings)
            and self.retry_ms is not None
            and now_ms < self.retry_ms
        )
        return bool(self.sightings) and not failed

    def sighted(self, sighting: Sighting) -> None:
        """The peer is on a server, or again, which is a fresh start."""
        self.sightings.pop(sighting.server, None)
        self.sightings[sighting.server] = sighting
        self.failures, self.retry_ms = 0, None
        self.partings = 0

    def fail(self, now_ms: int, entropy: Entropy) -> None:
        """An attempt came to nothing."""
        self.failures += 1
        self.rest(now_ms, entropy)

    def rest(self, now_ms: int, entropy: Entropy) -> None:
        """Try again after a random time, twice as long after each failure."""
        longest_ms = min(RETRY_MOST_MS, RETRY_FIRST_MS << min(self.failures, 16))
        self._rest(longest_ms, now_ms, entropy)

    def part(self, now_ms: int, entropy: Entropy) -> None:
        """There was nothing to say. Try again after a long time, in case it has not heard of it."""
        longest_ms = min(PARTED_MOST_MS, PARTED_FIRST_MS << min(self.partings, 16))
        self.partings += 1
        self._rest(longest_ms, now_ms, entropy)

    def _rest(self, longest_ms: int, now_ms: int, entropy: Entropy) -> None:
        self.retry_ms = now_ms + longest_ms // 2 + below(longest_ms // 2, entropy)

    def look_again(self) -> None:
        """There may be something to say after all."""
        if self.partings:
            self.partings, self.retry_ms = 0, None

    def end_rest(self, now_ms: int) -> None:
        """Forget a time that is past."""
        if self.retry_ms is not None and self.retry_ms <= now_ms:
            self.retry_ms = None


class Contacts:
    """The bounded table. Its order is that in which the peers were last heard."""

    def __init__(self, me: Peer) -> None:
        self._me = me
        self._contacts: dict[Peer, Contact] = {}
        self._by_link: dict[Link, Contact] = {}
        self._last_link = 0

    def __iter__(self) -> Iterator[Contact]:
        return iter(tuple(self._contacts.values()))

    def find(self, peer: Peer) -> Contact | None:
        """The contact of a peer."""
        return self._contacts.get(peer)

    def of_link(self, link: Link) -> Contact | None:
        """The contact whose link this is; None if the link was given up."""
        return self._by_link.get(link)

    def heard_untrusted(self, peer: Peer, secret: Secret) -> Contact:
        """The contact of a peer that was just heard under a secret.

        Raises `RemoteError(TOO_MANY)` if all that there is room for have links.
        """
        contact = self._contacts.pop(peer, None)
        if contact is None:
            self._make_room_untrusted()
            contact = Contact(peer)
        self._contacts[peer] = contact
        contact.secrets.pop(secret, None)
        contact.secrets[secret] = None
        return contact

    def new_link(self, contact: Contact) -> Link:
        """A name for a link with a contact."""
        self._last_link += 1
        link = Link(self._last_link)
        self._by_link[link] = contact
        return link

    def forget_link(self, link: Link) -> None:
        """A link is no more."""
        del self._by_link[link]

    def forget_if_idle(self, contact: Contact) -> None:
        """Forget a contact that can neither be reached nor has a link."""
        reachable = contact.sightings and contact.secrets
        if not reachable and not contact.engaged:
            self._contacts.pop(contact.peer, None)

    def wanted(self, places: Mapping[Secret, Place], now_ms: int) -> set[Peer]:
        """With whom this device wants links, over all places.

        Where it has links enough, it wants only what keeps the place together, and own devices.
        """
        engaged = self.engaged(places)
        wanted: set[Peer] = set()
        for (place, _), peers in self._rings(places, now_ms).items():
            first, *others = choose(self._me, peers)
            enough = engaged[place] >= limits.PEERS_PER_GROUP
            wanted.add(first)
            wanted.update(peer for peer in others if not enough or peer.user == self._me.user)
        return wanted

    def wants_us(
        self, contact: Contact, server: str, places: Mapping[Secret, Place], now_ms: int
    ) -> bool:
        """Whether a peer would want a link with this device, if it met the others on a server."""
        rings = self._rings(places, now_ms)
        shared = {places[secret] for secret in contact.secrets}
        return any(
            self._me in choose(contact.peer, {*rings[place, server], self._me} - {contact.peer})
            for place in shared
        )

    def under_way(self) -> int:
        """How many attempts there are."""
        return sum(each.attempt is not None for each in self._contacts.values())

    def has_room(
        self, contact: Contact, places: Mapping[Secret, Place], most: int = LINKS_PER_PLACE
    ) -> bool:
        """Whether a place that the contact shares has fewer than `most` links."""
        engaged = self.engaged(places)
        return any(engaged[places[secret]] < most for secret in contact.secrets)

    def spared_for(
        self, contact: Contact, places: Mapping[Secret, Place], now_ms: int
    ) -> Link | None:
        """The oldest link that may make way for one with a neighbour on the ring of a place.

        None if the contact is no neighbour. Only neighbours displace, and none is displaced, so a
        place that is full hangs together, and no two displace each other in turns.
        """
        rings = self._rings(places, now_ms)
        near = {ring: neighbours(self._me, peers) for ring, peers in rings.items()}
        kept = frozenset[Peer]().union(*near.values())
        full = {place for (place, _), peers in near.items() if contact.peer in peers}
        spared = [
            (each.up_since_ms, each.up)
            for each in self._contacts.values()
            if each.up is not None
            and each.peer not in kept
            and full.intersection(places[secret] for secret in each.secrets)
        ]
        return min(spared, default=(0, None))[1]

    def engaged(self, places: Mapping[Secret, Place]) -> Counter[Place]:
        """How many links and attempts each place has."""
        engaged: Counter[Place] = Counter()
        for contact in self._contacts.values():
            if contact.engaged:
                engaged.update({places[secret] for secret in contact.secrets})
        return engaged

    def keep_secrets(self, secrets: Iterable[Secret]) -> list[Contact]:
        """Forget under which other secrets peers were heard. Returns who is left with none."""
        kept = set(secrets)
        for contact in self._contacts.values():
            contact.secrets = {each: None for each in contact.secrets if each in kept}
        return [contact for contact in self._contacts.values() if not contact.secrets]

    def next_wake_ms(self) -> int | None:
        """When the next attempt runs out, or the next retry is due (monotonic)."""
        due = [each.attempt.deadline_ms for each in self if each.attempt is not None]
        due += [each.retry_ms for each in self if each.retry_ms is not None]
        return min(due, default=None)

    def _rings(
        self, places: Mapping[Secret, Place], now_ms: int
    ) -> defaultdict[tuple[Place, str], set[Peer]]:
        """The peers to count on, by place and server.

        Apart by server, since who is on one does not see who is on another: each ring hangs
        together by itself, and the devices on both servers join them.
        """
        rings: defaultdict[tuple[Place, str], set[Peer]] = defaultdict(set)
        for contact in self._contacts.values():
            if contact.is_promising(now_ms):
                for secret in contact.secrets:
                    for server in contact.sightings or ("",):
                        rings[places[secret], server].add(contact.peer)
        return rings

    def _make_room_untrusted(self) -> None:
        """Forget the peer longest unheard in the fullest place, so that none crowds out others."""
        if len(self._contacts) < limits.KNOWN_PEERS:
            return
        idle = [contact for contact in self._contacts.values() if not contact.engaged]
        if not idle:
            raise RemoteError(Reason.TOO_MANY, f"{limits.KNOWN_PEERS} peers have links")
        crowds = Counter(secret for contact in idle for secret in contact.secrets)
        fullest = max(crowds, key=crowds.__getitem__)
        del self._contacts[next(each.peer for each in idle if fullest in each.secrets)]

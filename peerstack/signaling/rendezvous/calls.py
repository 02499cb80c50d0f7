"""Calling and being called: what this device does about the peers that it knows.

One attempt and one link per peer, whatever places and servers are shared; the smaller device makes
the offer. Knows no box from inside, and no server but by its name.
"""

from __future__ import annotations

from typing import Final

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ports import Entropy
from peerstack.signaling.rendezvous import boxes
from peerstack.signaling.rendezvous.beacon import Beacon, Me
from peerstack.signaling.rendezvous.boxes import Answer, Description, Echo, Offer
from peerstack.signaling.rendezvous.contacts import (
    STABLE_MS,
    Attempt,
    Contact,
    Contacts,
    Sighting,
    Stage,
)
from peerstack.signaling.rendezvous.effects import (
    Abandon,
    AcceptAnswer,
    Effect,
    Link,
    MakeAnswer,
    MakeOffer,
    SignalTo,
)

GREETING_PAUSE_MS: Final = 1_000
"""A peer that announces itself more often is not greeted each time."""


class Calls:
    """Makes, awaits and gives up links; collects the effects of one event."""

    def __init__(self, me: Me, beacon: Beacon, contacts: Contacts, entropy: Entropy) -> None:
        self._me = me
        self._beacon = beacon
        self._contacts = contacts
        self._entropy = entropy
        self._effects: list[Effect] = []

    def take_effects(self) -> list[Effect]:
        """The effects since the last time, in their order."""
        effects, self._effects = self._effects, []
        return effects

    def settle(self, now_ms: int) -> list[Effect]:
        """Approach whoever is wanted now, own devices and important places first; the effects."""
        wanted = self._contacts.wanted(self._beacon.places, now_ms)
        ranks = {secret: rank for rank, secret in enumerate(self._beacon.places)}

        def importance(contact: Contact) -> tuple[bool, int]:
            best = min((ranks[secret] for secret in contact.secrets), default=len(ranks))
            return contact.peer.user != self._me.peer.user, best

        for contact in sorted(self._contacts, key=importance):
            self._approach(contact, now_ms, wanted=contact.peer in wanted)
            self._contacts.forget_if_idle(contact)
        return self.take_effects()

    # --- Meeting. -------------------------------------------------------------------------------

    def welcome(self, contact: Contact, sighting: Sighting, now_ms: int) -> None:
        """A peer announced itself to all: greet it if either side wants a link."""
        if contact.up is not None and sighting.greeted_ms is not None and not contact.asks:
            return
        wanted = self._wants(contact, now_ms)
        if _is_greeting_due(contact, sighting, now_ms) and (
            wanted or self._contacts.wants_us(contact, sighting.server, self._beacon.places, now_ms)
        ):
            self._greet(contact, sighting, now_ms, wanted=wanted)
        self._approach(contact, now_ms, wanted=wanted)

    def greeted(
        self, contact: Contact, sighting: Sighting, now_ms: int, *, wanted_there: bool
    ) -> None:
        """A peer answered this device's announcement: go and call it, or wait for its call."""
        if wanted_there and contact.attempt is None:
            contact.look_again()
            if self._me.peer.calls(contact.peer):
                contact.asks = True
            elif contact.up is None and self._make_room(contact, now_ms):
                self._begin(contact, sighting, Stage.AWAITED, now_ms)
        self._approach(contact, now_ms, wanted=self._wants(contact, now_ms))

    def forget_server(self, server: str) -> None:
        """Nobody can be reached by a server any more."""
        for contact in self._contacts:
            sighting = contact.sightings.get(server)
            if sighting is not None:
                self.forget_sighting(contact, sighting)

    def forget_sightings(self, contact: Contact) -> None:
        """A peer cannot be reached any more, by any server."""
        for sighting in tuple(contact.sightings.values()):
            self.forget_sighting(contact, sighting)

    def forget_sighting(self, contact: Contact, sighting: Sighting) -> None:
        """A peer is no more where it was. An attempt that still had to go that way is given up."""
        contact.sightings.pop(sighting.server)
        attempt = contact.attempt
        if (
            attempt is not None
            and attempt.sighting is sighting
            and attempt.stage is not Stage.CONNECTING
        ):
            self._give_up(contact)

    # --- The steps of an attempt. ---------------------------------------------------------------

    def offered(self, link: Link, sdp: str, now_ms: int) -> None:
        """The shell made an offer: send it."""
        contact, attempt = self._at_stage(link, Stage.OFFERING)
        if contact is not None and attempt is not None:
            attempt.stage = Stage.OFFERED
            attempt.number = self._number(attempt.sighting)
            self._describe(Offer, contact, attempt, (attempt.number, 0, sdp), now_ms)

    def called_untrusted(
        self, contact: Contact, sighting: Sighting, offer: Description, now_ms: int
    ) -> None:
        """A peer made an offer: have it answered. Raises `RemoteError` if it is not welcome."""
        if self._me.peer.calls(contact.peer):
            raise RemoteError(Reason.UNEXPECTED, "an offer from the device that is to be called")
        if not self._make_room(contact, now_ms):
            raise RemoteError(Reason.TOO_MANY, "no room for another link")
        # A link that is up stays until the new one is: the peer may be wrong about it.
        self._give_up(contact)
        link = self._begin(contact, sighting, Stage.ANSWERING, now_ms, number=offer.number)
        self._effects.append(MakeAnswer(link, contact.peer, offer.sdp))

    def answered(self, link: Link, sdp: str, now_ms: int) -> None:
        """The shell made an answer: send it."""
        contact, attempt = self._at_stage(link, Stage.ANSWERING)
        if contact is not None and attempt is not None:
            attempt.stage = Stage.CONNECTING
            number = self._number(attempt.sighting)
            self._describe(Answer, contact, attempt, (number, attempt.number, sdp), now_ms)

    def accepted_untrusted(self, contact: Contact, sighting: Sighting, answer: Description) -> None:
        """A peer answered an offer: connect. Raises `RemoteError` if that offer is not open."""
        attempt = contact.attempt
        if (
            attempt is None
            or attempt.stage is not Stage.OFFERED
            or attempt.sighting is not sighting
            or attempt.number != answer.answers
        ):
            raise RemoteError(Reason.UNEXPECTED, "an answer to no offer that is open")
        attempt.stage = Stage.CONNECTING
        self._effects.append(AcceptAnswer(attempt.link, answer.sdp))

    def connected(self, link: Link, now_ms: int) -> None:
        """A link is up, and takes the place of an older one."""
        contact = self._contacts.of_link(link)
        if contact is None or contact.up == link:
            return
        if contact.up is not None:
            self._drop(contact.up)
        contact.up, contact.up_since_ms = link, now_ms
        contact.attempt = None

    def ended(self, link: Link, now_ms: int, *, parted: bool = False) -> None:
        """A link is no more, or never was: try again after a while.

        `parted`: it showed that the two have nothing to say to each other.
        """
        contact = self._contacts.of_link(link)
        if contact is None:
            return
        self._contacts.forget_link(link)
        if contact.up != link:
            contact.attempt = None
            contact.fail(now_ms, self._entropy)
            return
        wanted = self._wants(contact, now_ms)
        contact.up = None
        if parted:
            contact.part(now_ms, self._entropy)
            return
        contact.partings = 0
        if wanted or self._contacts.has_room(contact, self._beacon.places, limits.PEERS_PER_GROUP):
            self._beacon.announce_soon(contact.secrets, now_ms)
        if now_ms - contact.up_since_ms < STABLE_MS:
            contact.fail(now_ms, self._entropy)
        else:
            contact.failures = 0
            contact.rest(now_ms, self._entropy)

    def look_again(self) -> None:
        """Who may be whom has changed: whoever was left in peace may be wanted."""
        for contact in self._contacts:
            contact.look_again()

    def wake(self, now_ms: int) -> None:
        """Give up what takes too long."""
        for contact in self._contacts:
            if contact.attempt is not None and contact.attempt.deadline_ms <= now_ms:
                self._give_up(contact)
                contact.fail(now_ms, self._entropy)

    # --- Means. ---------------------------------------------------------------------------------

    def _approach(self, contact: Contact, now_ms: int, *, wanted: bool) -> None:
        """Call the peer, or ask it to call, if there is reason to and nothing against it."""
        contact.end_rest(now_ms)
        wanted = wanted and contact.up is None
        if not (wanted or contact.asks) or contact.attempt or contact.retry_ms is not None:
            return
        if not contact.sightings or not self._make_room(contact, now_ms):
            return
        sighting = next(reversed(contact.sightings.values()))
        if self._me.peer.calls(contact.peer):
            contact.asks = False
            link = self._begin(contact, sighting, Stage.OFFERING, now_ms)
            self._effects.append(MakeOffer(link, contact.peer))
        else:
            self._greet(contact, sighting, now_ms, wanted=True)

    def _greet(self, contact: Contact, sighting: Sighting, now_ms: int, *, wanted: bool) -> None:
        """Tell a peer where this device is, and whether it wants a link."""
        wanted = wanted and contact.up is None and self._make_room(contact, now_ms)
        presence = self._beacon.presences[sighting.server]
        secret = next(reversed(contact.secrets))
        topic = boxes.topic_of(secret, presence.day)
        announcement = presence.announcement(
            self._me, Echo(sighting.nonce, self._number(sighting), wanted)
        )
        box = boxes.seal_announcement(announcement, self._me.signer, secret, topic, self._entropy)
        box = boxes.seal_greeting(topic, box, sighting.box_key, self._entropy)
        self._effects.append(SignalTo(sighting.server, sighting.address, box))
        sighting.greeted_ms = now_ms
        if wanted and contact.attempt is None and not self._me.peer.calls(contact.peer):
            self._begin(contact, sighting, Stage.AWAITED, now_ms)

    def _describe(
        self,
        kind: type[Offer | Answer],
        contact: Contact,
        attempt: Attempt,
        content: tuple[int, int, str],
        now_ms: int,
    ) -> None:
        """Send SDP to a peer; `content` is number, `answers` and `sdp` of the description."""
        sighting = attempt.sighting
        nonce = self._beacon.presences[sighting.server].nonce
        description = Description(self._me.peer, contact.peer, nonce, sighting.nonce, *content)
        signer = self._me.signer
        box = boxes.seal_description(kind, description, signer, sighting.box_key, self._entropy)
        if len(box) > limits.BOX_BYTES:
            self._give_up(contact)
            contact.fail(now_ms, self._entropy)
        else:
            self._effects.append(SignalTo(sighting.server, sighting.address, box))

    def _begin(
        self, contact: Contact, sighting: Sighting, stage: Stage, now_ms: int, number: int = 0
    ) -> Link:
        link = self._contacts.new_link(contact)
        contact.attempt = Attempt(link, stage, sighting, now_ms + limits.DIAL_MS, number)
        return link

    def _give_up(self, contact: Contact) -> None:
        """End an attempt, if there is one. Of one that is awaited the shell knows nothing."""
        attempt, contact.attempt = contact.attempt, None
        if attempt is None:
            return
        if attempt.stage is Stage.AWAITED:
            self._contacts.forget_link(attempt.link)
        else:
            self._drop(attempt.link)

    def _at_stage(self, link: Link, stage: Stage) -> tuple[Contact, Attempt] | tuple[None, None]:
        contact = self._contacts.of_link(link)
        attempt = contact.attempt if contact else None
        if contact is None or attempt is None or attempt.link != link or attempt.stage != stage:
            return None, None
        return contact, attempt

    def _number(self, sighting: Sighting) -> int:
        return self._beacon.presences[sighting.server].number()

    def _wants(self, contact: Contact, now_ms: int) -> bool:
        return contact.peer in self._contacts.wanted(self._beacon.places, now_ms)

    def _make_room(self, contact: Contact, now_ms: int) -> bool:
        """Whether there is room for a link, or an older one made way for it."""
        places = self._beacon.places
        if contact.attempt is not None:
            return True
        if self._contacts.under_way() >= limits.LINKS_UNDER_WAY:
            return False
        if contact.up is not None or self._contacts.has_room(contact, places):
            return True
        spared = self._contacts.spared_for(contact, places, now_ms)
        if spared is not None:
            self.ended(spared, now_ms)
            self._effects.append(Abandon(spared))
        return spared is not None

    def _drop(self, link: Link) -> None:
        self._contacts.forget_link(link)
        self._effects.append(Abandon(link))


def _is_greeting_due(contact: Contact, sighting: Sighting, now_ms: int) -> bool:
    if sighting.greeted_ms is None:
        return True
    return contact.up is None and now_ms - sighting.greeted_ms >= GREETING_PAUSE_MS

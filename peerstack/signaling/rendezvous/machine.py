"""The rendezvous itself: what servers and the transport report comes in, effects come out.

Everything that a server passes on may be forged, swapped, repeated or withheld; that costs this
device no more than the service of that server. What comes in is refused and counted, never raised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.keys import Secret
from peerstack.ports import Entropy
from peerstack.signaling.rendezvous import boxes
from peerstack.signaling.rendezvous.beacon import Beacon, Me, Place, Presence
from peerstack.signaling.rendezvous.boxes import Announcement, Answer, Description, Greeting, Offer
from peerstack.signaling.rendezvous.calls import Calls
from peerstack.signaling.rendezvous.contacts import Contact, Contacts, Sighting
from peerstack.signaling.rendezvous.effects import Effect, Link


class Rendezvous:
    """Finds the devices that share secrets with this one, and calls those that it wants.

    Every event returns effects, to be carried out in their order. Times are monotonic milliseconds.
    Links that the shell reports on after they were abandoned are passed over.
    """

    def __init__(self, me: Me, entropy: Entropy) -> None:
        self.refused: Counter[Reason] = Counter()
        """What servers passed on that could not be accepted."""
        self._me = me
        self._entropy = entropy
        self._beacon = Beacon(me, entropy)
        self._contacts = Contacts(me.peer)
        self._calls = Calls(me, self._beacon, self._contacts, entropy)

    # --- What the engine and the connections to servers report. ---------------------------------

    def set_secrets(
        self,
        current: Mapping[Place, Secret],
        old: Mapping[Place, Sequence[Secret]],
        now_ms: int,
    ) -> list[Effect]:
        """Meet by these secrets and no others; the most important place first.

        Under the `old` secrets of a place, the newest first, this device only listens: it answers
        who announces itself there, to that one's address, and announces nothing. Links that are up
        are left alone.
        """
        entered = self._beacon.set_secrets(current, old)
        for contact in self._contacts.keep_secrets(self._beacon.places):
            self._calls.forget_sightings(contact)
        return entered + self._calls.settle(now_ms)

    def welcomed(
        self,
        server: str,
        address: str,
        day: int,
        now_ms: int,
        topics_max: int = limits.TOPICS_PER_CONNECTION,
    ) -> list[Effect]:
        """A connection to a server begins: this device's address there, and the server's day.

        `topics_max` is the server's bound.
        """
        self._calls.forget_server(server)
        entered = self._beacon.welcomed(server, address, day, topics_max, now_ms)
        return entered + self._calls.settle(now_ms)

    def day_changed(self, server: str, day: int, now_ms: int) -> list[Effect]:
        """A server says that another day began (days since 1970-01-01 UTC)."""
        return self._beacon.day_changed(server, day) + self._calls.settle(now_ms)

    def unheard(self, server: str, spread_ms: int, now_ms: int) -> list[Effect]:
        """A server says that not all may have heard this device, and when to be heard again."""
        self._beacon.unheard(server, spread_ms, now_ms)
        return self._calls.settle(now_ms)

    def lost(self, server: str, now_ms: int) -> list[Effect]:
        """The connection to a server ended."""
        self._calls.forget_server(server)
        self._beacon.lost(server)
        return self._calls.settle(now_ms)

    def gone(self, server: str, address: str, now_ms: int) -> list[Effect]:
        """A server says that nobody has an address any more."""
        for contact in self._contacts:
            sighting = contact.sightings.get(server)
            if sighting is not None and sighting.address == address:
                self._calls.forget_sighting(contact, sighting)
        return self._calls.settle(now_ms)

    def announced(
        self, server: str, topic: bytes, box: bytes, sender: str, now_ms: int
    ) -> list[Effect]:
        """A server says that `sender` announced a box in a topic."""
        with self._counting_refusals():
            presence = self._beacon.at_untrusted(server)
            self._on_announcement_untrusted(presence, topic, box, sender, now_ms)
        return self._calls.take_effects()

    def signalled(self, server: str, box: bytes, sender: str, now_ms: int) -> list[Effect]:
        """A server says that `sender` sent a box to this device."""
        with self._counting_refusals():
            presence = self._beacon.at_untrusted(server)
            match boxes.open_signal_untrusted(presence.box_key, box):
                case Greeting() as greeting:
                    self._on_greeting_untrusted(presence, greeting, sender, now_ms)
                case Offer() as offer:
                    self._on_offer_untrusted(presence, offer, sender, now_ms)
                case Answer() as answer:
                    self._on_answer_untrusted(presence, answer, sender)
        return self._calls.take_effects()

    # --- What the transport reports. ------------------------------------------------------------

    def offered(self, link: Link, sdp: str, now_ms: int) -> list[Effect]:
        """The shell made the offer that `MakeOffer` asked for."""
        self._calls.offered(link, sdp, now_ms)
        return self._calls.settle(now_ms)

    def answered(self, link: Link, sdp: str, now_ms: int) -> list[Effect]:
        """The shell made the answer that `MakeAnswer` asked for."""
        self._calls.answered(link, sdp, now_ms)
        return self._calls.settle(now_ms)

    def connected(self, link: Link, now_ms: int) -> list[Effect]:
        """A link is up. An older one with the same peer, which it replaces, is abandoned."""
        self._calls.connected(link, now_ms)
        return self._calls.settle(now_ms)

    def ended(self, link: Link, now_ms: int, *, parted: bool = False) -> list[Effect]:
        """A link could not be made, or is up no more, whoever ended it and why.

        `parted`: the two have nothing to say to each other; they meet again after hours, unless
        `look_again` is called, or one of them announces itself by another connection.
        """
        self._calls.ended(link, now_ms, parted=parted)
        return self._calls.settle(now_ms)

    def look_again(self, now_ms: int) -> list[Effect]:
        """Who is in which group has changed, so whoever parted may have something to say."""
        self._calls.look_again()
        return self._calls.settle(now_ms)

    # --- Timers. --------------------------------------------------------------------------------

    def wake(self, now_ms: int) -> list[Effect]:
        """Do what is due. To be called at `next_wake_ms`; calling earlier or later does no harm."""
        self._beacon.make_round(self._contacts.engaged(self._beacon.places), now_ms)
        announced = self._beacon.wake(now_ms)
        self._calls.wake(now_ms)
        return announced + self._calls.settle(now_ms)

    @property
    def next_wake_ms(self) -> int | None:
        """When `wake` is due, as the last event left it; None if nothing is."""
        due = (self._beacon.next_wake_ms, self._contacts.next_wake_ms())
        return min((each for each in due if each is not None), default=None)

    # --- Boxes. ---------------------------------------------------------------------------------

    def _on_announcement_untrusted(
        self, presence: Presence, topic: bytes, box: bytes, sender: str, now_ms: int
    ) -> None:
        secret = presence.secret_untrusted(topic)
        announcement = boxes.open_announcement_untrusted(secret, topic, box)
        if announcement.echo is not None:
            raise RemoteError(Reason.UNEXPECTED, "a greeting for everyone")
        contact = self._meet_untrusted(presence, secret, announcement, sender)
        if contact is not None:
            self._calls.welcome(contact, contact.sightings[presence.server], now_ms)

    def _on_greeting_untrusted(
        self, presence: Presence, greeting: Greeting, sender: str, now_ms: int
    ) -> None:
        secret = presence.secret_untrusted(greeting.topic)
        announcement = boxes.open_announcement_untrusted(secret, greeting.topic, greeting.box)
        echo = announcement.echo
        if echo is None or echo.nonce != presence.nonce:
            raise RemoteError(Reason.BAD_PROOF, "a greeting that answers no announcement from here")
        contact = self._meet_untrusted(presence, secret, announcement, sender)
        if contact is not None:
            sighting = contact.sightings[presence.server]
            sighting.advance_untrusted(echo.number)
            self._calls.greeted(contact, sighting, now_ms, wanted_there=echo.wants)

    def _on_offer_untrusted(
        self, presence: Presence, offer: Offer, sender: str, now_ms: int
    ) -> None:
        description = boxes.read_description_untrusted(offer)
        contact, sighting = self._addressed_untrusted(presence, description, sender)
        self._calls.called_untrusted(contact, sighting, description, now_ms)

    def _on_answer_untrusted(self, presence: Presence, answer: Answer, sender: str) -> None:
        description = boxes.read_description_untrusted(answer)
        contact, sighting = self._addressed_untrusted(presence, description, sender)
        self._calls.accepted_untrusted(contact, sighting, description)

    def _addressed_untrusted(
        self, presence: Presence, description: Description, sender: str
    ) -> tuple[Contact, Sighting]:
        """Who sent a description that is meant for this device, now, and by this way."""
        if description.recipient != self._me.peer or description.echo != presence.nonce:
            raise RemoteError(Reason.BAD_PROOF, "meant for another device or connection")
        contact = self._contacts.find(description.sender)
        sighting = contact.sightings.get(presence.server) if contact else None
        if contact is None or sighting is None or sighting.nonce != description.nonce:
            raise RemoteError(Reason.UNKNOWN_DEVICE, "from a device that did not announce itself")
        if sighting.address != sender:
            raise RemoteError(Reason.BAD_PROOF, "from another address than was announced")
        sighting.advance_untrusted(description.number)
        return contact, sighting

    def _meet_untrusted(
        self, presence: Presence, secret: Secret, announcement: Announcement, sender: str
    ) -> Contact | None:
        """Note where a peer is. None if it is this device, heard by another way."""
        peer = announcement.sender
        if peer.rank == self._me.peer.rank:
            return None
        if announcement.address != sender:
            raise RemoteError(Reason.BAD_PROOF, "announced at another address than it came from")
        known = self._contacts.find(peer)
        before = known.sightings.get(presence.server) if known is not None else None
        if before is not None and before.nonce == announcement.nonce:
            return self._contacts.heard_untrusted(peer, secret)
        boxes.check_box_key_untrusted(announcement.box_key, self._entropy)
        contact = self._contacts.heard_untrusted(peer, secret)
        if before is not None:
            self._calls.forget_sighting(contact, before)
        contact.sighted(Sighting(presence.server, sender, announcement.nonce, announcement.box_key))
        return contact

    @contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except RemoteError as error:
            self.refused[error.reason] += 1

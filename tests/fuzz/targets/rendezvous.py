"""A device on servers where an insider announces, greets, calls and answers as badly as need be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from peerstack import limits
from peerstack.errors import Reason
from peerstack.keys import BoxKey, Secret
from peerstack.signaling.rendezvous import Abandon, Effect, Link, MakeAnswer, MakeOffer, Rendezvous
from peerstack.signaling.rendezvous.boxes import Announcement as Announced
from peerstack.signaling.rendezvous.boxes import (
    Answer,
    Description,
    Echo,
    Offer,
    seal_announcement,
    seal_description,
    seal_greeting,
    topic_of,
)
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.signaling.meeting import DAY, Secrets, SeededEntropy, make_me, secret

ME: Final = make_me(10)
PEERS: Final = tuple(make_me(number) for number in (1, 5, 11, 20))
SECRETS: Final[Secrets] = {"family": secret(1), "work": secret(2)}
SERVERS: Final = ("a", "b")
NONCES: Final = (b"n" * 16, b"m" * 16)
ADDRESSES: Final = ("here", "there")
KEYS: Final = (BoxKey(b"k" * 32).public, BoxKey(b"l" * 32).public, bytes(32))
NUMBERS: Final = (1, 2, 3, 4, limits.INTEGER_MAX)


class _Run:
    """One device, and the links that it was told to begin."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.entropy = SeededEntropy(7)
        self.now_ms = 1_000
        self.links: dict[Link, str] = {}
        self.rendezvous = Rendezvous(ME, SeededEntropy(1))
        self.do(self.rendezvous.set_secrets(SECRETS, {}, self.now_ms))
        for server in SERVERS:
            self.welcome(server)

    def do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case MakeOffer(link=link):
                    assert link not in self.links
                    self.links[link] = "offer"
                case MakeAnswer(link=link):
                    assert link not in self.links
                    self.links[link] = "answer"
                case Abandon(link=link):
                    assert self.links.pop(link, None), "abandoned what was not begun, or is over"
        assert len(self.links) <= limits.LINKS_UNDER_WAY + 16 * len(SECRETS)

    def welcome(self, server: str) -> None:
        self.do(self.rendezvous.welcomed(server, f"me-{server}", DAY, self.now_ms))

    def step(self) -> None:
        reader, meeting = self.reader, self.rendezvous
        match reader.number() % 12:
            case 0 | 1:
                self.announce()
            case 2 | 3:
                self.greet()
            case 4 | 5:
                self.describe()
            case 6:
                server, box, sender = reader.pick(SERVERS), reader.chunk(), reader.pick(ADDRESSES)
                topic = topic_of(self._secret(), DAY)
                self.do(meeting.announced(server, topic, box, sender, self.now_ms))
                self.do(meeting.signalled(server, box, sender, self.now_ms))
            case 7:
                self.transport()
            case 8:
                self.now_ms += reader.number(3)
                self.do(meeting.wake(self.now_ms))
            case 9:
                server = reader.pick(SERVERS)
                self.do(meeting.gone(server, reader.pick(ADDRESSES), self.now_ms))
            case 10:
                server = reader.pick(SERVERS)
                self.do(meeting.lost(server, self.now_ms))
                if reader.flag():
                    self.welcome(server)
            case _:
                server, later = reader.pick(SERVERS), reader.number() % 3
                self.do(meeting.day_changed(server, DAY + later, self.now_ms))
                self.do(meeting.unheard(server, later * 1_000, self.now_ms))

    def announce(self) -> None:
        server, place = self.reader.pick(SERVERS), self._secret()
        sender, box = self._announcement(place, None)
        topic = topic_of(place, DAY)
        self.do(self.rendezvous.announced(server, topic, box, sender, self.now_ms))

    def greet(self) -> None:
        reader, place = self.reader, self._secret()
        server = reader.pick(SERVERS)
        presence = self._presence(server)
        if presence is None:
            return
        nonce = presence.nonce if reader.number() % 4 else reader.pick(NONCES)
        echo = Echo(nonce, reader.pick(NUMBERS), reader.flag())
        sender, box = self._announcement(place, echo)
        sealed = seal_greeting(topic_of(place, DAY), box, presence.box_key.public, self.entropy)
        self.do(self.rendezvous.signalled(server, sealed, sender, self.now_ms))

    def describe(self) -> None:
        reader = self.reader
        server = reader.pick(SERVERS)
        presence = self._presence(server)
        if presence is None:
            return
        me = reader.pick(PEERS)
        kind: type[Offer | Answer] = Offer if reader.flag() else Answer
        description = Description(
            me.peer,
            ME.peer if reader.number() % 8 else me.peer,
            reader.pick(NONCES),
            presence.nonce if reader.number() % 8 else bytes(16),
            reader.pick(NUMBERS),
            0 if kind is Offer else reader.number() % 16,
            reader.pick(("v=0", "")),
        )
        sealed = seal_description(
            kind, description, me.signer, presence.box_key.public, self.entropy
        )
        sender = reader.pick(ADDRESSES)
        self.do(self.rendezvous.signalled(server, sealed, sender, self.now_ms))

    def transport(self) -> None:
        """The shell's part, which is honest: each link is reported on once at each stage."""
        if not self.links:
            return
        link = self.reader.pick(tuple(self.links))
        match self.links[link], self.reader.number() % 3:
            case _, 0:
                del self.links[link]
                self.do(self.rendezvous.ended(link, self.now_ms))
            case "offer", _:
                self.links[link] = "made"
                self.do(self.rendezvous.offered(link, "v=0 mine", self.now_ms))
            case "answer", _:
                self.links[link] = "made"
                self.do(self.rendezvous.answered(link, "v=0 mine", self.now_ms))
            case "made", _:
                self.links[link] = "up"
                self.do(self.rendezvous.connected(link, self.now_ms))

    def _secret(self) -> Secret:
        return self.reader.pick(tuple(SECRETS.values()))

    def _presence(self, server: str) -> Any:
        return self.rendezvous._beacon.presences.get(server)

    def _announcement(self, place: Secret, echo: Echo | None) -> tuple[str, bytes]:
        reader = self.reader
        me, sender = reader.pick(PEERS), reader.pick(ADDRESSES)
        key, nonce = reader.pick(KEYS), reader.pick(NONCES)
        said = sender if reader.number() % 8 else "elsewhere"
        announced = Announced(me.peer, said, nonce, key, echo)  # type: ignore[arg-type]
        box = seal_announcement(announced, me.signer, place, topic_of(place, DAY), self.entropy)
        return sender, box


def run(data: bytes) -> None:
    """Steps of the insider, of the servers, of the transport, and of time."""
    reader = Reader(data)
    meeting = _Run(reader)
    while reader:
        meeting.step()
    assert set(meeting.rendezvous.refused) <= set(Reason)


TARGET = Target(
    "rendezvous",
    run,
    tuple(
        f"peerstack.signaling.rendezvous.{name}"
        for name in (
            "beacon.Beacon.at_untrusted",
            "beacon.Presence.secret_untrusted",
            "boxes.check_box_key_untrusted",
            "calls.Calls.accepted_untrusted",
            "calls.Calls.called_untrusted",
            "contacts.Contacts._make_room_untrusted",
            "contacts.Contacts.heard_untrusted",
            "contacts.Sighting.advance_untrusted",
            "machine.Rendezvous._addressed_untrusted",
            "machine.Rendezvous._meet_untrusted",
            "machine.Rendezvous._on_announcement_untrusted",
            "machine.Rendezvous._on_answer_untrusted",
            "machine.Rendezvous._on_greeting_untrusted",
            "machine.Rendezvous._on_offer_untrusted",
        )
    ),
)

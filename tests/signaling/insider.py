"""Someone who knows the meeting secret and speaks the protocol by hand, as badly as need be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from peerstack.keys import BoxKey, PublicKey
from peerstack.signaling.rendezvous import Effect, Link, MakeAnswer, MakeOffer, Me, SignalTo
from peerstack.signaling.rendezvous.boxes import (
    Announcement,
    Answer,
    Description,
    Echo,
    Greeting,
    Offer,
    open_announcement_untrusted,
    open_signal_untrusted,
    seal_announcement,
    seal_description,
    seal_greeting,
    topic_of,
)
from tests.signaling.meeting import DAY, Device, Secrets, SeededEntropy, World, make_me, secret

FAMILY: Secrets = {"family": secret(1)}
TOPIC = topic_of(secret(1), DAY)
ENTROPY = SeededEntropy(7)
SDP = "v=0 by an insider"


class Insider:
    """Knows the secret and speaks the protocol by hand, at an address of its own."""

    def __init__(
        self,
        number: int,
        *,
        key: int | None = None,
        user: int | None = None,
        server: str = "a",
    ) -> None:
        self.server = server
        self.me: Me = make_me(number, key=key, user=user)
        self.address = f"insider-{number}-{key}"
        self.nonce = ENTROPY.draw(16)
        self.box_key = BoxKey(ENTROPY.draw(32))
        self.numbers = iter(range(1, 1_000))

    def box(self, echo: Echo | None = None, **change: Any) -> bytes:
        announcement = Announcement(
            self.me.peer, self.address, self.nonce, self.box_key.public, echo
        )
        changed = msgspec.structs.replace(announcement, **change)
        return seal_announcement(changed, self.me.signer, secret(1), TOPIC, ENTROPY)

    def announce(self, victim: Device, **change: Any) -> list[Effect]:
        return victim.rendezvous.announced(self.server, TOPIC, self.box(**change), self.address, 0)

    def link_up(self, victim: Device, now_ms: int = 0) -> Link:
        """Call the victim, or be called, until the link is up."""
        effects = self.announce(victim)
        if self.me.peer.calls(victim.me.peer):
            effects = self.describe(victim)
        begun = next(each for each in effects if isinstance(each, MakeOffer | MakeAnswer))
        victim.rendezvous.connected(begun.link, now_ms)
        return begun.link

    def learn(self, effects: Sequence[Effect]) -> Announcement:
        """What the victim's greeting says of it."""
        box = next(each.box for each in effects if isinstance(each, SignalTo))
        greeting = open_signal_untrusted(self.box_key, box)
        assert isinstance(greeting, Greeting)
        return open_announcement_untrusted(secret(1), greeting.topic, greeting.box)

    def greet(self, victim: Device, echo: Echo, **change: Any) -> list[Effect]:
        to = box_key_of(victim, self.server)
        box = seal_greeting(TOPIC, self.box(echo, **change), to, ENTROPY)
        return victim.rendezvous.signalled(self.server, box, self.address, 0)

    def describe(
        self, victim: Device, kind: type[Offer | Answer] = Offer, **change: Any
    ) -> list[Effect]:
        presence = victim.rendezvous._beacon.presences[self.server]
        description = Description(
            self.me.peer,
            victim.me.peer,
            self.nonce,
            presence.nonce,
            next(self.numbers),
            0 if kind is Offer else 1,
            SDP,
        )
        description = msgspec.structs.replace(description, **change)
        to = box_key_of(victim, self.server)
        box = seal_description(kind, description, self.me.signer, to, ENTROPY)
        return victim.rendezvous.signalled(self.server, box, self.address, 0)


def box_key_of(victim: Device, server: str = "a") -> PublicKey:
    return victim.rendezvous._beacon.presences[server].box_key.public


def lone() -> Device:
    device = World().add(make_me(10), FAMILY)
    assert device.rendezvous.refused == {}
    return device

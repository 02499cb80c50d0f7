"""How the engine finds others: the rendezvous, fed with events and with the groups' secrets."""

from __future__ import annotations

from collections.abc import Sequence

from peerstack.engine.effects import Effect
from peerstack.engine.events import (
    AddressGone,
    Answered,
    BoxAnnounced,
    BoxSignalled,
    MeetingEvent,
    Offered,
    ServerDayChanged,
    ServerLost,
    ServerUnheard,
    ServerWelcomed,
)
from peerstack.engine.secrets import shared_secrets
from peerstack.engine.turn import Turn
from peerstack.engine.whereabouts import restored_secret
from peerstack.errors import Reason, RemoteError
from peerstack.identity import User
from peerstack.keys import Secret
from peerstack.ports import Entropy, Instant
from peerstack.session.handshake import Authenticated
from peerstack.session.replica import SecretKind
from peerstack.signaling.rendezvous import Link, MakeAnswer, MakeOffer, Me, Peer, Place, Rendezvous


class Meeting:
    """The rendezvous of one device, and whom it called."""

    def __init__(self, user: User, entropy: Entropy) -> None:
        peer = Peer(user.id, user.device, user.device_key.public)
        self._rendezvous = Rendezvous(Me(peer, user.device_key), entropy)
        self._expected: dict[Link, Peer] = {}

    @property
    def next_wake_ms(self) -> int | None:
        """When (monotonic) `wake` is due."""
        return self._rendezvous.next_wake_ms

    @property
    def refused(self) -> dict[str, int]:
        """What servers passed on that could not be accepted, by reason."""
        return {reason.value: count for reason, count in self._rendezvous.refused.items()}

    def set_secrets(self, turn: Turn) -> None:
        """Meet by the secrets that the groups have now."""
        current: dict[Place, Secret] = {}
        old: dict[Place, list[Secret]] = {}
        restored = restored_secret(turn)
        for group, secret, kind in shared_secrets(turn):
            match kind:
                case SecretKind.MEMBER:
                    current[group] = secret
                case SecretKind.INVITE | SecretKind.PAIR:
                    # Each is a place of its own, and not one to listen in alone: who waits there
                    # for somebody would not be heard otherwise.
                    current[group, secret] = secret
                case SecretKind.OLD if secret == restored:
                    # The others may be where nobody else looks for them any more.
                    current[group, secret] = secret
                case SecretKind.OLD | SecretKind.ENDED_INVITE:
                    old.setdefault(group, []).append(secret)
        self._then(turn, self._rendezvous.set_secrets(current, old, turn.now.mono_ms))

    def wake(self, turn: Turn) -> None:
        """Do what is due."""
        self._then(turn, self._rendezvous.wake(turn.now.mono_ms))

    def connected(self, turn: Turn, link: Link) -> None:
        """A link is up."""
        self._then(turn, self._rendezvous.connected(link, turn.now.mono_ms))

    def ended(self, turn: Turn, link: Link, *, parted: bool) -> None:
        """A link is up no more, or could not be made. `parted`: there is nothing to be said."""
        self._expected.pop(link, None)
        self._then(turn, self._rendezvous.ended(link, turn.now.mono_ms, parted=parted))

    def look_again(self, turn: Turn) -> None:
        """Statements have changed: whoever had nothing to say may have something now."""
        self._then(turn, self._rendezvous.look_again(turn.now.mono_ms))

    def forget(self, link: Link, now: Instant) -> Sequence[Effect]:
        """A link is up no more, outside of any turn."""
        self._expected.pop(link, None)
        return self._rendezvous.ended(link, now.mono_ms)

    def check_untrusted(self, link: Link, proven: Authenticated) -> None:
        """Raise `RemoteError` where another device answers than the one that was called."""
        expected = self._expected.pop(link, None)
        if expected is None:
            return
        called = (expected.user, expected.device, expected.key)
        if called != (proven.user, proven.device, proven.key):
            raise RemoteError(Reason.BAD_PROOF, "another device answered than was called")

    def handle(self, turn: Turn, event: MeetingEvent) -> None:
        """What a signaling server, or the making of an SDP, brought."""
        meet, now_ms = self._rendezvous, turn.now.mono_ms
        match event:
            case ServerWelcomed(server, address, day, topics_max):
                effects = meet.welcomed(server, address, day, now_ms, topics_max)
            case ServerDayChanged(server, day):
                effects = meet.day_changed(server, day, now_ms)
            case ServerUnheard(server, spread_ms):
                effects = meet.unheard(server, spread_ms, now_ms)
            case ServerLost(server):
                effects = meet.lost(server, now_ms)
            case BoxAnnounced(server, topic, box, sender):
                effects = meet.announced(server, topic, box, sender, now_ms)
            case BoxSignalled(server, box, sender):
                effects = meet.signalled(server, box, sender, now_ms)
            case AddressGone(server, address):
                effects = meet.gone(server, address, now_ms)
            case Offered(link, sdp):
                effects = meet.offered(link, sdp, now_ms)
            case Answered(link, sdp):
                effects = meet.answered(link, sdp, now_ms)
        self._then(turn, effects)

    def _then(self, turn: Turn, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, MakeOffer | MakeAnswer):
                self._expected[effect.link] = effect.peer
        turn.effects.extend(effects)

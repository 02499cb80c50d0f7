"""A device to be fuzzed: the shipping engine over a real store, put back for every input.

What comes before (people, a group, notes, a conflict) is made once, in a simulated world. Time
stands still but where an input moves it, and all chance is from seeds: one input gives one run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, TypeVar

from peerstack import limits
from peerstack.engine import Engine, Turn, effects, events
from peerstack.errors import RemoteError
from peerstack.identity import User
from peerstack.ids import GroupId
from peerstack.keys import Check, Secret
from peerstack.ports import Instant
from peerstack.record import Signed
from peerstack.session.handshake import Authenticated, Handshake, Me, group_tag
from peerstack.session.wire import Groups, Message, decode_untrusted, encode
from peerstack.signaling.rendezvous import Link
from peerstack.store import Store
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy

T = TypeVar("T")

_BINDING: Final = bytes(32)
_AT_ONCE: Final = 1_000
"""Turns without time passing; a device that wants more does not come to rest."""

_ANSWERS: Final = 4_000
"""Messages that one message may bring about."""


@dataclass(frozen=True)
class Saved:
    """A device as it was at one moment, to be woken any number of times."""

    user: User
    store: bytes
    wall_ms: int

    @classmethod
    def of(cls, device: Device) -> Saved:
        """A simulated device, as it is now."""
        connection = device.store._writer.connection.driver_connection
        assert connection is not None
        return cls(device.user, connection.serialize(), device.now().wall_ms)


class Victim:
    """A saved device, awake. Everything that it wants done is done at once."""

    def __init__(self, saved: Saved) -> None:
        self.saved = saved
        self.store = _put_back(saved.store)
        self.engine = Engine(self.store, saved.user, SeededEntropy("victim"))
        self.said: dict[Link, list[bytes]] = {}
        """What it has said on each connection that was opened."""
        self.hung_up: dict[Link, str] = {}
        self._waiting: deque[events.Event] = deque()
        self._now_ms = 0
        self._carry_out(self.engine.start(self.now()))
        self.rest()

    def now(self) -> Instant:
        """The instant on its two clocks."""
        return Instant(self._now_ms, self.saved.wall_ms + self._now_ms)

    def pass_time(self, for_ms: int) -> None:
        """Let time pass, in one step."""
        self._now_ms += for_ms
        self.rest()

    def handle(self, event: events.Event) -> None:
        """Hand in an event, and all that follows from it at once."""
        self._waiting.append(event)
        self.rest()

    def perform(self, action: Callable[[Turn], T]) -> T:
        """Do something on it, as an app would."""
        result, wanted = self.engine.perform(action, self.now())
        self._carry_out(wanted)
        self.rest()
        return result

    def rest(self) -> None:
        """Let it do all that is due."""
        for _ in range(_AT_ONCE):
            if self._waiting:
                event = self._waiting.popleft()
            elif (due := self.engine.next_wake_ms(self.now())) is not None and due <= self._now_ms:
                event = events.Woke()
            else:
                return
            self._carry_out(self.engine.handle(event, self.now()))
        raise AssertionError("it does not come to rest")

    def _carry_out(self, wanted: Sequence[effects.Effect]) -> None:
        for effect in wanted:
            match effect:
                case effects.Send(link=link, data=data):
                    assert len(data) <= limits.MESSAGE_BYTES
                    decode_untrusted(data)
                    self.said[link].append(data)
                    assert len(self.said[link]) <= _ANSWERS
                case effects.Hangup(link=link, reason=reason):
                    self.hung_up[link] = reason
                case effects.Verify(ticket=ticket, checks=checks):
                    self._waiting.append(events.Verified(ticket, tuple(map(_holds, checks))))


class Stranger:
    """The other end of a connection, by a user's keys; it says what it is told to say."""

    def __init__(self, victim: Victim, user: User, *, dialled: bool, number: int = 1) -> None:
        self.victim, self.user = victim, user
        self.link = Link(number)
        self.proven: Authenticated | None = None
        me = Me(user.id, user.device, user.device_key)
        entropy = SeededEntropy(f"stranger/{number}")
        self._handshake = Handshake(me, dialled=dialled, binding=_BINDING, entropy=entropy)
        victim.said[self.link] = []
        victim.handle(events.PeerConnected(self.link, not dialled, _BINDING))

    @property
    def is_cut_off(self) -> bool:
        """Whether the victim has hung up."""
        return self.link in self.victim.hung_up

    def shake_hands(self) -> Stranger:
        """Complete the handshake."""
        self.say_bytes(self._handshake.open())
        for data in list(self.victim.said[self.link][:2]):
            answers, proven = self._handshake.receive_untrusted(data, self.victim.now())
            self.proven = self.proven or proven
            for answer in answers:
                self.say_bytes(answer)
        for data in self.victim.said[self.link][1:2]:
            if self.proven is None:
                _, self.proven = self._handshake.receive_untrusted(data, self.victim.now())
        assert self.proven is not None
        return self

    def name(self, group: GroupId, *secrets: Secret) -> None:
        """Say the blinded names of a group."""
        assert self.proven is not None
        transcript, device = self.proven.transcript, self.user.device
        self.say(Groups(tuple(group_tag(each, transcript, group, device) for each in secrets)))

    def say(self, message: Message) -> None:
        """Send a message."""
        self.say_bytes(encode(message))

    def say_bytes(self, data: bytes) -> None:
        """Send anything."""
        if not self.is_cut_off:
            self.victim.handle(events.PeerSent(self.link, data))

    def heard(self) -> list[Message]:
        """All that the victim has said here."""
        return [decode_untrusted(data) for data in self.victim.said[self.link]]


def as_the_wire_brings(message: Message) -> Message | None:
    """A message that was built by hand, with all that its types say checked; or None."""
    try:
        return decode_untrusted(encode(message))
    except RemoteError:
        return None


def hashes(items: Sequence[Signed]) -> list[str]:
    """The hashes of some records or statements, as statements name them."""
    return [each.hash.hex() for each in items]


@cache
def _store() -> Store:
    return Store.open("sqlite:///:memory:", {})


def _put_back(content: bytes) -> Store:
    """The one store, with this content: opening another takes much longer."""
    store = _store()
    connection = store._writer.connection.driver_connection
    assert connection is not None
    connection.deserialize(content)
    return store


@lru_cache(maxsize=10_000)
def _holds(check: Check) -> bool:
    return check.holds()

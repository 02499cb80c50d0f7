"""Linking a device, where the other one is hostile: a stranger, or an own one that turned bad."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from peerstack.engine import linking
from peerstack.identity import User
from peerstack.identity.linking import DeviceLink, decode_untrusted_device_link, linked_user
from peerstack.ids import DeviceId
from peerstack.keys import Secret
from peerstack.record import Signed
from peerstack.session.linking import NewSide, Parties
from peerstack.session.wire import (
    Batch,
    Enrolled,
    Handover,
    Kind,
    LinkCommit,
    LinkEnded,
    LinkNonce,
    LinkReveal,
    Message,
)
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.fuzz.victim import Saved, Stranger, Victim, as_the_wire_brings
from tests.simulation.linking import own_devices, show_digits

_STEPS: Final = 24
_SERVERS: Final = ["https://meet.example"]


@dataclass(frozen=True)
class _Household:
    ana: Saved
    """Before she makes a link."""
    laptop: Saved
    """A new device that shows digits."""
    user: User
    """Ana's, at the device that links the laptop."""
    topic: Secret
    devices: frozenset[DeviceId]
    """Those that Ana certified, before and after the laptop was linked."""
    statements: tuple[Signed, ...]
    """All about Ana, the laptop's certificate too."""


@cache
def _household() -> _Household:
    world = World("fuzz")
    ana = world.device("ana")
    world.settle()
    before = Saved.of(ana)
    laptop = show_digits(world, ana)
    pending, topic = Saved.of(laptop), ana.opened_link().link.topic
    ana.confirm_link()
    world.run_until(lambda: laptop.is_linked)
    statements = tuple(ana.perform(lambda turn: turn.statements(ana.user.id)))
    devices = frozenset(own_devices(ana))
    return _Household(before, pending, ana.user, topic, devices, statements)


class _Other:
    """Whoever is at the other end of one connection."""

    def __init__(self, reader: Reader, victim: Victim, user: User, link: DeviceLink | None) -> None:
        self.reader, self.victim = reader, victim
        self.to = Stranger(victim, user, dialled=reader.flag()).shake_hands()
        topic = link.topic if link else _household().topic
        self.to.name(user.id, topic)
        self.side: NewSide | None = None
        proven = self.to.proven
        if link is not None and proven is not None:
            mine = user.device_key.public
            parties = Parties(topic, proven.transcript, proven.key, mine, "phone")
            self.side = NewSide(parties, SeededEntropy("phone"))

    def go_on(self) -> None:
        for _ in range(_STEPS):
            if not self.reader:
                break
            if self.reader.number() % 8 == 0:
                self.victim.pass_time(self.reader.number(3))
                continue
            message = as_the_wire_brings(self.message())
            if message is not None:
                self.to.say(message)

    def message(self) -> Message:
        reader, side = self.reader, self.side
        match reader.number() % 10:
            case 0 if side is not None:
                return side.commit()
            case 1 if side is not None and side.digits is None:
                answers = [each for each in self.to.heard() if isinstance(each, LinkNonce)]
                return side.answered_untrusted(answers[-1]) if answers else side.commit()
            case 2:
                return LinkCommit(reader.exactly(32), reader.text() or "phone")
            case 3:
                return LinkNonce(reader.exactly(32))
            case 4:
                return LinkReveal(reader.exactly(32))
            case 5:
                return LinkEnded(reader.pick(("busy", "refused", "complete", "?")))
            case 6:
                return Enrolled(reader.flag())
            case 7:
                return Handover(*(reader.exactly(32) if reader.flag() else None for _ in range(2)))
        items = [reader.pick(_household().statements) for _ in range(1 + reader.number() % 4)]
        bodies, signatures = zip(*((each.body, each.signature) for each in items), strict=True)
        return Batch(0, Kind(reader.number() % 3), reader.number(), bodies, signatures)


def run(data: bytes) -> None:
    """Which of the two is the victim; then messages of the other, and time."""
    reader = Reader(data)
    if reader.flag():
        _as_new(reader)
    else:
        _as_old(reader)


def _as_new(reader: Reader) -> None:
    """To the old device, by who has the link: nobody is linked, since nobody confirms it."""
    victim = Victim(_household().ana)
    full = reader.flag()
    made = victim.perform(lambda turn: linking.open_link(turn, _SERVERS, full=full))
    link = decode_untrusted_device_link(made.text)
    user = linked_user(link, SeededEntropy("stranger"))
    _Other(reader, victim, user, link).go_on()
    assert _certified(victim) <= {victim.saved.user.device} | _household().devices
    assert user.device not in _certified(victim)


def _as_old(reader: Reader) -> None:
    """To the new device, by one that really is its user's."""
    victim = Victim(_household().laptop)
    _Other(reader, victim, _household().user, None).go_on()
    assert _certified(victim) <= _household().devices


def _certified(victim: Victim) -> set[DeviceId]:
    user = victim.saved.user.id
    identity = victim.perform(lambda turn: turn.state(user)).identities.get(user)
    return set(identity.devices) if identity else set()


TARGET = Target(
    "linking",
    run,
    (
        "peerstack.engine.enrolling.ended_untrusted",
        "peerstack.engine.enrolling.handover_untrusted",
        "peerstack.engine.enrolling.nonce_untrusted",
        "peerstack.engine.linking._check_identity_untrusted",
        "peerstack.engine.linking.commit_untrusted",
        "peerstack.engine.linking.enrolled_untrusted",
        "peerstack.engine.linking.reveal_untrusted",
        "peerstack.session.linking.NewSide.answered_untrusted",
        "peerstack.session.linking.OldSide.revealed_untrusted",
    ),
)

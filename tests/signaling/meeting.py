"""Devices that meet by real server rooms, in virtual time; only sockets and SDP are made up.

What a server delivers waits in queues, one per device and server, so that a test chooses what comes
next, and can read, repeat, reorder and forge it.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from peerstack.ids import DeviceId, as_user, compose
from peerstack.keys import KEY_BYTES, Secret, Signer
from peerstack.signaling.rendezvous import (
    Abandon,
    AcceptAnswer,
    Announce,
    Effect,
    JoinTopics,
    LeaveTopics,
    Link,
    MakeAnswer,
    MakeOffer,
    Me,
    Peer,
    Place,
    Rendezvous,
    SignalTo,
)
from peerstack_server.bucket import Rate
from peerstack_server.rooms import RoomLimits, Rooms

DAY = 20_000
ROOMY = RoomLimits(messages=Rate(1e6, 1e6), network_messages=Rate(1e6, 1e6))

Secrets = Mapping[Place, Secret]
OldSecrets = Mapping[Place, Sequence[Secret]]
Event = Callable[[], None]


class SeededEntropy:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def draw(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)


def secret(number: int) -> Secret:
    return Secret(bytes([number]) * 32)


def make_me(number: int, *, user: int | None = None, key: int | None = None) -> Me:
    """A device whose place in the order is its number; a user of its own unless told."""
    seed = number if key is None else key
    signer = Signer(seed.to_bytes(2, "big") * (KEY_BYTES // 2))
    owner = as_user(compose(1, (number if user is None else user).to_bytes(10, "big")))
    device = DeviceId(compose(2, number.to_bytes(10, "big")))
    return Me(Peer(owner, device, signer.public), signer)


@dataclass
class Device:
    number: int
    me: Me
    rendezvous: Rendezvous
    offers: dict[Link, str] = field(default_factory=dict)
    """The offer by which each link that the shell knows of is made."""
    up: dict[Link, Peer] = field(default_factory=dict)
    peers: dict[Link, Peer] = field(default_factory=dict)
    """Whom the shell was told that each link is with."""
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def linked(self) -> list[Peer]:
        return list(self.up.values())


@dataclass(frozen=True)
class Delivery:
    """Something that a server hands to a device."""

    to: Device
    server: str
    sender: str
    box: bytes
    topic: bytes | None = None

    def arrive(self, now_ms: int) -> list[Effect]:
        rendezvous = self.to.rendezvous
        if self.topic is None:
            return rendezvous.signalled(self.server, self.box, self.sender, now_ms)
        return rendezvous.announced(self.server, self.topic, self.box, self.sender, now_ms)


class World:
    """Servers, devices, what is under way between them, and the time."""

    def __init__(self, seed: int = 0) -> None:
        self.random = Random(seed)
        self.now_ms = 1_000
        self.devices: list[Device] = []
        self.rooms: dict[str, Rooms] = {}
        self.days: defaultdict[str, int] = defaultdict(lambda: DAY)
        self.queues: defaultdict[tuple[int, str], deque[Event | Delivery]] = defaultdict(deque)
        self.seen: list[Delivery] = []
        """All that the servers were ever handed."""
        self.announced: list[tuple[Device, bytes]] = []
        """Who announced itself, and in which topic."""
        self.asked: list[Effect] = []
        """All effects that were ever asked for."""
        self.calls: list[tuple[Peer, Peer]] = []
        """Who was to make an offer to whom."""
        self.is_cut: Callable[[Peer, Peer], bool] = lambda one, other: False
        self._ends: dict[str, list[tuple[Device, Link]]] = {}
        self._addresses = 0
        self._numbers = 0

    # --- What happens to devices. ---------------------------------------------------------------

    def add(self, me: Me, secrets: Secrets, *servers: str, old: OldSecrets | None = None) -> Device:
        rendezvous = Rendezvous(me, SeededEntropy(self.random.getrandbits(32)))
        self._numbers += 1
        device = Device(self._numbers, me, rendezvous)
        self.devices.append(device)
        self.do(device, rendezvous.set_secrets(secrets, old or {}, self.now_ms))
        for server in servers or ("a",):
            self.connect(device, server)
        return device

    def connect(self, device: Device, server: str = "a") -> None:
        rooms = self.rooms.setdefault(server, Rooms(ROOMY))
        self._addresses += 1
        address = f"address-{self._addresses}"
        rooms.connect(address, network=address, now_ms=self.now_ms)
        device.addresses[server] = address
        day = self.days[server]
        self.do(device, device.rendezvous.welcomed(server, address, day, self.now_ms))

    def disconnect(self, device: Device, server: str = "a") -> None:
        self.vanish(device, server)
        self.do(device, device.rendezvous.lost(server, self.now_ms))

    def vanish(self, device: Device, server: str = "a") -> None:
        """The server sees the connection end; the device has not noticed."""
        self.rooms[server].disconnect(device.addresses.pop(server))
        self.queues.pop((device.number, server), None)

    def crash(self, device: Device) -> None:
        """A device is gone without a word; its peers go on believing in their links."""
        for server in tuple(device.addresses):
            self.vanish(device, server)
        self.queues.pop((device.number, ""), None)
        self.devices.remove(device)

    def cut(self, one: Device, other: Device) -> None:
        """The link between two devices breaks, and both notice."""
        for link in [link for link, peer in one.up.items() if peer == other.me.peer]:
            for device, end in self._ends.pop(one.offers[link]):
                self._hang_up(device, end)

    # --- Time and order. ------------------------------------------------------------------------

    def step(self, choose: Callable[[int], int] | None = None) -> bool:
        """Let one event happen, of the queue that `choose` picks. Whether there was one."""
        waiting = [queue for queue in self.queues.values() if queue]
        if not waiting:
            return False
        event = waiting[(choose or self.random.randrange)(len(waiting))].popleft()
        if isinstance(event, Delivery):
            self.do(event.to, event.arrive(self.now_ms))
        else:
            event()
        return True

    def drain(self, choose: Callable[[int], int] | None = None) -> None:
        while self.step(choose):
            pass

    def pass_time(self, for_ms: int) -> None:
        """Let everything happen that is due within a time."""
        self.drain()
        until_ms = self.now_ms + for_ms
        while (due := self._next_wake_ms()) is not None and due <= until_ms:
            assert due > self.now_ms, "a timer that does not advance"
            self.now_ms = due
            for device in self.devices:
                if device.rendezvous.next_wake_ms == due:
                    self.do(device, device.rendezvous.wake(due))
            self.drain()
        self.now_ms = until_ms

    def _next_wake_ms(self) -> int | None:
        wakes = [device.rendezvous.next_wake_ms for device in self.devices]
        return min((wake for wake in wakes if wake is not None), default=None)

    # --- The shell. -----------------------------------------------------------------------------

    def do(self, device: Device, effects: list[Effect]) -> None:
        for effect in effects:
            self.asked.append(effect)
            if isinstance(effect, Announce):
                self.announced.append((device, effect.topic))
            if isinstance(effect, JoinTopics | LeaveTopics | Announce | SignalTo):
                self._to_server(device, effect)
            else:
                self._to_transport(device, effect)

    def _to_server(
        self, device: Device, effect: JoinTopics | LeaveTopics | Announce | SignalTo
    ) -> None:
        address = device.addresses.get(effect.server)
        rooms = self.rooms[effect.server]
        if address is None:
            return
        if isinstance(effect, JoinTopics):
            rooms.join(address, effect.topics)
        elif isinstance(effect, LeaveTopics):
            rooms.leave(address, effect.topics)
        elif isinstance(effect, Announce):
            for to in rooms.announce(address, effect.topic, effect.box, self.now_ms):
                self._relay(effect.server, to, address, effect.box, effect.topic)
        elif rooms.signal(address, effect.address, effect.box, self.now_ms):
            self._relay(effect.server, effect.address, address, effect.box, None)
        else:
            server, gone = effect.server, effect.address
            self._react(device, lambda: device.rendezvous.gone(server, gone, self.now_ms))

    def _relay(self, server: str, to: str, sender: str, box: bytes, topic: bytes | None) -> None:
        for device in self.devices:
            if device.addresses.get(server) == to:
                delivery = Delivery(device, server, sender, box, topic)
                self.seen.append(delivery)
                self.queues[device.number, server].append(delivery)

    def _to_transport(
        self, device: Device, effect: MakeOffer | MakeAnswer | AcceptAnswer | Abandon
    ) -> None:
        link, rendezvous = effect.link, device.rendezvous
        if isinstance(effect, MakeOffer):
            offer = f"v=0 offer {len(self.calls)}"
            self.calls.append((device.me.peer, effect.peer))
            self._take_up(device, link, effect.peer, offer)
            self._react(device, lambda: rendezvous.offered(link, offer, self.now_ms))
        elif isinstance(effect, MakeAnswer):
            self._take_up(device, link, effect.peer, effect.untrusted_offer)
            answer = f"v=0 answer to {effect.untrusted_offer}"
            self._react(device, lambda: rendezvous.answered(link, answer, self.now_ms))
        elif isinstance(effect, AcceptAnswer):
            assert effect.untrusted_answer == f"v=0 answer to {device.offers[link]}"
            self._join_ends(device.offers[link])
        else:
            assert link in device.offers, "abandoned what was never begun, or is over"
            for end, other in self._ends.pop(device.offers[link], []):
                if (end, other) != (device, link):
                    self._hang_up(end, other)
            self._forget(device, link)

    def _take_up(self, device: Device, link: Link, peer: Peer, offer: str) -> None:
        assert link not in device.offers, "a link twice"
        device.offers[link], device.peers[link] = offer, peer
        self._ends.setdefault(offer, []).append((device, link))

    def _join_ends(self, offer: str) -> None:
        ends = [end for end in self._ends.get(offer, []) if end[1] in end[0].offers]
        peers = [device.me.peer for device, _ in ends]
        fails = len(ends) < 2 or self.is_cut(peers[0], peers[1])
        for device, link in ends:
            if fails:
                self._hang_up(device, link)
            else:
                self._connect(device, link)

    def _connect(self, device: Device, link: Link) -> None:
        def begin() -> None:
            if link in device.offers:
                device.up[link] = device.peers[link]
                self.do(device, device.rendezvous.connected(link, self.now_ms))

        self._later(device, begin)

    def _hang_up(self, device: Device, link: Link) -> None:
        def end() -> None:
            if link in device.offers:
                self._forget(device, link)
                self.do(device, device.rendezvous.ended(link, self.now_ms))

        self._later(device, end)

    def _forget(self, device: Device, link: Link) -> None:
        for table in (device.offers, device.peers, device.up):
            table.pop(link, None)

    def _react(self, device: Device, answer: Callable[[], list[Effect]]) -> None:
        self._later(device, lambda: self.do(device, answer()))

    def _later(self, device: Device, event: Event) -> None:
        if device in self.devices:
            self.queues[device.number, ""].append(event)


def assert_all_linked(devices: Sequence[Device]) -> None:
    for device in devices:
        others = {other.me.peer for other in devices} - {device.me.peer}
        assert Counter(device.linked) == Counter(others)

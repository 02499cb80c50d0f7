"""The simulated signaling server: the real server's `Rooms`, without its sockets.

Knows what the real one knows: addresses, topics and boxes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from peerstack import limits
from peerstack.engine.events import (
    AddressGone,
    BoxAnnounced,
    BoxSignalled,
    Event,
    ServerDayChanged,
    ServerLost,
    ServerWelcomed,
)
from peerstack.signaling.rendezvous import Announce, JoinTopics, LeaveTopics, SignalTo
from peerstack.signaling.wire import DAY_MS
from peerstack.testing.conditions import Conditions
from peerstack.testing.dice import Dice
from peerstack_server.rooms import Refused, Rooms

Relayed = BoxAnnounced | BoxSignalled

_OLD_BOXES: Final = 100
_FLOOD: Final = 50
_LAST_DAY: Final = 10_000_000
"""The last that a device reads."""

_FALSE_DAY_MS: Final = 10 * 60 * 1000
_CONNECT_MS: Final = 10_000
"""How long a device waits to be welcomed, before it connects anew."""

URL: Final = "http://rooms.example"
"""The simulated server's address, as invites carry it."""

Request = JoinTopics | LeaveTopics | Announce | SignalTo
_LATER = Callable[[int, Callable[[], None]], None]


class Client(Protocol):
    """A device, as the server's events reach it."""

    name: str

    def handle(self, event: Event) -> None:
        """Take an event."""


@dataclass(eq=False, slots=True)
class _Connection:
    client: Client
    address: str
    requests: deque[Request] = field(default_factory=deque)
    """What is still to be done, in order: a server that says "too fast" is asked again."""
    busy: bool = False


class RoomServer:
    """One signaling server, in virtual time."""

    def __init__(self, later: _LATER, now: Callable[[], int], wall: Callable[[], int]) -> None:
        """`now` and `wall` tell the server's monotonic and wall time in milliseconds."""
        self.conditions = Conditions()
        self.rooms = Rooms()
        self.refusals: list[str] = []
        """What the server's rules refused, by the names of their reasons."""
        self.announced: Counter[tuple[str, bytes]] = Counter()
        """How often each device, by its name, announced something in each topic."""
        self.told: Counter[str] = Counter()
        """How often the server told which lie, of boxes (`LIES`) or in words of its own."""
        self._later = later
        self._now = now
        self._wall = wall
        self._dice = Dice("server")
        self._up = True
        self._count = 0
        self._connections: dict[str, _Connection] = {}
        self._waiting: dict[Client, None] = {}
        self._ignored: dict[Client, None] = {}
        self._watching_days = False
        self._old_boxes: deque[bytes] = deque(maxlen=_OLD_BOXES)

    # --- Connections. ---------------------------------------------------------------------------

    def connect(self, client: Client) -> None:
        """A device wants to be connected, as soon as and as long as the server runs."""
        self._waiting[client] = None
        self._later(self._latency_ms(), self._admit)

    def disconnect(self, client: Client) -> None:
        """A device is gone; it is told nothing."""
        self._waiting.pop(client, None)
        self._ignored.pop(client, None)
        for connection in [each for each in self._connections.values() if each.client is client]:
            self._forget(connection)

    def stop(self) -> None:
        """The server is gone, and forgets everything; its clients wait for it."""
        self._up = False
        for connection in list(self._connections.values()):
            self._forget(connection)
            self._waiting[connection.client] = None
            connection.client.handle(ServerLost(URL))

    def start(self) -> None:
        """The server runs again, with nothing in its memory."""
        self._up = True
        self.rooms = Rooms()
        self._later(self._latency_ms(), self._admit)

    def _admit(self) -> None:
        while self._up and self._waiting:
            client = next(iter(self._waiting))
            del self._waiting[client]
            if not self._dice.happens(self.conditions.false_word_chance):
                self._welcome(client, self._day)
            elif self._dice.happens(0.5):
                self._ignores(client)
            else:
                self._misdates(client)

    def _welcome(self, client: Client, day: int) -> str:
        """Let a device in; its address."""
        self._count += 1
        connection = _Connection(client, f"address-{self._count}")
        self.rooms.connect(connection.address, client.name, self._now())
        self._connections[connection.address] = connection
        self._watch_days()
        most = limits.TOPICS_PER_CONNECTION
        client.handle(ServerWelcomed(URL, connection.address, day, most))
        return connection.address

    def _misdates(self, client: Client) -> None:
        """Welcome a device on a day on which nobody else is, and correct that after a while."""
        self.told["_misdates"] += 1
        days = (0, self._day - 2, self._day + 2, _LAST_DAY)
        address = self._welcome(client, days[self._dice.below(len(days))])
        self._later(_FALSE_DAY_MS, lambda: self._arrive(address, ServerDayChanged(URL, self._day)))

    def _ignores(self, client: Client) -> None:
        """Never welcome a device, which waits for that in vain and connects anew."""
        self.told["_ignores"] += 1
        self._ignored[client] = None
        self._later(_CONNECT_MS, lambda: self._connect_anew(client))

    def _connect_anew(self, client: Client) -> None:
        if client in self._ignored:
            del self._ignored[client]
            self._waiting[client] = None
            self._admit()

    def _forget(self, connection: _Connection) -> None:
        del self._connections[connection.address]
        self.rooms.disconnect(connection.address)

    # --- Days. ----------------------------------------------------------------------------------

    @property
    def _day(self) -> int:
        return self._wall() // DAY_MS

    def _watch_days(self) -> None:
        if not self._watching_days:
            self._watching_days = True
            self._later(DAY_MS - self._wall() % DAY_MS, self._day_begins)

    def _day_begins(self) -> None:
        self._watching_days = False
        self._watch_days()
        for connection in list(self._connections.values()):
            connection.client.handle(ServerDayChanged(URL, self._day))

    # --- Requests. ------------------------------------------------------------------------------

    def request(self, client: Client, request: Request) -> None:
        """A device asks for something; one that is not connected says it to nobody."""
        mine = [each for each in self._connections.values() if each.client is client]
        if mine:
            self._later(self._latency_ms(), lambda: self._queue(mine[0], request))

    def _queue(self, connection: _Connection, request: Request) -> None:
        connection.requests.append(request)
        if not connection.busy:
            self._work(connection)

    def _work(self, connection: _Connection) -> None:
        connection.busy = False
        while connection.requests and connection.address in self._connections:
            try:
                self.rooms.spend(connection.address, self._now())
                self._do(connection, connection.requests[0])
            except Refused as refused:
                self.refusals.append(refused.problem.error.value)
                if refused.problem.wait_ms:
                    connection.busy = True
                    self._later(refused.problem.wait_ms, lambda: self._work(connection))
                    return
            connection.requests.popleft()

    def _do(self, connection: _Connection, request: Request) -> None:
        match request:
            case JoinTopics(topics=topics):
                self.rooms.spend_topics(connection.address, len(topics), self._now())
                self.rooms.join(connection.address, topics)
            case LeaveTopics(topics=topics):
                self.rooms.leave(connection.address, topics)
            case Announce(topic=topic, box=box):
                self.announced[connection.client.name, topic] += 1
                for to in self.rooms.announce(connection.address, topic, box, self._now()):
                    self._relay(to, BoxAnnounced(URL, topic, box, connection.address))
            case SignalTo(address=to, box=box):
                if not self.rooms.signal(connection.address, to, box, self._now()):
                    self._tell(connection.address, AddressGone(URL, to))
                    return
                self._relay(to, BoxSignalled(URL, box, connection.address))
                if self._dice.happens(self.conditions.false_word_chance):
                    self.told["_denies"] += 1
                    self._tell(connection.address, AddressGone(URL, to))

    def _relay(self, to: str, event: Relayed) -> None:
        if self._dice.happens(self.conditions.lost_signal_chance):
            return
        relayed: Sequence[Relayed] = [event]
        if self._dice.happens(self.conditions.false_signal_chance):
            relayed = self._falsified(event)
        twice = self._dice.happens(self.conditions.repeated_signal_chance)
        for each in [*relayed, *relayed] if twice else relayed:
            self._tell(to, each, self._dice.between(self.conditions.relay_ms))

    # --- Lies. ----------------------------------------------------------------------------------

    def _falsified(self, event: Relayed) -> Sequence[Relayed]:
        """What a lying server brings in place of a box."""
        self._old_boxes.append(event.box)
        lie = LIES[self._dice.below(len(LIES))]
        self.told[lie.__name__] += 1
        return lie(self, event)

    def _repeats_an_old_one(self, event: Relayed) -> Sequence[Relayed]:
        return [replace(event, box=self._old_boxes[self._dice.below(len(self._old_boxes))])]

    def _corrupts(self, event: Relayed) -> Sequence[Relayed]:
        place = self._dice.below(len(event.box))
        box = event.box[:place] + bytes([event.box[place] ^ 1]) + event.box[place + 1 :]
        return [replace(event, box=box)]

    def _truncates(self, event: Relayed) -> Sequence[Relayed]:
        return [replace(event, box=event.box[: self._dice.below(len(event.box))])]

    def _brings_too_much(self, event: Relayed) -> Sequence[Relayed]:
        return [replace(event, box=event.box + bytes(limits.BOX_BYTES))]

    def _floods(self, event: Relayed) -> Sequence[Relayed]:
        """The true one as well, and behind it as many that are not, each another."""
        junk = [each for _ in range(_FLOOD) for each in self._corrupts(event)]
        return [event, *([event] * _FLOOD), *junk]

    def _crosses_topics(self, event: Relayed) -> Sequence[Relayed]:
        """A box in a topic, of anybody's, that it was not announced in."""
        topics = list(dict.fromkeys(topic for _, topic in self.announced))
        if not topics:
            return [event]
        topic = topics[self._dice.below(len(topics))]
        return [BoxAnnounced(URL, topic, event.box, event.sender)]

    def _names_another_sender(self, event: Relayed) -> Sequence[Relayed]:
        addresses = list(self._connections)
        return [replace(event, sender=addresses[self._dice.below(len(addresses))])]

    # --- What arrives. --------------------------------------------------------------------------

    def _tell(self, to: str, event: Event, extra_ms: int = 0) -> None:
        # One latency for all, so that what one device says to another stays in order.
        wait_ms = self.conditions.latency_ms[0] + extra_ms
        self._later(wait_ms, lambda: self._arrive(to, event))

    def _arrive(self, to: str, event: Event) -> None:
        connection = self._connections.get(to)
        if connection is not None:
            connection.client.handle(event)

    def _latency_ms(self) -> int:
        return self.conditions.latency_ms[0]


Lie = Callable[[RoomServer, Relayed], Sequence[Relayed]]

LIES: Final[Sequence[Lie]] = (
    RoomServer._repeats_an_old_one,
    RoomServer._repeats_an_old_one,
    RoomServer._corrupts,
    RoomServer._truncates,
    RoomServer._brings_too_much,
    RoomServer._floods,
    RoomServer._crosses_topics,
    RoomServer._names_another_sender,
)
"""What a server does to a box where `Conditions.false_signal_chance` has it."""

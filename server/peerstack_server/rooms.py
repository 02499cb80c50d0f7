"""Who is connected, in which topics, and how much of the bounds they have used: the server's rules.

Pure: no sockets, no clock, no randomness, so that the simulated world runs the very same rules. It
must not know what is in a box, nor who is behind an address.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from peerstack import limits
from peerstack.signaling.wire import Problem, Refusal
from peerstack_server.bucket import Rate, TokenBucket

MESSAGES = Rate(per_second=30, burst=300)
NETWORK_MESSAGES = Rate(per_second=300, burst=3_000)
NETWORK_RELAYED_BYTES = Rate(per_second=2 * 2**20, burst=32 * 2**20)
TOPICS_PER_MESSAGE = 16
"""So many that are entered at once count as one more: across processes, each of them costs."""

_FIRST_SWEEP_NETWORKS = 1_024


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Bounds of one server process, also where several act as one.

    A network is what one operator's address stands for.
    """

    connections: int = 10_000
    connections_per_network: int = 256
    topics_per_connection: int = limits.TOPICS_PER_CONNECTION
    members_per_topic: int = 1_024
    box_bytes: int = limits.BOX_BYTES
    messages: Rate = MESSAGES
    """Of one connection."""
    network_messages: Rate = NETWORK_MESSAGES
    """Of all connections from one network, and of new connections from it."""
    network_relayed_bytes: Rate = NETWORK_RELAYED_BYTES
    """What the announcements and signals from one network may make the server send."""


class Refused(Exception):
    """The server does not do what was asked; `problem` is what the device is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.error.value)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the server holds."""

    connections: int
    topics: int
    networks: int


@dataclass(slots=True)
class _Network:
    name: str
    messages: TokenBucket
    relayed_bytes: TokenBucket
    connections: int = 0


@dataclass(slots=True)
class _Connection:
    network: _Network
    messages: TokenBucket
    # Dicts as ordered sets: the simulation needs the same order in every run.
    topics: dict[bytes, None] = field(default_factory=dict)


class Rooms:
    """The state of one server process. `now_ms` is a monotonic time in milliseconds throughout.

    What raises `Refused` has changed nothing but the buckets.
    """

    def __init__(self, room_limits: RoomLimits | None = None) -> None:
        self.limits = room_limits or RoomLimits()
        self._connections: dict[str, _Connection] = {}
        self._networks: dict[str, _Network] = {}
        self._topics: dict[bytes, dict[str, None]] = {}
        self._sweep_at_networks = _FIRST_SWEEP_NETWORKS

    def connect(self, address: str, network: str, now_ms: int) -> None:
        """Let a connection in under a fresh address. Refuses FULL, TOO_MANY_CONNECTIONS, TOO_FAST.

        Raises `ValueError` if the address is taken: addresses are drawn, so that is a bug.
        """
        if address in self._connections:
            raise ValueError("this address is taken")
        if len(self._connections) >= self.limits.connections:
            _refuse(Refusal.FULL, "the server holds as many connections as it may")
        origin = self._network(network, now_ms)
        if origin.connections >= self.limits.connections_per_network:
            _refuse(Refusal.TOO_MANY_CONNECTIONS, "too many connections from one network address")
        _take(origin.messages, 1, now_ms)
        origin.connections += 1
        bucket = TokenBucket(self.limits.messages, now_ms)
        self._connections[address] = _Connection(origin, bucket)

    def disconnect(self, address: str) -> list[bytes]:
        """Forget a connection, if it is here. Returns the topics that have no members any more."""
        connection = self._connections.pop(address, None)
        if connection is None:
            return []
        connection.network.connections -= 1
        return [topic for topic in connection.topics if self._drop_member(topic, address)]

    def spend(self, address: str, now_ms: int) -> None:
        """A message arrived, of whatever kind. Refuses TOO_FAST."""
        self._spend(address, 1, now_ms)

    def spend_topics(self, address: str, count: int, now_ms: int) -> None:
        """A connection is about to enter topics. Refuses TOO_FAST."""
        self._spend(address, count // TOPICS_PER_MESSAGE, now_ms)

    def join(self, address: str, topics: Iterable[bytes]) -> None:
        """Enter all of the topics or none. Refuses TOO_MANY_TOPICS, TOPIC_FULL."""
        entered = self._connection(address).topics
        new = [topic for topic in dict.fromkeys(topics) if topic not in entered]
        if len(entered) + len(new) > self.limits.topics_per_connection:
            most = self.limits.topics_per_connection
            _refuse(Refusal.TOO_MANY_TOPICS, f"at most {most} topics per connection; leave some")
        if any(len(self._topics.get(t, ())) >= self.limits.members_per_topic for t in new):
            _refuse(Refusal.TOPIC_FULL, "a topic has as many members as it may")
        for topic in new:
            entered[topic] = None
            self._topics.setdefault(topic, {})[address] = None

    def leave(self, address: str, topics: Iterable[bytes]) -> list[bytes]:
        """Leave topics; those not entered are passed over. Returns those without members now."""
        entered = self._connection(address).topics
        left = [topic for topic in dict.fromkeys(topics) if topic in entered]
        for topic in left:
            del entered[topic]
        return [topic for topic in left if self._drop_member(topic, address)]

    def announce(
        self, address: str, topic: bytes, box: bytes, now_ms: int, copies: int = 0
    ) -> tuple[str, ...]:
        """The addresses to relay the box to, without the sender's. `copies` go elsewhere.

        Refuses NOT_JOINED, TOO_LARGE, TOO_FAST.
        """
        if topic not in self._connection(address).topics:
            _refuse(Refusal.NOT_JOINED, "join a topic before announcing in it")
        recipients = tuple(member for member in self._topics[topic] if member != address)
        self._relay(address, len(box), len(recipients) + copies, now_ms)
        return recipients

    def announce_from_elsewhere(
        self, network: str, topic: bytes, box: bytes, now_ms: int
    ) -> tuple[str, ...]:
        """The addresses to relay a box to that came by way of another process. Refuses TOO_FAST.

        A network may make each process send as much as if all its connections were here.
        """
        recipients = tuple(self._topics.get(topic, ()))
        bucket = self._network(network, now_ms).relayed_bytes
        _take(bucket, len(box) * len(recipients), now_ms)
        return recipients

    def signal(self, address: str, to: str, box: bytes, now_ms: int, copies: int = 0) -> bool:
        """Whether there is anyone here to relay the box to. If not, `copies` go elsewhere.

        Refuses TOO_LARGE, TOO_FAST.
        """
        present = self.has(to)
        self._relay(address, len(box), 1 if present else copies, now_ms)
        return present

    def has(self, address: str) -> bool:
        """Whether an address is here."""
        return address in self._connections

    def network(self, address: str) -> str:
        """The network that a connection comes from."""
        return self._connection(address).network.name

    def members(self, topic: bytes) -> int:
        """How many connections are in a topic."""
        return len(self._topics.get(topic, ()))

    def counts(self) -> Counts:
        """How much the server holds now."""
        return Counts(len(self._connections), len(self._topics), len(self._networks))

    def _relay(self, address: str, box_bytes: int, recipients: int, now_ms: int) -> None:
        if box_bytes > self.limits.box_bytes:
            _refuse(Refusal.TOO_LARGE, f"a box holds at most {self.limits.box_bytes} bytes")
        network = self._connection(address).network
        _take(network.relayed_bytes, box_bytes * recipients, now_ms)

    def _spend(self, address: str, messages: float, now_ms: int) -> None:
        connection = self._connection(address)
        _take(connection.messages, messages, now_ms)
        _take(connection.network.messages, messages, now_ms)

    def _connection(self, address: str) -> _Connection:
        try:
            return self._connections[address]
        except KeyError:
            raise LookupError("a request from a connection that has ended") from None

    def _drop_member(self, topic: bytes, address: str) -> bool:
        members = self._topics[topic]
        del members[address]
        if not members:
            del self._topics[topic]
        return not members

    def _network(self, name: str, now_ms: int) -> _Network:
        if name not in self._networks:
            self._sweep(now_ms)
            self._networks[name] = _Network(
                name,
                TokenBucket(self.limits.network_messages, now_ms),
                TokenBucket(self.limits.network_relayed_bytes, now_ms),
            )
        return self._networks[name]

    def _sweep(self, now_ms: int) -> None:
        # A network without connections is kept until its buckets are full: otherwise hanging up
        # would be a way to a fresh one.
        if len(self._networks) < self._sweep_at_networks:
            return
        for name in [n for n, it in self._networks.items() if _is_idle(it, now_ms)]:
            del self._networks[name]
        self._sweep_at_networks = max(_FIRST_SWEEP_NETWORKS, 2 * len(self._networks))


def _is_idle(network: _Network, now_ms: int) -> bool:
    return (
        network.connections == 0
        and network.messages.is_full(now_ms)
        and network.relayed_bytes.is_full(now_ms)
    )


def _take(bucket: TokenBucket, amount: float, now_ms: int) -> None:
    wait_ms = bucket.take(amount, now_ms)
    if wait_ms:
        raise Refused(Problem(Refusal.TOO_FAST, f"wait {wait_ms} ms", wait_ms))


def _refuse(error: Refusal, detail: str) -> NoReturn:
    raise Refused(Problem(error, detail))

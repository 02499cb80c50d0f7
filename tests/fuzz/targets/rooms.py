"""Any requests of any devices, in any order: the server's rooms do what plain sets would do."""

from __future__ import annotations

from typing import Final

from peerstack_server.bucket import Rate
from peerstack_server.rooms import Refused, RoomLimits, Rooms
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

_LIMITS: Final = RoomLimits(
    connections=6,
    connections_per_network=3,
    topics_per_connection=3,
    members_per_topic=3,
    box_bytes=64,
    messages=Rate(30, 20),
    network_messages=Rate(30, 40),
    network_relayed_bytes=Rate(100, 400),
)
_TOPICS: Final = tuple(bytes([number]) * 32 for number in range(6))


def run(data: bytes) -> None:
    """Steps: what is asked, by whom, of what."""
    reader, rooms = Reader(data), Rooms(_LIMITS)
    entered: dict[str, set[bytes]] = {}
    networks: dict[str, str] = {}
    now_ms = 0
    while reader:
        step, device = reader.number() % 7, str(reader.number() % 8)
        try:
            if step == 0:
                now_ms += reader.number(2)
            elif step == 1 and device not in entered:
                networks[device] = str(reader.number() % 3)
                rooms.connect(device, networks[device], now_ms)
                entered[device] = set()
            elif device in entered:
                rooms.spend(device, now_ms)
                _ask(rooms, entered, device, step, reader, now_ms)
        except Refused:
            pass
        _check(rooms, entered, networks)


def _ask(
    rooms: Rooms,
    entered: dict[str, set[bytes]],
    device: str,
    step: int,
    reader: Reader,
    now_ms: int,
) -> None:
    topics = [reader.pick(_TOPICS) for _ in range(reader.number() % 5)]
    match step:
        case 2:
            rooms.join(device, topics)
            entered[device] |= set(topics)
        case 3:
            emptied = rooms.leave(device, topics)
            left = entered[device] & set(topics)
            entered[device] -= left
            assert sorted(emptied) == sorted(left.difference(*entered.values()))
        case 4:
            topic = reader.pick(_TOPICS)
            reached = rooms.announce(device, topic, bytes(reader.number()), now_ms)
            expected = {each for each, inside in entered.items() if topic in inside}
            assert device in expected
            assert sorted(reached) == sorted(expected - {device})
        case 5:
            to = str(reader.number() % 8)
            assert rooms.signal(device, to, bytes(reader.number()), now_ms) == (to in entered)
        case 6:
            emptied = rooms.disconnect(device)
            left = entered.pop(device)
            assert sorted(emptied) == sorted(left.difference(*entered.values()))


def _check(rooms: Rooms, entered: dict[str, set[bytes]], networks: dict[str, str]) -> None:
    counts = rooms.counts()
    assert counts.connections == len(entered) <= _LIMITS.connections
    assert counts.topics == len(set().union(*entered.values()))
    for topic in _TOPICS:
        inside = sum(topic in topics for topics in entered.values())
        assert rooms.members(topic) == inside <= _LIMITS.members_per_topic
    for topics in entered.values():
        assert len(topics) <= _LIMITS.topics_per_connection
    origins = [networks[device] for device in entered]
    assert all(origins.count(each) <= _LIMITS.connections_per_network for each in origins)


TARGET = Target("rooms", run, ())

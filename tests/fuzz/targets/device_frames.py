"""What devices may send to a signaling server: frames, requests, and what rooms make of them."""

from __future__ import annotations

from typing import Final

from socketio import packet

from peerstack import limits
from peerstack.errors import RemoteError
from peerstack.signaling import wire
from peerstack_server.app import Json
from peerstack_server.bucket import Rate
from peerstack_server.rooms import Refused, RoomLimits, Rooms
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

DEVICES: Final = ("one", "two", "three")
_LIMITS: Final = RoomLimits(
    topics_per_connection=4, members_per_topic=2, network_messages=Rate(1e6, 1e6)
)


class _Packet(packet.Packet):  # type: ignore[misc]
    json = Json


def run(data: bytes) -> None:
    """Frames: from which device each is, how long after the last one, and its text."""
    reader, rooms = Reader(data), Rooms(_LIMITS)
    now_ms, here = 0, set[str]()
    while reader:
        device, now_ms = reader.pick(DEVICES), now_ms + reader.number()
        text = reader.chunk().decode("utf-8", "replace")
        try:
            if device not in here:
                rooms.connect(device, "network", now_ms)
                here.add(device)
            rooms.spend(device, now_ms)
            if _is_leaving(text):
                rooms.disconnect(device)
                here.discard(device)
            else:
                _take(rooms, device, text, now_ms)
        except (RemoteError, Refused):
            continue
    _check(rooms, here)


def _is_leaving(text: str) -> bool:
    return wire.decode_untrusted_frame(text).leaving


def _take(rooms: Rooms, device: str, text: str, now_ms: int) -> None:
    frame = wire.decode_untrusted_frame(text)
    if frame.refusal is not None or not frame.ack:
        return
    assert len(text) <= limits.SIGNALING_MESSAGE_BYTES
    read = _Packet(encoded_packet=text[1:])
    assert (read.packet_type, str(read.id)) == (packet.EVENT, str(int(frame.ack)))
    event, *arguments = read.data
    request = wire.decode_untrusted_question(text, frame)
    assert request == wire.decode_untrusted_request(event, tuple(arguments))
    match request:
        case wire.Join(topics):
            rooms.join(device, topics)
        case wire.Leave(topics):
            rooms.leave(device, topics)
        case wire.Announce(topic, box):
            reached = rooms.announce(device, topic, box, now_ms)
            assert device not in reached
            assert len(reached) < _LIMITS.members_per_topic
        case wire.Signal(to, box):
            rooms.signal(device, to, box, now_ms)


def _check(rooms: Rooms, here: set[str]) -> None:
    assert rooms.counts().connections == len(here)
    for device in here:
        rooms.disconnect(device)
    assert (rooms.counts().connections, rooms.counts().topics) == (0, 0)


TARGET = Target(
    "device-frames",
    run,
    (
        "peerstack.signaling.wire.decode_untrusted_frame",
        "peerstack.signaling.wire.decode_untrusted_question",
        "peerstack.signaling.wire.decode_untrusted_request",
    ),
)

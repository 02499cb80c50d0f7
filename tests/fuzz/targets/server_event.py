"""What a signaling server may send: packets of socket.io, events, and answers to requests."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson
from socketio import packet

from peerstack.errors import RemoteError
from peerstack.signaling import wire
from peerstack.signaling.client import _Packet
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

_ANSWERS: Final[tuple[type[msgspec.Struct], ...]] = (wire.Done, wire.Delivery, wire.IceServers)
_KNOWN: Final = {packet.CONNECT, packet.DISCONNECT, packet.EVENT, packet.ACK, packet.CONNECT_ERROR}


def run(data: bytes) -> None:
    """Which answer is waited for; the rest is a packet, as one text frame brings it."""
    reader = Reader(data)
    awaited = reader.pick(_ANSWERS)
    read = _Packet(encoded_packet=reader.rest().decode("utf-8", "replace"))
    assert read.packet_type in _KNOWN
    assert not read.attachment_count
    assert read.packet_type == packet.EVENT or not read.namespace
    try:
        if read.packet_type == packet.EVENT:
            name, *arguments = read.data
            event = wire.decode_untrusted_event(name, tuple(arguments))
            _is_told_alike(event)
        elif read.packet_type == packet.ACK:
            answer = read.data[0] if read.data else None
            wire.decode_untrusted_answer(answer, awaited)
    except RemoteError:
        return


def _is_told_alike(event: Any) -> None:
    name, told = orjson.loads(wire.event_frame(event)[2:])
    assert wire.decode_untrusted_event(name, (told,)) == event


TARGET = Target(
    "server-event",
    run,
    (
        "peerstack.signaling.wire.decode_untrusted_event",
        "peerstack.signaling.wire.decode_untrusted_answer",
    ),
)

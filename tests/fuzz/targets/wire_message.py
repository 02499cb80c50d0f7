"""A message of a peer: refused, or something that says the same when it is encoded again."""

from __future__ import annotations

from peerstack import limits
from peerstack.errors import RemoteError
from peerstack.session.wire import decode_untrusted, encode
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    try:
        message = decode_untrusted(data)
    except RemoteError:
        return
    again = encode(message)
    if len(again) <= limits.MESSAGE_BYTES:
        assert decode_untrusted(again) == message


TARGET = Target(
    "wire-message",
    run,
    (
        "peerstack.session.wire.decode_untrusted",
        "peerstack.session.wire._unpack_untrusted",
    ),
)

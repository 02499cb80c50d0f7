"""A peer's SDP: refused, or a description that reads the same when it is written again."""

from __future__ import annotations

import ipaddress

from peerstack import limits
from peerstack.errors import RemoteError
from peerstack.transport.sdp import Role, decode_untrusted, encode
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    """Whether it answers; the rest is the text."""
    reader = Reader(data)
    role = Role.ANSWER if reader.flag() else Role.OFFER
    try:
        found = decode_untrusted(reader.rest().decode("utf-8", "surrogateescape"), role)
    except RemoteError:
        return
    assert decode_untrusted(encode(found, role), role) == found
    assert len(found.candidates) <= limits.CANDIDATES
    for each in found.candidates:
        address = ipaddress.ip_address(each.address)
        mapped = getattr(address, "ipv4_mapped", None) or address
        assert not mapped.is_multicast, each.address
        assert not mapped.is_unspecified, each.address


TARGET = Target("sdp", run, ("peerstack.transport.sdp.decode_untrusted",))

"""The header that says whose connection it is: only what trusted proxies wrote counts."""

from __future__ import annotations

from peerstack_server.carrier import network_of
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    """How many proxies are trusted, the other end, and the header."""
    reader = Reader(data)
    proxies, peer = reader.number() % 3, reader.text()
    forwarded = reader.rest().decode("utf-8", "surrogateescape")
    network = network_of(peer, forwarded, proxies)
    assert 0 < len(network) <= 64
    hops = forwarded.count(",") + 1
    if proxies <= hops:
        invented = network_of(peer, "192.0.2.1, " + forwarded, proxies)
        assert invented == network


TARGET = Target("forwarded", run, ())

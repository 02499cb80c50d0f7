"""The header that says whose connection it is: only what trusted proxies wrote counts."""

from __future__ import annotations

from ipaddress import ip_network

from peerstack_server.carrier import network_of
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

_PROXIES = tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.7")))
_ANYBODY = tuple(map(ip_network, ("0.0.0.0/0", "::/0")))


def run(data: bytes) -> None:
    """Which proxies are trusted, the other end, and the header."""
    reader = Reader(data)
    proxies, peer = _PROXIES[: reader.number() % 3], reader.text()
    forwarded = reader.rest().decode("utf-8", "surrogateescape")
    network = network_of(peer, forwarded, proxies)
    assert 0 < len(network) <= 64
    # Behind a device that is no proxy, nothing counts.
    invented = network_of(peer, f"6.6.6.6, 203.0.113.9, {forwarded}", proxies)
    assert invented == network or network_of(peer, forwarded, _ANYBODY) == network
    assert "6.6.6.6" not in invented


TARGET = Target("forwarded", run, ())

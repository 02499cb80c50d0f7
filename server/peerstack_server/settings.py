"""What the operator may set, validated once, with errors that say what to do.

Flags and environment variables are read by `cli`; this module knows neither.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from peerstack.signaling import wire
from peerstack_server.carrier import CarrierSettings, Network
from peerstack_server.ice import IceSettings
from peerstack_server.rooms import RoomLimits

REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class InvalidSetting(Exception):
    """A setting, or a combination of them, that cannot work. The message names the flag."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of one server process."""

    host: str = "127.0.0.1"
    port: int = 3333
    log_level: str = "info"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    redis: str = field(default="", repr=False)
    """Where processes find each other, with its password; empty for a process of its own."""
    metrics_token: str = field(default="", repr=False)
    ping_s: int = 25
    """A device that shows no sign of life within twice as long is taken to be gone."""
    request_s: int = 10
    """How long a connection may take until it has said what it wants."""
    rooms: RoomLimits = field(default_factory=RoomLimits)
    carrier: CarrierSettings = field(default_factory=CarrierSettings)
    ice: IceSettings = field(default_factory=IceSettings)

    def __post_init__(self) -> None:
        """Raises `InvalidSetting`."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise InvalidSetting("--tls-certificate and --tls-key belong together: give both")
        if bool(self.ice.turn_urls) != bool(self.ice.turn_secret):
            raise InvalidSetting(
                "--turn-url and --turn-secret belong together: give both. The secret is coturn's "
                "static-auth-secret"
            )
        _check_urls("--stun-url", self.ice.stun_urls, ("stun:", "stuns:"))
        _check_urls("--turn-url", self.ice.turn_urls, ("turn:", "turns:"))
        _check_urls("--redis", (self.redis,) if self.redis else (), REDIS_SCHEMES)
        for origin in self.carrier.origins:
            _check_origin(origin)
        if self.carrier.token and not wire.ACCESS_TOKEN.fullmatch(self.carrier.token):
            raise InvalidSetting(
                "--token: devices have it in the server's address, as https://TOKEN@host, so write "
                "up to 200 letters, digits, and . _ ~ - alone"
            )


def parse_proxies(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks. Raises `InvalidSetting`."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise InvalidSetting(
            f"--proxy: {error}. Write an address or a network, such as 127.0.0.1 or 10.0.0.0/8"
        ) from None


def _check_urls(flag: str, urls: tuple[str, ...], schemes: tuple[str, ...]) -> None:
    for url in urls:
        if not url.startswith(schemes):
            # Without what follows: of Redis' address, the password.
            begin = url.partition(":")[0]
            raise InvalidSetting(f"{flag} {begin!r}...: must begin with {' or '.join(schemes)}")


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if origin != "*" and (origin != f"{parts.scheme}://{parts.netloc}" or not parts.netloc):
        raise InvalidSetting(
            f"--origin {origin!r}: write it as a browser does, such as https://example.org, or * "
            "for all"
        )

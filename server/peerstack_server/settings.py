"""What the operator may set, validated once, with errors that say what to do.

Flags and environment variables are read by `cli`; this module knows neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from peerstack_server.carrier import CarrierSettings
from peerstack_server.ice import IceSettings
from peerstack_server.rooms import RoomLimits


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
        for origin in self.carrier.origins:
            _check_origin(origin)


def _check_urls(flag: str, urls: tuple[str, ...], schemes: tuple[str, ...]) -> None:
    for url in urls:
        if not url.startswith(schemes):
            raise InvalidSetting(f"{flag} {url!r}: must begin with {' or '.join(schemes)}")


def _check_origin(origin: str) -> None:
    parts = urlsplit(origin)
    if origin != "*" and (origin != f"{parts.scheme}://{parts.netloc}" or not parts.netloc):
        raise InvalidSetting(
            f"--origin {origin!r}: write it as a browser does, such as https://example.org, or * "
            "for all"
        )

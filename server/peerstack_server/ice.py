"""STUN and TURN servers for devices, with short-lived TURN credentials. Knows no clock.

Credentials are those of coturn's `use-auth-secret`, which needs no state on either side:
https://datatracker.ietf.org/doc/html/draft-uberti-behave-turn-rest-00
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from peerstack.signaling.wire import IceServer, IceServers

USER_CHARS = 16


@dataclass(frozen=True, slots=True)
class IceSettings:
    """What devices are told to use. Without `turn_urls` there is no relay."""

    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: str = field(default="", repr=False)
    """The same as coturn's `static-auth-secret`."""
    lifetime_s: int = 3_600


def ice_servers(settings: IceSettings, address: str, unix_s: int) -> IceServers:
    """The servers, with credentials for a connection that end `lifetime_s` after `unix_s`.

    The user in them is the connection's for as long as it lives, however often it asks, so that
    coturn's `user-quota` caps what one connection may have. It does not tell the address, under
    which others know the connection: TURN sends it in the clear.
    """
    servers = []
    if settings.stun_urls:
        servers.append(IceServer(settings.stun_urls))
    if settings.turn_urls:
        user = hashlib.sha256(b"peerstack turn user\0" + address.encode()).hexdigest()
        username = f"{unix_s + settings.lifetime_s}:{user[:USER_CHARS]}"
        credential = turn_credential(settings.turn_secret, username)
        servers.append(IceServer(settings.turn_urls, username, credential))
    return IceServers(tuple(servers), settings.lifetime_s)


def turn_credential(secret: str, username: str) -> str:
    """base64(HMAC-SHA1(secret, username)): the scheme fixes SHA-1, which HMAC still carries."""
    mac = hmac.new(secret.encode(), username.encode(), hashlib.sha1)
    return base64.b64encode(mac.digest()).decode()

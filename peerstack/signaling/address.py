"""The address of a signaling server, which may hold the access token that it asks for."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from peerstack.errors import InvalidValue
from peerstack.signaling.wire import ACCESS_TOKEN


def checked_url(url: str) -> str:
    """The URL without a closing slash: `http[s]://[TOKEN@]host[:port]`.

    The access token is that of servers which ask for one. It is part of the address, so that links
    and devices which tell of the server tell of it too. Raises `InvalidValue` for all else.
    """
    address = url.rstrip("/")
    bare, token = split_token(address)
    try:
        parts = urlsplit(bare)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        # A path would be dropped by the library below without a word.
        plain = f"{parts.scheme}://{host}{port}"
        fits = parts.scheme in {"http", "https"} and bare.lower() == plain.lower()
    except ValueError:
        fits = False
    if not fits or (bare != address and not ACCESS_TOKEN.fullmatch(token)):
        raise InvalidValue(
            f"{bare!r} is no address of a signaling server: write https://host or "
            "http://host:3333, and https://TOKEN@host if it asks for an access token (letters, "
            "digits, and . _ ~ - are what a token is of)"
        )
    return plain.replace("://", f"://{token}@", 1) if token else plain


def checked_urls(urls: Iterable[str]) -> list[str]:
    """What is remembered is tried for ever, so only what can be an address is.

    Raises `InvalidValue`.
    """
    return [checked_url(url) for url in urls]


def split_token(url: str) -> tuple[str, str]:
    """The address as people are shown it, and the access token in it, which may be empty."""
    scheme, slashes, rest = url.partition("://")
    token, _, host = rest.rpartition("@")
    return f"{scheme}{slashes}{host}", token


def authorization(token: str) -> dict[str, str]:
    """The headers that present an access token, if there is one (RFC 6750, section 2.1)."""
    return {"Authorization": f"Bearer {token}"} if token else {}

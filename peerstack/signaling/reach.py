"""In words why a signaling server cannot be reached.

It knows what the libraries below raise, but opens nothing itself.
"""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp

_BY_STATUS: Final = {
    401: "wants another access token: ask its operator, and give the address as https://TOKEN@host",
    403: "refuses this device: ask its operator",
    429: "has too many connections from this network; trying again",
    503: "is full or goes down; trying again",
}


def failed_step(error: BaseException) -> str:
    """At which step a connection failed: `DNS`, `TCP`, `TLS` or `HTTP`."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "DNS"
        case ssl.SSLError() | aiohttp.ClientSSLError():
            return "TLS"
        case OSError():
            return "TCP"
    return "HTTP"


def explain_status(url: str, status: int) -> str:
    """Why `url` refused a connection with this HTTP status, and what to do about it."""
    unknown = f"is no signaling server (HTTP {status}): check the URL"
    return f"{url} {_BY_STATUS.get(status, unknown)}"


def explain(url: str, error: BaseException) -> str:
    """Why connecting to `url` failed, and what to do about it."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    for cause in reversed(causes):
        if isinstance(cause, aiohttp.WSServerHandshakeError):
            return explain_status(url, cause.status)
        if isinstance(cause, ssl.SSLError):
            return (
                f"no secure connection to {url} ({cause}): check its certificate, and this "
                "device's clock"
            )
        if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
            return f"cannot reach {url} ({cause}): check the URL, the network, and that it runs"
    if isinstance(error, TimeoutError):
        return f"{url} does not answer: check the URL, the network, and that it runs"
    return f"{url} is no signaling server ({type(error).__name__}): check the URL"

"""Asks one signaling server, as a device would, and says step by step how far that got.

Nothing that the server says is believed but what it shows: whether it answers as one of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
import msgspec

from peerstack.ports import Entropy
from peerstack.signaling import wire
from peerstack.signaling.address import authorization, split_token
from peerstack.signaling.client import Disconnected, SignalingClient, SignalingEvent
from peerstack.signaling.reach import explain, explain_status, failed_step

ANSWER_S: Final = 10.0
"""How long each of the two questions may take."""

CLOCK_OFF_S: Final = 60
_PATH: Final = "/socket.io/?EIO=4&transport=websocket"
_ONLY_WEBSOCKET: Final = 400
"""What a plain request is answered by a server of ours that would let this device in."""

_WANTS_TOKEN: Final = 401
_DATE_CHARS: Final = 64


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    """`server`, `access`, `version`, `clock`, `addresses`, `stun`, `nat`, `turn` or `device`."""
    about: str
    """The URL, or the device; empty for this device."""
    passed: bool | None
    """None where there is nothing to be judged."""
    said: str
    """What was found, and what to do where that is no good."""


class Asked(msgspec.Struct, frozen=True):
    """What came of asking one server."""

    checks: tuple[Check, ...]
    ice: wire.IceServers | None = None
    """What it names for ICE; None if it could not be asked."""


async def ask_server(address: str, entropy: Entropy, wall_ms: Callable[[], int]) -> Asked:
    """Whether a server is reached, lets this device in, and what its clock and version are.

    `address` may hold an access token, which no check shows; `wall_ms` is this device's clock, in
    Unix milliseconds. Raises nothing.
    """
    url, token = split_token(address)
    try:
        status, date = await _knock(url, token)
    except Exception as error:
        # A server can make the library raise nearly anything.
        said = f"{failed_step(error)}: {explain(url, error)}"
        return Asked((Check("server", url, False, said),))
    clock = list(_clock(url, date, wall_ms()))
    if status == _WANTS_TOKEN:
        refused = Check("access", url, False, explain_status(url, status))
        return Asked((_reached(url), refused, *clock))
    if status != _ONLY_WEBSOCKET:
        said = f"HTTP: {explain_status(url, status)}"
        return Asked((Check("server", url, False, said), *clock))
    asked = await _enter(address, url, entropy)
    return Asked((*asked.checks, *clock), asked.ice)


async def _knock(url: str, token: str) -> tuple[int, str]:
    """The status and the date that a server answers to a plain request."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with (
        aiohttp.ClientSession(trust_env=True, timeout=timeout) as http,
        http.get(f"{url}{_PATH}", headers=authorization(token), allow_redirects=False) as answer,
    ):
        return answer.status, answer.headers.get("Date", "")[:_DATE_CHARS]


def _clock(url: str, untrusted_date: str, wall_ms: int) -> Iterator[Check]:
    """This device's clock against the server's, which tells whole seconds; none if it says none."""
    try:
        told_s = parsedate_to_datetime(untrusted_date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return
    ahead_s = round(wall_ms / 1000 - told_s)
    if abs(ahead_s) <= CLOCK_OFF_S:
        yield Check("clock", url, True, f"this device's clock agrees with that of {url}")
    else:
        off = f"{abs(ahead_s)} s {'ahead of' if ahead_s > 0 else 'behind'} that of {url}"
        said = f"this device's clock is {off}: set right which of the two is wrong"
        yield Check("clock", url, False, said)


async def _enter(address: str, url: str, entropy: Entropy) -> Asked:
    """Connect as a device does, and ask for servers for ICE."""
    first: asyncio.Future[SignalingEvent] = asyncio.get_running_loop().create_future()

    def hear(event: SignalingEvent) -> None:
        if not first.done():
            first.set_result(event)

    client = SignalingClient(address, hear, entropy)
    client.start()
    try:
        async with asyncio.timeout(ANSWER_S):
            event = await first
            if isinstance(event, wire.Welcome):
                return Asked(tuple(_welcomed(url, event)), await client.ice())
            reason = event.reason if isinstance(event, Disconnected) else "it made no sense"
    except TimeoutError:
        reason = f"{url} does not answer on a WebSocket: a proxy before it may not pass these on"
    finally:
        await client.close()
    return Asked((Check("server", url, False, reason),))


def _reached(url: str) -> Check:
    steps = "DNS, TCP, TLS and HTTP" if url.startswith("https:") else "DNS, TCP and HTTP"
    return Check("server", url, True, f"{url} is reached by {steps}")


def _welcomed(url: str, welcome: wire.Welcome) -> Iterator[Check]:
    yield _reached(url)
    yield Check("access", url, True, f"{url} lets this device in")
    if welcome.version == wire.VERSION:
        said = f"{url} speaks version {welcome.version}, as this device does"
        yield Check("version", url, True, said)
    else:
        older = "the server" if welcome.version < wire.VERSION else "peerstack here"
        said = f"{url} speaks version {welcome.version}, this device {wire.VERSION}: update {older}"
        yield Check("version", url, False, said)

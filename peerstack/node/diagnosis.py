"""Why devices do or do not connect: what this device finds when it asks all that it needs for it.

It asks servers, and reports what is known of connections; it changes nothing, and shows no secret.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from peerstack.ids import DeviceId
from peerstack.node.asking import Asked, Check, ask_server
from peerstack.ports import Entropy
from peerstack.signaling.rendezvous import Link
from peerstack.transport.dialer import CONNECT_S
from peerstack.transport.probe import (
    Allocated,
    Gathered,
    Seen,
    ask_stun,
    ask_turn,
    gather,
)
from peerstack.transport.webrtc import IceServer, Pair

if TYPE_CHECKING:
    from peerstack.node.network import Network

MEET_S: Final = 5.0
"""How long other devices are waited for, where no attempt at a connection is under way."""

_LOOK_S: Final = 0.1
_SERVERS: Final = 8
"""How many signaling servers are asked, and how many servers for ICE of each kind."""

_KINDS: Final = {"host": "of its own", "srflx": "as STUN sees it", "relay": "relayed by TURN"}


class Diagnosis(msgspec.Struct, frozen=True):
    """What was looked at, in the order in which it is needed."""

    checks: Sequence[Check]
    can_connect: bool
    """Whether anything can work at all: a server lets this device in, and it has an address."""


class Meeting(NamedTuple):
    """Where this device meets others."""

    network: Network
    devices: Callable[[], Mapping[Link, DeviceId]]
    """Who is at the other end of connections that are up."""


async def diagnose(
    urls: Sequence[str], meeting: Meeting | None, entropy: Entropy, wall_ms: Callable[[], int]
) -> Diagnosis:
    """Ask the servers, and look at connections to other devices, if this device meets any."""
    asked = await asyncio.gather(*(ask_server(url, entropy, wall_ms) for url in urls[:_SERVERS]))
    ice = list(_ice(asked))
    stun = [server for server in ice if server.url.startswith("stun")][:_SERVERS]
    turn = [server for server in ice if server.url.startswith("turn")][:_SERVERS]
    gathered, seen, relays = await asyncio.gather(
        gather(ice), ask_stun([*stun, *turn]), asyncio.gather(*map(ask_turn, turn))
    )
    own = [check for each in asked for check in each.checks]
    welcomed = any(check.what == "version" and check.passed for check in own)
    checks = [
        *(own or [Check("server", "", False, "no signaling server is known: give --server URL")]),
        _addresses(gathered),
        *_stun([each for each in seen if each.url.startswith("stun")]),
        *_nat(seen, gathered),
        *_turn(relays, _lifetime_s(asked)),
        *(await _devices(meeting) if meeting is not None and welcomed else ()),
    ]
    return Diagnosis(checks, welcomed and bool(gathered))


def _ice(asked: Iterable[Asked]) -> Iterator[IceServer]:
    """All servers for ICE that are named, each once."""
    known = set()
    for each in asked:
        for server in each.ice.servers if each.ice else ():
            for url in server.urls:
                if url not in known:
                    known.add(url)
                    yield IceServer(url, server.username or None, server.credential or None)


def _lifetime_s(asked: Iterable[Asked]) -> int:
    return min((each.ice.lifetime_s for each in asked if each.ice), default=0)


def _addresses(gathered: Sequence[Gathered]) -> Check:
    if not gathered:
        said = "this device has no network address: connect it to a network"
        return Check("addresses", "", False, said)
    if all(ip_address(each.address).is_loopback for each in gathered):
        said = "this machine has no network interface but loopback: connect it to a network"
        return Check("addresses", "", False, said)
    kinds = Counter(each.kind for each in gathered)
    counted = ", ".join(f"{kinds[kind]} {text}" for kind, text in _KINDS.items() if kinds[kind])
    return Check("addresses", "", True, f"this device offers others {len(gathered)}: {counted}")


def _stun(seen: Sequence[Seen]) -> Iterator[Check]:
    if not seen:
        said = "no STUN server: behind NATs, devices do not learn their own addresses (--stun-url)"
        yield Check("stun", "", None, said)
    for each in seen:
        if each.address is None:
            yield Check("stun", each.url, False, each.problem)
        else:
            said = f"{each.url} sees this device as {_text(each.address)}"
            yield Check("stun", each.url, True, said)


def _nat(seen: Sequence[Seen], gathered: Sequence[Gathered]) -> Iterator[Check]:
    """The kind of NAT that this device is behind, if servers tell it."""
    told = {each.asked: each.address for each in seen if each.address is not None}
    outside = set(told.values())
    own = {each.address for each in gathered if each.kind == "host"}
    if outside and all(host in own or ip_address(host).is_loopback for host, _ in outside):
        yield Check("nat", "", True, "no NAT: others see this device's own address")
    elif len(outside) > 1:
        said = (
            "a NAT that draws another port for each that is sent to (symmetric): only devices with "
            "open addresses are reached directly, all others by TURN"
        )
        yield Check("nat", "", False, said)
    elif len(told) > 1:
        said = "a NAT that keeps its port (cone): most other devices are reached directly"
        yield Check("nat", "", True, said)
    elif told:
        yield Check("nat", "", None, "a NAT; of which kind takes a second STUN server to tell")


def _turn(relays: Sequence[Allocated], lifetime_s: int) -> Iterator[Check]:
    if not relays:
        said = "no TURN server: some pairs of NATs cannot connect without one (--turn-url)"
        yield Check("turn", "", None, said)
    for each in relays:
        if each.address is None:
            yield Check("turn", each.url, False, each.problem)
        else:
            said = (
                f"{each.url} relays for this device, from {_text(each.address)}; it is given new "
                f"credentials before these end, in {lifetime_s // 60} minutes"
            )
            yield Check("turn", each.url, True, said)


async def _devices(meeting: Meeting) -> Sequence[Check]:
    """What became of connections to other devices, once one is up or has failed."""
    network = meeting.network
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while not (meeting.devices() or network.failures):
        most_s = MEET_S + CONNECT_S if network.attempts() else MEET_S
        if loop.time() - began_s > most_s:
            break
        await asyncio.sleep(_LOOK_S)
    up, devices = network.paths(), meeting.devices()
    found = [
        _attempt(devices.get(link, ""), pairs, up.get(link))
        for link, pairs in network.attempts().items()
    ]
    found += [Check("device", "", False, failure) for failure in dict.fromkeys(network.failures)]
    return found or [Check("device", "", None, "no other device was met: is one online?")]


def _attempt(device: str, pairs: Sequence[Pair], path: str | None) -> Check:
    tried = ", ".join(f"{pair.local} to {pair.remote} {pair.state}" for pair in pairs)
    if path is None:
        said = f"still trying to connect to a device: {tried or 'nothing was tried yet'}"
        return Check("device", device, None, said)
    way = "directly" if path == "direct" else "by TURN"
    return Check("device", device, True, f"connected {way} to {device or 'a device'}; {tried}")


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

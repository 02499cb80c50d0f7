"""Somebody on the network between two devices: carries their packets, and does what it likes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from peerstack.transport.dialer import Dialer
from peerstack.transport.webrtc import WebRtcPipe

Address = tuple[str, int]
Trick = Callable[[bytes], Iterable[bytes]]
"""What is carried on in place of a packet with something that was said."""

APPLICATION_DATA = 23
"""How DTLS begins a packet with anything but the handshake (RFC 6347, section 4.1)."""

_CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host\r\n")
_ANY_CANDIDATE = re.compile(r"a=candidate:.*\r\n")


class _StandIn(asyncio.DatagramProtocol):
    """Where one device believes the other to be."""

    def __init__(self, tap: Wiretap, of: Address) -> None:
        self._tap = tap
        self.of = of
        self.other: _StandIn | None = None
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        # Who speaks here wants the device that this stands in for, and is known to that by the
        # other stand-in. Another of its addresses may try its luck too; one way is enough.
        if self.other is not None and addr == self.other.of:
            for each in self._tap.carry(data):
                self.other.transport.sendto(each, self.of)


class Wiretap:
    """All packets between two devices."""

    def __init__(self) -> None:
        self.carried: list[bytes] = []
        self.trick: Trick | None = None
        self.tricks_played = 0

    def carry(self, data: bytes) -> Iterable[bytes]:
        self.carried.append(data)
        if self.trick is None or data[0] != APPLICATION_DATA:
            return (data,)
        self.tricks_played += 1
        return self.trick(data)


@asynccontextmanager
async def tapped_pair(tap: Wiretap) -> AsyncIterator[tuple[WebRtcPipe, WebRtcPipe]]:
    """Two pipes that reach each other by the tap alone."""
    caller, callee = Dialer(), Dialer()
    offer = await caller.offer()
    as_caller = await _stand_in(tap, offer)
    answer = await callee.answer(_by_way_of(as_caller, offer))
    as_callee = await _stand_in(tap, answer)
    as_caller.other, as_callee.other = as_callee, as_caller
    try:
        await caller.accept(_by_way_of(as_callee, answer))
        one, other = await asyncio.gather(caller.opened(), callee.opened())
        yield one, other
    finally:
        await asyncio.gather(caller.close(), callee.close())
        as_caller.transport.close()
        as_callee.transport.close()


async def _stand_in(tap: Wiretap, description: str) -> _StandIn:
    """A stand-in beside the address by which a device can be reached."""
    found = _CANDIDATE.search(description)
    assert found is not None, "no IPv4 address to tap"
    device = (found[1], int(found[2]))
    loop = asyncio.get_running_loop()
    _, made = await loop.create_datagram_endpoint(
        lambda: _StandIn(tap, device), local_addr=(device[0], 0)
    )
    return made


def _by_way_of(stand_in: _StandIn, description: str) -> str:
    """The description, with the stand-in in place of all addresses of the device."""
    host, port = stand_in.transport.get_extra_info("sockname")
    stripped = _ANY_CANDIDATE.sub("", description)
    line = f"a=candidate:tap 1 udp 2130706431 {host} {port} typ host\r\n"
    return stripped.replace("a=end-of-candidates\r\n", line + "a=end-of-candidates\r\n")

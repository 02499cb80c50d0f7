"""Makes the way to this process long: what other devices send it is held back for a while.

Beneath ICE, DTLS and SCTP, so that these open and answer as over a long way. Both ends of a
connection together are a link whose round trip takes twice as long.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aioice.ice import StunProtocol

_receive: Final = StunProtocol.datagram_received


class SlowLink:
    """Delays all datagrams of this process; by nothing at first."""

    def __init__(self) -> None:
        self.delay_s = 0.0

        def receive_late(protocol: StunProtocol, data: bytes, address: tuple[Any, ...]) -> None:
            loop = asyncio.get_running_loop()
            loop.call_later(self.delay_s, _receive, protocol, data, address)

        StunProtocol.datagram_received = receive_late  # type: ignore[method-assign,assignment]

"""Asks STUN and TURN servers what they do for this device, to say what works and what does not.

Knows not where the servers' names come from, and believes them nothing but what they show. Each
question is bounded in time. IPv4 alone is asked for by STUN, as in `webrtc`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

from aioice import stun, turn

from peerstack.errors import ConnectFailed
from peerstack.transport.webrtc import IceServer, Stack, understood

ANSWER_S: Final = 4.0
"""How long a server may take; what takes longer is of no use to a dial either."""

_CLOSE_S: Final = 1.0
_RETRANSMISSIONS: Final = 3
_UNAUTHORIZED: Final = 401
_QUOTA: Final = 486

Address = tuple[str, int]


class Seen(NamedTuple):
    """What a STUN server said."""

    url: str
    asked: Address | None
    """The server's address; two names may lead to one."""
    address: Address | None
    """This device as the server sees it; None if it did not say."""
    problem: str
    """Why there is no address, and what to do; empty if there is one."""


class Allocated(NamedTuple):
    """What a TURN server said."""

    url: str
    address: Address | None
    """Where it relays from for this device; None if it does not."""
    problem: str
    """Why it does not, and what to do; empty if it does."""


class Gathered(NamedTuple):
    """An address of this device that it would tell a peer."""

    kind: str
    """`host`, `srflx` (as STUN sees it) or `relay`."""
    address: str


async def gather(servers: Sequence[IceServer]) -> tuple[Gathered, ...]:
    """The addresses that a dial would offer; none where there is no network at all."""
    stack = Stack(servers, controlling=True)
    try:
        await stack.gather()
        return tuple(Gathered(c.kind, c.address) for c in stack.describe().candidates)
    except ConnectFailed:
        return ()
    finally:
        await stack.stop()


async def ask_stun(servers: Sequence[IceServer]) -> tuple[Seen, ...]:
    """How servers see one and the same port of this device. TURN servers by UDP tell it too.

    Where they see different ones, a NAT draws another port for each address that is sent to.
    """
    places = {server.url: _place(server) for server in servers}
    loop = asyncio.get_running_loop()
    transport, asking = await loop.create_datagram_endpoint(_Asking, family=socket.AF_INET)
    try:
        return tuple(
            await asyncio.gather(
                *(asking.ask(url, place) for url, place in places.items() if place is not None)
            )
        )
    finally:
        transport.close()


def _place(server: IceServer) -> Address | None:
    """Where a server is asked by UDP; None where it is not, or its URL makes no sense."""
    settings = understood([server])
    if settings.get("turn_transport", "udp") != "udp":
        return None
    return settings.get("stun_server") or settings.get("turn_server")


class _Asking(asyncio.DatagramProtocol):
    """Questions to STUN servers from one port."""

    def __init__(self) -> None:
        self._transactions: dict[bytes, stun.Transaction] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        try:
            message = stun.parse_message(data)
        except (ValueError, struct.error):
            return
        transaction = self._transactions.get(message.transaction_id)
        if transaction is not None and message.message_class in (
            stun.Class.RESPONSE,
            stun.Class.ERROR,
        ):
            transaction.response_received(message, addr)

    def send_stun(self, message: stun.Message, addr: Address) -> None:
        """For a transaction."""
        self._transport.sendto(bytes(message), addr)

    async def ask(self, url: str, place: Address) -> Seen:
        """What the server there says."""
        asked: Address | None = None
        try:
            async with asyncio.timeout(ANSWER_S):
                asked = await _resolved(place)
                address = await self._ask(asked)
        except socket.gaierror:
            return Seen(url, None, None, f"{url} has no address: check the name, and the network")
        except (TimeoutError, stun.TransactionTimeout):
            return Seen(url, asked, None, _silent(url))
        except (OSError, stun.TransactionError) as error:
            return Seen(url, asked, None, f"{url} cannot be asked ({error}): check the network")
        problem = "" if address else f"{url} is no STUN server: check it with who runs it"
        return Seen(url, asked, address, problem)

    async def _ask(self, asked: Address) -> Address | None:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        transaction = stun.Transaction(request, asked, self, retransmissions=_RETRANSMISSIONS)
        self._transactions[request.transaction_id] = transaction
        try:
            response, _ = await transaction.run()
        finally:
            del self._transactions[request.transaction_id]
        return response.attributes.get("XOR-MAPPED-ADDRESS")


async def _resolved(place: Address) -> Address:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(*place, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    return cast(Address, found[0][4])


async def ask_turn(server: IceServer) -> Allocated:
    """Whether a TURN server relays for this device with these credentials."""
    settings = understood([server])
    if "turn_server" not in settings:
        return Allocated(server.url, None, f"{server.url} is no address of a TURN server")
    try:
        async with asyncio.timeout(ANSWER_S):
            relay, receiver = await turn.create_turn_endpoint(
                _Receiver,
                server_addr=settings["turn_server"],
                username=settings["turn_username"],
                password=settings["turn_password"],
                ssl=settings["turn_ssl"],
                transport=settings["turn_transport"],
            )
    except Exception as error:
        # Whoever answers can have the library raise nearly anything.
        return Allocated(server.url, None, _refusal(server.url, error))
    address: Address = relay.get_extra_info("sockname")
    relay.close()
    await asyncio.wait({receiver.ended}, timeout=_CLOSE_S)
    return Allocated(server.url, address, "")


class _Receiver(asyncio.DatagramProtocol):
    """Takes nothing from an allocation but its end."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def _refusal(url: str, error: Exception) -> str:
    """Why there is no allocation, and what to do."""
    match error:
        case stun.TransactionFailed() if error.response.error_code == _UNAUTHORIZED:
            return (
                f"{url} refuses the credentials: its operator is to see that its "
                "static-auth-secret is the signaling server's --turn-secret, and that its clock "
                "is right"
            )
        case stun.TransactionFailed() if error.response.error_code == _QUOTA:
            return f"{url} relays for too many already: try again later, or ask its operator"
        case socket.gaierror():
            return f"{url} has no address: check the name, and the network"
        case TimeoutError() | stun.TransactionTimeout():
            return _silent(url)
        case ssl.SSLCertVerificationError():
            return (
                f"{url} shows a certificate that this device does not trust "
                f"({error.verify_message}): its operator is to get one for this name"
            )
        case OSError():
            return f"{url} cannot be reached ({error}): check the network, and that it runs"
    return f"{url} does not relay ({type(error).__name__}): ask its operator"


def _silent(url: str) -> str:
    return f"{url} does not answer: it is down, or this network lets no UDP through"

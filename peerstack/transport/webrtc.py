"""The layers of one WebRTC connection, and the pipe over them: the only module that knows aiortc.

Uses aiortc's ORTC objects (ICE, DTLS, SCTP, channel) one by one instead of its peer connection, so
that each step fails with its own reason and no media code is reached. Knows not how the two
descriptions travel; `peerstack.transport.dialer` runs an attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import aioice
from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceServer,
    RTCIceTransport,
    RTCSctpCapabilities,
    RTCSctpTransport,
)
from aiortc.exceptions import InvalidStateError
from aiortc.rtcicetransport import connection_kwargs

from peerstack import limits
from peerstack.errors import ConnectFailed, PipeClosed, Stage
from peerstack.transport import sdp
from peerstack.transport.base import CloseReason, Pipe

GATHER_S: Final = 1.5
"""How long STUN and TURN servers may take to answer before the dial goes on without them."""

CLOSE_S: Final = 2.0
"""How long a closing pipe waits for the peer to take what was sent."""

BEAT_S: Final = 2.5
"""A pipe that sent nothing for this long sends a beat: an empty message."""

SILENT_BEATS: Final = 4
"""A peer that was silent for this many beats, 10 to 12.5 seconds, has vanished."""

_BINDING_LABEL: Final = b"peerstack/1 dtls binding\0"
_CHANNEL: Final = RTCDataChannelParameters(label="peerstack", negotiated=True, id=0)
_COMPONENT: Final = 1
_LOOPBACK: Final = "127.0.0.1"


class IceServer(NamedTuple):
    """A STUN or TURN server: a URL (RFC 7064, RFC 7065) and, for TURN, credentials."""

    url: str
    username: str | None = None
    credential: str | None = None


class Pair(NamedTuple):
    """Two addresses between which a path was tried, by their kinds (RFC 8445, section 4)."""

    local: str
    """`host` or `relay`: what is sent from a host's address looks to others as if from `srflx`."""
    remote: str
    """`host`, `srflx`, `relay`, or `prflx` for one that only showed in a check."""
    state: str
    """`frozen`, `waiting`, `in-progress`, `succeeded`, `failed`; `used` for what was taken."""

    @property
    def is_relayed(self) -> bool:
        """Whether a TURN server carries what goes this way."""
        return "relay" in (self.local, self.remote)


def channel_binding(one: bytes, other: bytes) -> bytes:
    """32 bytes that name a connection by both certificates' SHA-256, whichever end asks."""
    return hashlib.sha256(_BINDING_LABEL + min(one, other) + max(one, other)).digest()


def has_only_loopback() -> bool:
    """Whether this machine has no network interface by which others could reach it."""
    return not aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)


class _Agent(aioice.Connection):
    """aioice's ICE agent, with bounded gathering, a second TURN server, and a last resort.

    The second is one by another transport: a network that lets no UDP through may let TCP. The last
    resort is loopback, where there is no network.
    """

    def __init__(self, servers: Sequence[IceServer], *, controlling: bool) -> None:
        settings = understood(servers)
        self._second = _by_another_transport(servers, settings)
        super().__init__(ice_controlling=controlling, **settings)

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: float = GATHER_S
    ) -> list[aioice.Candidate]:
        # aioice leaves loopback out: two devices on one computer without a network would never
        # meet. And it waits 5 s for servers, which a device with no network cannot reach.
        if not addresses:
            addresses = [_LOOPBACK]
            self.stun_server = self.turn_server = None
            self._second = {}
        candidates, second = await asyncio.gather(
            super().get_component_candidates(
                component,
                addresses,
                timeout,  # type: ignore[arg-type]  # handed to asyncio.wait, which takes fractions
            ),
            self._relayed(component, timeout),
        )
        return candidates + second

    async def _relayed(self, component: int, timeout_s: float) -> list[aioice.Candidate]:
        """What the second TURN server relays from, if there is one and it does."""
        if not self._second:
            return []
        settings = {key: each for key, each in self._second.items() if key != "stun_server"}
        try:
            async with asyncio.timeout(timeout_s):
                candidate, protocol = await aioice.ice.relayed_candidate(
                    component=component,
                    hide_related_address=False,
                    protocol_factory=lambda: aioice.ice.StunProtocol(self),
                    **settings,
                )
        except Exception:
            # Whoever answers can have the library raise nearly anything; others may answer well.
            return []
        self._protocols.append(protocol)
        return [candidate]


class _Gatherer(RTCIceGatherer):
    """aiortc's gatherer around an `_Agent`."""

    def __init__(self, servers: Sequence[IceServer], *, controlling: bool) -> None:
        super().__init__(iceServers=[])
        self._connection = _Agent(servers, controlling=controlling)


def understood(servers: Sequence[IceServer]) -> dict[str, Any]:
    """aioice's settings for the first STUN and the first TURN server with a URL that makes sense.

    A nonsensical one is left out: it comes from a signaling server, and must not keep two devices
    on one network apart.
    """
    settings: dict[str, Any] = {}
    for server in servers:
        with contextlib.suppress(ValueError):
            settings = connection_kwargs([RTCIceServer(*server)]) | settings
    return settings


def _by_another_transport(servers: Sequence[IceServer], first: dict[str, Any]) -> dict[str, Any]:
    """Settings for the first TURN server by UDP, or by TCP or TLS, whichever `first` is not by."""
    for server in servers:
        settings = understood([server])
        transport = settings.get("turn_transport")
        if transport is not None and transport != first.get("turn_transport"):
            return settings
    return {}


class _Sctp(RTCSctpTransport):
    """aiortc's SCTP, counting what arrives: it would gather an endless message in memory."""

    unfinished_bytes = 0

    async def _handle_data(self, data: bytes) -> None:
        self.unfinished_bytes += len(data)
        if self.unfinished_bytes > limits.UNFINISHED_BYTES:
            self.emit("flooded")
        else:
            await super()._handle_data(data)


class Stack:
    """One connection's layers, from the socket up, and what the peer is told about them."""

    def __init__(self, servers: Sequence[IceServer], *, controlling: bool) -> None:
        certificate = RTCCertificate.generateCertificate()
        self.gatherer = _Gatherer(servers, controlling=controlling)
        self.ice = RTCIceTransport(self.gatherer)
        self.dtls = RTCDtlsTransport(self.ice, [certificate])
        self.sctp = _Sctp(self.dtls)
        self.stage = Stage.GATHERING
        self._stopping: asyncio.Task[None] | None = None

    def describe(self) -> sdp.Description:
        """This end, once gathered."""
        parameters = self.gatherer.getLocalParameters()
        return sdp.Description(
            ufrag=str(parameters.usernameFragment),
            password=str(parameters.password),
            fingerprint=self._fingerprint(),
            sctp_port=self.sctp.port,
            candidates=tuple(
                sdp.Candidate(c.foundation, c.priority, c.ip, c.port, c.type)
                for c in self.gatherer.getLocalCandidates()
            ),
        )

    def _fingerprint(self) -> bytes:
        values = self.dtls.getLocalParameters().fingerprints
        return next(
            bytes.fromhex(f.value.replace(":", "")) for f in values if f.algorithm == "sha-256"
        )

    async def gather(self) -> None:
        """Learn the addresses of this end.

        Raises:
            ConnectFailed: there are none.
        """
        try:
            await self.gatherer.gather()
        except OSError as error:
            raise ConnectFailed(Stage.GATHERING, f"no network could be used: {error}") from error
        if not self.gatherer.getLocalCandidates():
            raise ConnectFailed(
                Stage.GATHERING, "no network address could be bound; check the network interfaces"
            )

    async def secure(self, remote: sdp.Description) -> bytes:
        """Find a path to the peer, encrypt it, and return the channel binding.

        The binding holds the fingerprint that the peer's certificate was checked against: aiortc
        fails the DTLS transport of any other certificate before a byte passes.
        """
        self.stage = Stage.ICE
        for candidate in self._reachable(remote.candidates):
            await self.ice.addRemoteCandidate(candidate)
        await self.ice.addRemoteCandidate(None)
        await self.ice.start(RTCIceParameters(remote.ufrag, remote.password))
        if self.ice.state != "completed":
            raise self.failure()
        self.stage = Stage.DTLS
        value = remote.fingerprint.hex(":")
        await self.dtls.start(RTCDtlsParameters([RTCDtlsFingerprint("sha-256", value)]))
        if self.dtls.state != "connected":
            raise self.failure()
        self.stage = Stage.CHANNEL
        return channel_binding(self._fingerprint(), remote.fingerprint)

    def _reachable(self, candidates: Sequence[sdp.Candidate]) -> list[RTCIceCandidate]:
        """The peer's candidates; loopback ones only where this end has nothing else.

        Otherwise a stranger could have this device knock on its own private ports.
        """
        is_offline = self._is_offline()
        return [
            RTCIceCandidate(_COMPONENT, c.foundation, c.address, c.port, c.priority, "udp", c.kind)
            for c in candidates
            if is_offline or not ipaddress.ip_address(c.address).is_loopback
        ]

    def pairs(self) -> tuple[Pair, ...]:
        """What was tried so far, the best first; nothing before both ends are known."""
        agent = self.gatherer._connection
        used = agent._nominated.get(_COMPONENT)
        return tuple(
            Pair(
                pair.local_candidate.type,
                pair.remote_candidate.type,
                "used" if pair is used else pair.state.name.lower().replace("_", "-"),
            )
            for pair in agent._check_list
        )

    def _is_offline(self) -> bool:
        return all(c.ip == _LOOPBACK for c in self.gatherer.getLocalCandidates())

    def failure(self) -> ConnectFailed:
        """Why the present stage failed, and what to do about it."""
        details = {
            Stage.ICE: self._unanswered(),
            Stage.DTLS: "the peer's certificate is not the one it announced, or it fell silent",
            Stage.CHANNEL: "the peer never opened the data channel",
        }
        if self.stage is Stage.ICE and self._is_offline():
            detail = "this device is on no network and the peer is not on this device"
        else:
            detail = details[self.stage]
        return ConnectFailed(self.stage, detail)

    def _unanswered(self) -> str:
        """Which kinds of addresses were tried in vain, and what to do about it."""
        tried = {f"{pair.local} to {pair.remote}": pair for pair in self.pairs()}
        if not tried:
            return "the peer has no address that this device can send to"
        if any(pair.is_relayed for pair in tried.values()):
            advice = "the TURN server may not pass this on; `peerstack doctor` asks it"
        else:
            advice = "a TURN server would help"
        return f"no address of the peer answered (tried {', '.join(tried)}); {advice}"

    async def stop(self) -> None:
        """Tear everything down, from any state and any number of times, even if cancelled."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        await self.sctp.stop()
        await self.dtls.stop()
        await self.ice.stop()


class WebRtcPipe(Pipe):
    """A pipe over one data channel."""

    def __init__(self, stack: Stack, binding: bytes) -> None:
        super().__init__(binding)
        self._stack = stack
        self._loop = asyncio.get_running_loop()
        self._teardown: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._opened = asyncio.Event()
        self._channel_closed = asyncio.Event()
        self._silent_beats = 0
        self._is_idle = True
        self._channel = RTCDataChannel(stack.sctp, _CHANNEL)
        self._channel.bufferedAmountLowThreshold = limits.PIPE_LOW_WATER_BYTES
        self._hear()

    @property
    def buffered_bytes(self) -> int:
        """Bytes that SCTP has not taken up; up to a message more may be in flight."""
        return self._channel.bufferedAmount

    async def open(self, remote: sdp.Description) -> None:
        """Wait for the channel.

        Raises:
            ConnectFailed: the peer closed it first.
        """
        capabilities = RTCSctpCapabilities(maxMessageSize=limits.MESSAGE_BYTES)
        await self._stack.sctp.start(capabilities, remote.sctp_port)
        await self._opened.wait()
        if self._ended is not None:
            raise self._stack.failure()
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    async def close(self) -> None:
        """Let the peer take what was sent, for `CLOSE_S` at most, and tear everything down."""
        self._finish(CloseReason.LOCAL)
        if self._teardown is not None:
            await asyncio.shield(self._teardown)

    def _transmit(self, message: bytes) -> None:
        self._is_idle = False
        try:
            self._channel.send(message)
        except InvalidStateError as error:
            # The peer has begun to close the channel, and the end has not been told of yet.
            raise PipeClosed("cannot send: the peer is closing the pipe") from error

    def _fail(self, reason: CloseReason) -> None:
        self._finish(reason)

    def _hear(self) -> None:
        """Listen to every layer that can tell of messages or of the end."""
        self._channel.on("open", self._opened.set)
        self._channel.on("message", self._heard)
        self._channel.on("bufferedamountlow", self._sank_low)
        self._channel.on("close", self._on_channel_closed)
        self._stack.sctp.on("flooded", lambda: self._finish(CloseReason.VIOLATION))
        self._stack.sctp.on("datachannel", lambda _: self._finish(CloseReason.VIOLATION))
        self._stack.dtls.on("statechange", lambda: self._finish(CloseReason.REMOTE))

    def _heard(self, message: bytes | str) -> None:
        self._silent_beats = 0
        self._stack.sctp.unfinished_bytes = 0
        if isinstance(message, str):
            self._finish(CloseReason.VIOLATION)
        elif message:
            self._arrived(message)

    def _beat(self) -> None:
        """Show that this end lives, and count how long the peer did not.

        Beats are counted rather than seconds, so that a device that was asleep hears the peer
        out before it judges.
        """
        self._silent_beats += 1
        if self._silent_beats > SILENT_BEATS:
            self._finish(CloseReason.LOST)
            return
        if self._is_idle and self._channel.readyState == "open":
            self._channel.send(b"")
        self._is_idle = self.buffered_bytes == 0
        self._timer = self._loop.call_later(BEAT_S, self._beat)

    def _on_channel_closed(self) -> None:
        self._channel_closed.set()
        self._finish(CloseReason.REMOTE)

    def _finish(self, reason: CloseReason) -> None:
        if self._ended is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._teardown = self._loop.create_task(self._tear_down(reason))
        self._opened.set()
        self._end(reason)

    async def _tear_down(self, reason: CloseReason) -> None:
        if reason is CloseReason.LOCAL and self._channel.readyState == "open":
            self._channel.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._channel_closed.wait(), CLOSE_S)
        await self._stack.stop()

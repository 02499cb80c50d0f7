"""A WebRTC peer that is not peerstack: aiortc's own peer connection, with its own SDP."""

from __future__ import annotations

import asyncio
import unittest.mock
from collections.abc import Awaitable, Callable

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcsctptransport import WEBRTC_BINARY

from peerstack.transport.dialer import Dialer
from peerstack.transport.webrtc import WebRtcPipe

SendRest = Callable[[], Awaitable[None]]


class Stranger:
    """Speaks whatever it likes over the channel that peerstack's devices use."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.channel: RTCDataChannel = self.connection.createDataChannel(
            "peerstack", negotiated=True, id=0
        )
        self.heard: asyncio.Queue[bytes | str] = asyncio.Queue()
        self.channel.on("message", self.heard.put_nowait)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def answer(self, offer: str) -> str:
        await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def called_by(self, dialer: Dialer) -> WebRtcPipe:
        """Connect, believing that the other side takes messages of any size."""
        offer = await dialer.offer()
        unlimited = offer.replace("a=max-message-size:65536", "a=max-message-size:0")
        await dialer.accept(await self.answer(unlimited))
        return await dialer.opened()

    async def begin(self, message: bytes) -> SendRest:
        """Send all of a message but its last piece; what is returned sends that."""
        sctp = self.connection.sctp
        assert sctp is not None
        transmit = sctp._transmit
        with unittest.mock.patch.object(sctp, "_transmit"):
            await sctp._send(0, WEBRTC_BINARY, message)
        last = sctp._outbound_queue.pop()
        assert sctp._outbound_queue, "a message of one piece has no beginning"
        await transmit()

        async def send_rest() -> None:
            sctp._outbound_queue.append(last)
            await transmit()

        return send_rest

    async def close_layer(self, layer: str) -> None:
        """Close only one layer, as another implementation may."""
        sctp = self.connection.sctp
        assert sctp is not None
        if layer == "channel":
            self.channel.close()
        elif layer == "sctp":
            await sctp.stop()
        elif layer == "dtls":
            await sctp.transport.stop()
        else:
            await self.close()

    async def close(self) -> None:
        await self.connection.close()

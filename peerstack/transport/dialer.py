"""One attempt to connect to one peer over WebRTC: its states, its bound in time, its one outcome.

Knows not how offers and answers travel. Importing it loads aiortc, which takes a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from peerstack.errors import ConnectFailed, Reason, RemoteError, Stage
from peerstack.transport import sdp
from peerstack.transport.webrtc import IceServer, Pair, Stack, WebRtcPipe

CONNECT_S: Final = 20.0
"""From both descriptions being known to the open channel."""


class Dialer:
    """One attempt to connect to one peer: `offer` and `accept` on one side, `answer` on the other.

    The texts travel by other means. A dialer is for one attempt, on one event loop.
    """

    def __init__(self, ice_servers: Sequence[IceServer] = ()) -> None:
        """A dialer that asks the first STUN and the first TURN server given; none on a LAN."""
        self._servers = ice_servers
        self._stack: Stack | None = None
        self._gathering: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[WebRtcPipe | ConnectFailed] = (
            asyncio.get_running_loop().create_future()
        )

    async def offer(self) -> str:
        """SDP for the peer's `answer`.

        Raises:
            ConnectFailed: this device has no network address, or the dialer was closed meanwhile.
        """
        stack = await self._gathered(controlling=True)
        return sdp.encode(stack.describe(), sdp.Role.OFFER)

    async def answer(self, untrusted_offer: str) -> str:
        """SDP for the peer's `accept`; starts to connect.

        Raises:
            RemoteError: the offer is not what a peer sends.
            ConnectFailed: as from `offer`.
        """
        remote = sdp.decode_untrusted(untrusted_offer, sdp.Role.OFFER)
        stack = await self._gathered(controlling=False)
        self._opening = asyncio.create_task(self._open(stack, remote))
        return sdp.encode(stack.describe(), sdp.Role.ANSWER)

    async def accept(self, untrusted_answer: str) -> None:
        """Take the peer's answer to the offer and start to connect.

        Raises:
            RemoteError: the answer is not what a peer sends, or none is due.
        """
        remote = sdp.decode_untrusted(untrusted_answer, sdp.Role.ANSWER)
        if self._stack is None or self._opening is not None or self._outcome.done():
            raise RemoteError(Reason.UNEXPECTED, "an SDP answer while none is due")
        self._opening = asyncio.create_task(self._open(self._stack, remote))

    async def opened(self) -> WebRtcPipe:
        """The pipe, at most `CONNECT_S` after both descriptions are known.

        Raises:
            ConnectFailed: with the stage that failed.
        """
        outcome = await asyncio.shield(self._outcome)
        if isinstance(outcome, ConnectFailed):
            raise outcome
        return outcome

    def pairs(self) -> tuple[Pair, ...]:
        """Between which kinds of addresses a path was tried, and how each went; the best first."""
        return self._stack.pairs() if self._stack is not None else ()

    async def close(self) -> None:
        """End the attempt in any state, and the pipe too if there is one; leaves nothing behind."""
        self._settle(ConnectFailed(Stage.ABANDONED, "the dialer was closed"))
        if self._gathering is not None:
            # Cancelled half-way, aioice would leave sockets open.
            await asyncio.wait([self._gathering])
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        outcome = self._outcome.result()
        if isinstance(outcome, WebRtcPipe):
            await outcome.close()
        elif self._stack is not None:
            await self._stack.stop()

    async def _gathered(self, *, controlling: bool) -> Stack:
        stack = Stack(self._servers, controlling=controlling)
        self._gathering = asyncio.create_task(self._gather(stack))
        await asyncio.shield(self._gathering)
        outcome = self._outcome
        if outcome.done() and isinstance(failure := outcome.result(), ConnectFailed):
            raise failure
        return stack

    async def _gather(self, stack: Stack) -> None:
        try:
            await stack.gather()
        except ConnectFailed as failure:
            self._settle(failure)
        self._stack = stack

    async def _open(self, stack: Stack, remote: sdp.Description) -> None:
        """Settle the outcome, whatever happens."""
        try:
            async with asyncio.timeout(CONNECT_S):
                self._settle(await self._connect(stack, remote))
        except ConnectFailed as failure:
            await self._give_up(stack, failure)
        except TimeoutError:
            await self._give_up(stack, stack.failure())
        except Exception as error:
            # aiortc asserts on what a hostile peer sends; that is an attempt failed, no crash.
            await self._give_up(stack, ConnectFailed(stack.stage, repr(error)))

    async def _connect(self, stack: Stack, remote: sdp.Description) -> WebRtcPipe:
        pipe = WebRtcPipe(stack, await stack.secure(remote))
        try:
            await pipe.open(remote)
        except BaseException:
            await pipe.close()
            raise
        return pipe

    async def _give_up(self, stack: Stack, failure: ConnectFailed) -> None:
        await stack.stop()
        self._settle(failure)

    def _settle(self, outcome: WebRtcPipe | ConnectFailed) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

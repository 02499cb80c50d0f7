"""The network side of a node: signaling servers and WebRTC pipes, driven by the engine's effects.

Knows no groups and no records. What goes to one server goes in order; each link is one dialer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

from peerstack.engine import effects, events
from peerstack.errors import ConnectFailed, InvalidValue, PipeClosed, PipeFull, RemoteError
from peerstack.node.status import ServerStatus
from peerstack.ports import Entropy
from peerstack.signaling import rendezvous as meet
from peerstack.signaling import wire
from peerstack.signaling.client import Disconnected, SignalingClient, SignalingEvent
from peerstack.signaling.client import State as ServerState
from peerstack.transport.base import CloseReason, Pipe
from peerstack.transport.dialer import Dialer
from peerstack.transport.webrtc import IceServer, Pair, has_only_loopback

_log = logging.getLogger("peerstack")
_FAILURES_KEPT: Final = 8

RENEWED_AT: Final = 0.5
"""After which part of their life credentials for TURN are asked for again."""

_LIFETIME_MIN_S: Final = 60
_LIFETIME_MAX_S: Final = 24 * 60 * 60
"""A server may say any time; it has devices ask neither all the time nor never again."""

Post = Callable[[events.Event], None]


class Network:
    """All of a node's connections. To be made inside a running loop."""

    def __init__(self, post: Post, entropy: Entropy) -> None:
        self.failures: list[str] = []
        """The latest connections to devices that did not come up, with the reasons."""
        self._post = post
        self._entropy = entropy
        self._servers: dict[str, _Server] = {}
        self._links: dict[meet.Link, _Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def meet_by(self, urls: Collection[str]) -> None:
        """Meet others by these servers, and by no other."""
        if self._closed:
            return
        for url in self._servers.keys() - urls:
            self.spawn(self._servers.pop(url).close())
            self._post(events.ServerLost(url))
        for url in urls:
            if url not in self._servers:
                self._meet_by(url)

    def _meet_by(self, url: str) -> None:
        try:
            self._servers[url] = _Server(url, self._post, self._entropy)
        except InvalidValue as error:
            # Another device of this user told of it; what was named here was checked before.
            _log.warning("%s", error)

    def servers(self) -> tuple[ServerStatus, ...]:
        """How each server stands."""
        return tuple(server.status() for server in self._servers.values())

    def paths(self) -> dict[meet.Link, str]:
        """Of each connection that is up whether it is `direct` or `relayed`."""
        return {
            link: "relayed" if pair.is_relayed else "direct"
            for link, pairs in self.attempts().items()
            for pair in pairs
            if pair.state == "used"
        }

    def attempts(self) -> dict[meet.Link, tuple[Pair, ...]]:
        """Of each connection that is up, or tried, which pairs of addresses were tried."""
        return {link: entry.dialer.pairs() for link, entry in self._links.items()}

    @property
    def only_loopback(self) -> bool:
        """Whether this machine is on no network at all."""
        return has_only_loopback()

    def carry_out(self, effect: effects.Effect) -> None:
        """Do what the engine wants done on the network; pass over all else."""
        match effect:
            case effects.Send(link=link, data=data):
                self._send(link, data)
            case effects.Hangup(link=link):
                self._end(link)
            case meet.MakeOffer(link=link):
                self.spawn(self._offer(link))
            case meet.MakeAnswer(link=link, untrusted_offer=offer):
                self.spawn(self._answer(link, offer))
            case meet.AcceptAnswer(link=link, untrusted_answer=answer):
                self.spawn(self._accept(link, answer))
            case meet.Abandon(link=link):
                self._end(link)
            case meet.JoinTopics() | meet.LeaveTopics() | meet.Announce() | meet.SignalTo():
                server = self._servers.get(effect.server)
                if server is not None:
                    server.carry_out(effect)

    async def close(self) -> None:
        """End everything, in any state; nothing is left behind."""
        self._closed = True
        await asyncio.gather(*(server.close() for server in self._servers.values()))
        for link in list(self._links):
            self._end(link)
        while self._tasks:
            await asyncio.wait(self._tasks)

    # --- Links. ---------------------------------------------------------------------------------

    def _dialer(self, link: meet.Link, *, dialled: bool) -> Dialer:
        dialer = Dialer(self._ice_servers())
        self._links[link] = _Link(dialer, dialled)
        return dialer

    def _ice_servers(self) -> list[IceServer]:
        return [ice for server in self._servers.values() for ice in server.ice]

    async def _offer(self, link: meet.Link) -> None:
        try:
            offer = await self._dialer(link, dialled=True).offer()
        except ConnectFailed as error:
            self._failed(link, error)
            return
        self._post(events.Offered(link, offer))
        await self._open(link)

    async def _answer(self, link: meet.Link, untrusted_offer: str) -> None:
        try:
            answer = await self._dialer(link, dialled=False).answer(untrusted_offer)
        except (ConnectFailed, RemoteError) as error:
            self._failed(link, error)
            return
        self._post(events.Answered(link, answer))
        await self._open(link)

    async def _accept(self, link: meet.Link, untrusted_answer: str) -> None:
        entry = self._links.get(link)
        if entry is None:
            return
        try:
            await entry.dialer.accept(untrusted_answer)
        except RemoteError as error:
            self._failed(link, error)

    async def _open(self, link: meet.Link) -> None:
        entry = self._links.get(link)
        if entry is None:
            return
        try:
            pipe = await entry.dialer.opened()
        except ConnectFailed as error:
            self._failed(link, error)
            return
        if link not in self._links:
            return
        entry.pipe = pipe
        self._post(events.PeerConnected(link, entry.dialled, pipe.binding))
        pipe.listen(_Listener(link, self._post, self._lost))

    def _failed(self, link: meet.Link, error: Exception) -> None:
        if link in self._links:
            _log.info("link %d failed: %s", link, error)
            self.failures = [*self.failures, str(error)][-_FAILURES_KEPT:]
            self._lost(link, str(error))

    def _lost(self, link: meet.Link, reason: str) -> None:
        """A link ended by itself: tell the engine, unless the engine ended it."""
        if link in self._links:
            self._end(link)
            self._post(events.PeerGone(link, reason))

    def _send(self, link: meet.Link, data: bytes) -> None:
        entry = self._links.get(link)
        if entry is None or entry.pipe is None:
            return
        try:
            entry.pipe.send(data)
        except (PipeClosed, PipeFull) as error:
            self._lost(link, str(error))

    def _end(self, link: meet.Link) -> None:
        entry = self._links.pop(link, None)
        if entry is not None:
            self.spawn(entry.dialer.close())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside all else; it is waited for at the end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Link:
    """One attempt at a connection to a device, and what came of it."""

    def __init__(self, dialer: Dialer, dialled: bool) -> None:
        self.dialer = dialer
        self.dialled = dialled
        self.pipe: Pipe | None = None


class _Listener:
    """Hands what arrives on a pipe to the engine."""

    def __init__(self, link: meet.Link, post: Post, lost: Callable[[meet.Link, str], None]) -> None:
        self._link = link
        self._post = post
        self._lost = lost

    def message(self, message: bytes) -> None:
        self._post(events.PeerSent(self._link, message))

    def drained(self) -> None:
        """The session keeps a window of its own, so nothing waits for this."""

    def closed(self, reason: CloseReason) -> None:
        self._lost(self._link, reason.value)


class _Server:
    """One signaling server: its client, and what is to be said to it, in order."""

    def __init__(self, url: str, post: Post, entropy: Entropy) -> None:
        self.ice: list[IceServer] = []
        self._post = post
        self._url = url
        self._queue: asyncio.Queue[meet.Effect] = asyncio.Queue()
        self._client = SignalingClient(url, self._received, entropy)
        self._client.start()
        self._speaking = asyncio.get_running_loop().create_task(self._speak())

    def status(self) -> ServerStatus:
        return ServerStatus(self._client.url, self._client.state.value, self._client.reason)

    def carry_out(self, effect: meet.Effect) -> None:
        self._queue.put_nowait(effect)

    async def close(self) -> None:
        self._speaking.cancel()
        await asyncio.wait({self._speaking})
        await self._client.close()

    def _received(self, event: SignalingEvent) -> None:
        url = self._url
        match event:
            case wire.Welcome(address=address, day=day, topics_max=topics_max):
                # What was to be said on the connection before means nothing on this one.
                self._queue = asyncio.Queue()
                self._speaking.cancel()
                self._speaking = asyncio.get_running_loop().create_task(self._speak())
                self._post(events.ServerWelcomed(url, address, day, topics_max))
            case wire.DayChanged(day=day):
                self._post(events.ServerDayChanged(url, day))
            case wire.Announced(topic=topic, box=box, sender=sender):
                self._post(events.BoxAnnounced(url, topic, box, sender))
            case wire.Signaled(box=box, sender=sender):
                self._post(events.BoxSignalled(url, box, sender))
            case wire.Again(spread_ms=spread_ms):
                self._post(events.ServerUnheard(url, spread_ms))
            case Disconnected():
                self._post(events.ServerLost(url))
            case wire.Problem(error=error, detail=detail):
                _log.warning("%s refused: %s %s", self._client.url, error.value, detail)

    async def _speak(self) -> None:
        """Say what is to be said, in order, and ask for credentials again before they end."""
        queue = self._queue
        due_s = await self._ask_ice() if self._client.state is ServerState.ONLINE else None
        while True:
            try:
                async with asyncio.timeout_at(due_s):
                    effect = await queue.get()
            except TimeoutError:
                due_s = await self._ask_ice()
            else:
                await self._say(effect)

    async def _ask_ice(self) -> float | None:
        """Learn the STUN and TURN servers; when to ask again, on the loop's clock, if ever."""
        answer = await self._client.ice()
        lifetime_s = _LIFETIME_MIN_S
        if answer is not None:
            self.ice = [_ice(server, url) for server in answer.servers for url in server.urls]
            if not any(server.credential for server in answer.servers):
                return None
            lifetime_s = min(max(answer.lifetime_s, _LIFETIME_MIN_S), _LIFETIME_MAX_S)
        return asyncio.get_running_loop().time() + lifetime_s * RENEWED_AT

    async def _say(self, effect: meet.Effect) -> None:
        match effect:
            case meet.JoinTopics(topics=topics):
                await self._client.join(topics)
            case meet.LeaveTopics(topics=topics):
                await self._client.leave(topics)
            case meet.Announce(topic=topic, box=box):
                await self._client.announce(topic, box)
            case meet.SignalTo(address=address, box=box):
                if await self._client.signal(address, box) is False:
                    self._post(events.AddressGone(self._url, address))


def _ice(server: wire.IceServer, url: str) -> IceServer:
    return IceServer(url, server.username or None, server.credential or None)

"""Several server processes as one: what is said to devices on the others goes by way of Redis.

A process listens to a channel for each topic and for each address that it holds, and to no other:
what concerns none of its devices never reaches it. And Redis, asked to publish, answers how many
processes listen, which tells whether an address is there at all. While Redis is away nothing is
kept for it: whoever asks is told, and once it is back, devices are to announce themselves again.

It must not know socket.io, nor who is in a topic.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from peerstack.signaling import wire
from peerstack_server.line import Answer, Line
from peerstack_server.stats import Stats

log = logging.getLogger(__name__)

TOPIC_PREFIX: Final = b"peerstack:topic:"
ADDRESS_PREFIX: Final = b"peerstack:address:"
WAITING_BYTES_MAX: Final = 16 * 2**20
"""With more that Redis did not take yet, it counts as away."""
FIRST_PAUSE_MS: Final = 200
LONGEST_PAUSE_MS: Final = 5_000
CHANNELS_PER_COMMAND: Final = 1_000

Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Passed(Struct, frozen=True, array_like=True):
    """What one process tells the others."""

    process: Name
    """Who says it, so that it does not listen to itself."""
    network: Name
    """Whose bounds it counts against."""
    sender: wire.Address
    box: wire.Box


OnAnnounced = Callable[[bytes, Passed], Awaitable[None]]
OnSignaled = Callable[[str, Passed], Awaitable[None]]
OnReunited = Callable[[], Awaitable[None]]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Passed).decode


class Cluster:
    """The other processes, as this one knows them. `run` it; it lasts until cancelled."""

    def __init__(self, url: str, stats: Stats) -> None:
        """Raises `ValueError` if the library cannot read the URL."""
        self.connected = False
        """Whether the others can be reached now."""
        self.tried = asyncio.Event()
        """Set once it is known whether Redis was there at first."""
        self._url = url
        self._stats = stats
        self._name = secrets.token_urlsafe(9)
        self._channels: dict[bytes, Answer | None] = {}
        """What is listened to, and when Redis has said so."""
        self._speaking: Line | None = None
        self._listening: Line | None = None
        Line(url, self._heard)

    def listen(self, announced: OnAnnounced, signaled: OnSignaled, reunited: OnReunited) -> None:
        """Say what happens with what others tell, and when they can be reached (again)."""
        self._announced, self._signaled, self._reunited = announced, signaled, reunited

    # --- What the devices here want to hear. ----------------------------------------------------

    async def enter(self, topics: Iterable[bytes]) -> None:
        """Hear what is announced in these topics elsewhere; returns once that is so."""
        await self._hear([TOPIC_PREFIX + topic for topic in topics])

    def leave(self, topics: Iterable[bytes]) -> None:
        """Hear nothing more from these topics."""
        self._ignore([TOPIC_PREFIX + topic for topic in topics])

    async def arrive(self, address: str) -> None:
        """Hear what is sent to an address; returns once that is so."""
        await self._hear([ADDRESS_PREFIX + address.encode()])

    def depart(self, address: str) -> None:
        """Hear nothing more for an address."""
        self._ignore([ADDRESS_PREFIX + address.encode()])

    # --- What they say. -------------------------------------------------------------------------

    async def announce(self, topic: bytes, network: str, sender: str, box: bytes) -> None:
        """Tell all other processes that have devices in a topic, if they can be reached."""
        await self._tell(TOPIC_PREFIX + topic, network, sender, box)

    async def signal(self, to: str, network: str, sender: str, box: bytes) -> bool | None:
        """Whether a process had the address and was told; None if that cannot be known now."""
        listeners = await self._tell(ADDRESS_PREFIX + to.encode(), network, sender, box)
        return None if listeners is None else listeners > 0

    async def _tell(self, channel: bytes, network: str, sender: str, box: bytes) -> int | None:
        line = self._speaking if self.connected else None
        told = None
        if line is not None and line.waiting_bytes <= WAITING_BYTES_MAX:
            passed = _encode(Passed(self._name, network, sender, box))
            told = await line.ask(b"PUBLISH", channel, passed)
        if told is None:
            self._stats.unpassed += 1
        else:
            self._stats.passed += 1
        return told

    # --- The connection. ------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep up the connection to Redis, whatever happens to it."""
        failures = 0
        while True:
            try:
                await self._stay()
            except Exception as error:
                failures = 1 if self.connected else failures + 1
                self._lost(error)
            self.tried.set()
            longest_ms = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(failures, 10))
            pause_ms = longest_ms // 2 + secrets.randbelow(longest_ms // 2)
            await asyncio.sleep(pause_ms / 1000)

    async def _stay(self) -> None:
        speaking, listening = Line(self._url, self._heard), Line(self._url, self._heard)
        try:
            await speaking.open()
            await listening.open()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speaking.run())
                tasks.create_task(listening.run())
                self._speaking, self._listening = speaking, listening
                await self._wait(self._subscribe(listening, list(self._channels)))
                await self._found()
        finally:
            self._speaking = self._listening = None
            await speaking.close()
            await listening.close()

    async def _found(self) -> None:
        self.connected = True
        self.tried.set()
        log.info("other processes in reach")
        await self._reunited()

    def _lost(self, error: Exception) -> None:
        if self.connected or not self.tried.is_set():
            log.error("other processes out of reach", extra={"fields": {"because": _name(error)}})
        self.connected = False

    async def _hear(self, channels: list[bytes]) -> None:
        new = [channel for channel in channels if channel not in self._channels]
        self._channels.update(dict.fromkeys(new))
        if self._listening is not None:
            self._subscribe(self._listening, new)
        # What another device here has asked for may still be under way.
        await self._wait([self._channels.get(channel) for channel in channels])

    def _ignore(self, channels: list[bytes]) -> None:
        known = [channel for channel in channels if channel in self._channels]
        for channel in known:
            del self._channels[channel]
        if known and self._listening is not None:
            self._listening.ask(b"UNSUBSCRIBE", *known, answers=len(known))

    def _subscribe(self, line: Line, channels: list[bytes]) -> list[Answer | None]:
        asked: list[Answer | None] = []
        for first in range(0, len(channels), CHANNELS_PER_COMMAND):
            some = channels[first : first + CHANNELS_PER_COMMAND]
            done = line.ask(b"SUBSCRIBE", *some, answers=len(some))
            self._channels.update(dict.fromkeys(some, done))
            asked.append(done)
        return asked

    async def _wait(self, asked: Iterable[Answer | None]) -> None:
        open_ones = {each for each in asked if each is not None and not each.done()}
        if open_ones:
            await asyncio.wait(open_ones)

    async def _heard(self, channel: bytes, content: bytes) -> None:
        try:
            passed = _decode(content)
        except msgspec.MsgspecError:
            self._stats.foreign += 1
            return
        if passed.process == self._name:
            return
        self._stats.heard += 1
        if channel.startswith(TOPIC_PREFIX):
            await self._announced(channel.removeprefix(TOPIC_PREFIX), passed)
        else:
            await self._signaled(channel.removeprefix(ADDRESS_PREFIX).decode(), passed)


def _name(error: Exception) -> str:
    """The kind of an error, without its words, which may hold an address or a password."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__

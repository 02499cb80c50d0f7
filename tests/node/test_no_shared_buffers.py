"""What has arrived of a message belongs to its connection alone, and ends with it.

In the original, one buffer held the chunks of all connections, and kept them for ever.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from aiortc.rtcsctptransport import InboundStream

from peerstack import limits
from peerstack.engine import events
from peerstack.ids import DeviceId, as_user
from peerstack.keys import PublicKey
from peerstack.node.network import Network
from peerstack.node.ports import SystemEntropy
from peerstack.signaling import rendezvous as meet
from peerstack.signaling.rendezvous.boxes import Peer
from tests.transport.stranger import Stranger

PATIENCE_S = 20
LOOK_S = 0.05
ONE, OTHER = meet.Link(1), meet.Link(2)
SOMEBODY = Peer(as_user("user"), DeviceId("device"), PublicKey(bytes(32)))


class Meeting:
    """A device's network, and strangers who are connected to it by real WebRTC."""

    def __init__(self) -> None:
        self.posted: list[events.Event] = []
        self._news = asyncio.Event()
        self.network = Network(self._post, SystemEntropy())
        self.strangers: list[Stranger] = []

    async def connect(self, link: meet.Link) -> Stranger:
        stranger = Stranger()
        self.strangers.append(stranger)
        offer = await stranger.offer()
        self.network.carry_out(meet.MakeAnswer(link, SOMEBODY, offer))
        [answered] = await self.until(lambda: self.told(link, events.Answered))
        assert isinstance(answered, events.Answered)
        await stranger.accept(answered.sdp)
        await self.until(lambda: self.told(link, events.PeerConnected))
        return stranger

    def told(self, link: meet.Link, kind: type[events.Event]) -> list[events.Event]:
        """What the engine was told of a link."""
        return [e for e in self.posted if isinstance(e, kind) and getattr(e, "link", None) == link]

    def heard(self, link: meet.Link) -> list[bytes]:
        return [e.data for e in self.told(link, events.PeerSent) if isinstance(e, events.PeerSent)]

    def _post(self, event: events.Event) -> None:
        self.posted.append(event)
        self._news.set()

    async def until(
        self, look: Callable[[], list[events.Event]], count: int = 1
    ) -> list[events.Event]:
        """What `look` finds, once it finds as many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := look()) < count:
                self._news.clear()
                await self._news.wait()
        return found

    async def close(self) -> None:
        await self.network.close()
        for stranger in self.strangers:
            await stranger.close()


@pytest.fixture
async def meeting() -> AsyncIterator[Meeting]:
    meeting = Meeting()
    yield meeting
    await meeting.close()


def marked(mark: bytes, size_bytes: int = limits.MESSAGE_BYTES) -> bytes:
    return mark * (size_bytes // len(mark))


def pieces_in_memory(mark: bytes) -> int:
    """How many pieces of messages that are not complete hold this mark, wherever they are."""
    gc.collect()
    streams = [each for each in gc.get_objects() if isinstance(each, InboundStream)]
    return sum(mark in chunk.user_data for stream in streams for chunk in stream.reassembly)


async def in_memory(mark: bytes, holds: Callable[[int], bool]) -> None:
    """Wait until so many pieces are here. Nothing tells of them, so one has to look."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds(pieces_in_memory(mark)):
            await asyncio.sleep(LOOK_S)


async def arrived(mark: bytes) -> None:
    """Wait until some of a message is here."""
    await in_memory(mark, lambda pieces: pieces >= 2)


async def test_messages_whose_pieces_interleave_arrive_whole_each_on_its_own_connection(
    meeting: Meeting,
) -> None:
    one, other = await meeting.connect(ONE), await meeting.connect(OTHER)
    messages = {ONE: [marked(b"one/1"), marked(b"one/2")], OTHER: [marked(b"other"), b"short"]}

    rest_of_one = await one.begin(messages[ONE][0])
    rest_of_other = await other.begin(messages[OTHER][0])
    await arrived(b"one/1")
    await arrived(b"other")
    assert meeting.heard(ONE) == meeting.heard(OTHER) == []
    await rest_of_other()
    await meeting.until(lambda: meeting.told(OTHER, events.PeerSent))
    assert meeting.heard(ONE) == []
    await rest_of_one()
    one.channel.send(messages[ONE][1])
    other.channel.send(messages[OTHER][1])

    for link, sent in messages.items():
        await meeting.until(partial(meeting.told, link, events.PeerSent), len(sent))
        assert meeting.heard(link) == sent


@pytest.mark.parametrize("end", ["the peer", "this device"])
async def test_nothing_is_left_of_a_message_whose_connection_ended_in_the_middle_of_it(
    end: str, meeting: Meeting
) -> None:
    one, other = await meeting.connect(ONE), await meeting.connect(OTHER)
    await one.begin(marked(b"unfinished"))
    rest = await other.begin(marked(b"goes on"))
    await arrived(b"unfinished")
    await arrived(b"goes on")

    if end == "the peer":
        await one.close()
        await meeting.until(lambda: meeting.told(ONE, events.PeerGone))
    else:
        meeting.network.carry_out(meet.Abandon(ONE))
    await in_memory(b"unfinished", lambda pieces: pieces == 0)

    assert meeting.heard(ONE) == []
    await rest()
    await meeting.until(lambda: meeting.told(OTHER, events.PeerSent))
    assert meeting.heard(OTHER) == [marked(b"goes on")]
    assert pieces_in_memory(b"goes on") == 0

"""Whoever carries the packets of two devices reads nothing, and changes nothing."""

from __future__ import annotations

import pytest

from peerstack.testing.contract import Recorder
from tests.transport.wiretap import Trick, Wiretap, tapped_pair

pytestmark = pytest.mark.usefixtures("quiet_loop")

SAID = b"Milk for the aardvarks. "
SPOILED = 5
"""Packets that are tampered with; what was in them is sent again."""


async def test_whoever_carries_the_packets_sees_nothing_of_what_is_said() -> None:
    tap, heard = Wiretap(), Recorder()
    message = SAID * 2_000

    async with tapped_pair(tap) as (one, other):
        other.listen(heard)
        one.send(message)
        await heard.until(lambda: bool(heard.messages), "the message")

    assert heard.messages == [message]
    assert sum(map(len, tap.carried)) > len(message), "it went another way"
    assert not [each for each in tap.carried if SAID[:8] in each]


def changed(data: bytes) -> list[bytes]:
    return [data[:-1] + bytes([data[-1] ^ 1])]


def repeated(data: bytes) -> list[bytes]:
    return [data, data]


def made_up(data: bytes) -> list[bytes]:
    return [data[:13] + SAID * 10, data]


@pytest.mark.parametrize("trick", [changed, repeated, made_up])
async def test_whoever_carries_the_packets_changes_and_adds_nothing(trick: Trick) -> None:
    tap, heard = Wiretap(), Recorder()
    messages = [bytes([number]) * 3_000 for number in range(10)]

    def some(data: bytes) -> list[bytes]:
        return list(trick(data)) if tap.tricks_played <= SPOILED else [data]

    async with tapped_pair(tap) as (one, other):
        other.listen(heard)
        tap.trick = some
        for message in messages:
            one.send(message)
        await heard.until(lambda: len(heard.messages) == len(messages), "the messages")

    assert heard.messages == messages
    assert tap.tricks_played > SPOILED

"""How the connection is told of, in words that need no manual."""

from __future__ import annotations

import msgspec
import pytest

import peerstack
from family_notes.connection import State, connection, in_words
from peerstack.engine.status import Connection, Sharing
from peerstack.ids import DeviceId, as_group, as_user
from peerstack.node.status import ServerStatus
from peerstack.session.channel import State as Sync
from peerstack.signaling.rendezvous import Link

ANA, BEN, CLEO = map(as_user, ("ana", "ben", "cleo"))
NAMES: dict[str, str] = {BEN: "Ben", CLEO: "Cleo"}
ONLINE, OFFLINE = ServerStatus("a", "online", ""), ServerStatus("b", "offline", "it is down")
ALONE = peerstack.Status(ANA, "Ana", DeviceId("d"), True, (), (), (), (), (), {}, ())


def with_user(user: str, *groups: Sharing) -> Connection:
    return Connection(as_user(user), DeviceId(f"{user}'s"), 0, 0, 0, 0, 0, groups, Link(1))


def shared(
    state: Sync, received: int = 0, wanted: int = 0, sent: int = 0, owed: int = 0
) -> Sharing:
    return Sharing(as_group("g"), state, received, wanted, sent, owed)


@pytest.mark.parametrize(
    ("status", "state", "detail"),
    [
        ({}, State.ALONE, "kept here, and nowhere else"),
        ({"servers": [OFFLINE]}, State.OFFLINE, "sent when the others can be met again"),
        ({"servers": [OFFLINE, ONLINE]}, State.LOOKING, "Nobody else is online"),
        ({"connections": [with_user(BEN)]}, State.LEVEL, "Connected to Ben."),
        (
            {"connections": [with_user(CLEO), with_user(BEN), with_user(BEN), with_user(ANA)]},
            State.LEVEL,
            "Connected to Ben, Cleo and your other device.",
        ),
        ({"connections": [with_user("eve")]}, State.LEVEL, "Connected to somebody."),
        (
            {"connections": [with_user(BEN, shared(Sync.WORKING, 1_000, 2_500, 20, 10))]},
            State.SYNCING,
            "With Ben: 1,020 of 2,530.",
        ),
        (
            {"connections": [with_user(BEN, shared(Sync.WORKING))]},
            State.SYNCING,
            "With Ben: comparing.",
        ),
        (
            {"connections": [with_user(BEN, shared(Sync.LEVEL, 5, 5))], "servers": [OFFLINE]},
            State.LEVEL,
            "Connected to Ben.",
        ),
    ],
)
def test_what_is_said(status: dict[str, object], state: State, detail: str) -> None:
    said = connection(msgspec.structs.replace(ALONE, **status), NAMES)

    assert said.state is state
    assert detail in said.detail


def test_what_is_wrong_is_said_as_a_sentence_without_commands() -> None:
    wrong = msgspec.structs.replace(ALONE, problems=["it is full; make room"])

    assert connection(wrong, NAMES).problems == ["It is full; make room."]
    assert in_words("write it down (`peerstack recovery --kit FILE`)") == "Write it down."

"""Announcements and signals by somebody who knows the secret, at each depth of their boxes."""

from __future__ import annotations

from typing import Final

import msgspec

from peerstack.errors import RemoteError
from peerstack.keys import BoxKey, Label, Secret, Signer, derive, framed, seal, seal_to
from peerstack.signaling.rendezvous.boxes import (
    Answer,
    Greeting,
    Offer,
    check_box_key_untrusted,
    open_announcement_untrusted,
    open_signal_untrusted,
    read_description_untrusted,
    topic_of,
)
from peerstack.testing.ports import SeededEntropy
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

SECRET: Final = Secret(bytes([1]) * 32)
TOPIC: Final = topic_of(SECRET, 20_000)
BOX_KEY: Final = BoxKey(bytes(range(32)))
SIGNER: Final = Signer(bytes([0, 1]) * 16)
"""That of device 1 of `tests.signaling.meeting`."""

_encode: Final = msgspec.msgpack.Encoder().encode


def run(data: bytes) -> None:
    """Whether it is announced, how much around the rest is genuine, and the rest."""
    reader = Reader(data)
    announced, depth, content = reader.flag(), reader.number() % 3, reader.rest()
    try:
        if announced:
            _announced(depth, content)
        else:
            _signalled(depth, content)
    except RemoteError:
        return


def _announced(depth: int, content: bytes) -> None:
    if depth == 2:
        signature = SIGNER.sign(Label.ANNOUNCE, framed(TOPIC, content))
        content = _encode([content, signature])
    if depth:
        content = seal(derive(SECRET, Label.BOX, TOPIC), content, SeededEntropy("box"))
    found = open_announcement_untrusted(SECRET, TOPIC, content)
    assert depth == 2, "nothing here is signed"
    assert found.sender.key == SIGNER.public, "signed by a key that nobody here has"
    check_box_key_untrusted(found.box_key, SeededEntropy("key"))


def _signalled(depth: int, content: bytes) -> None:
    if depth == 2:
        kind, label = (1, Label.OFFER) if content[:1] < b"\x80" else (2, Label.ANSWER)
        content = content[1:]
        content = _encode([kind, content, SIGNER.sign(label, content)])
    if depth:
        content = seal_to(BOX_KEY.public, content, SeededEntropy("box"))
    match open_signal_untrusted(BOX_KEY, content):
        case Greeting(topic=topic, box=box):
            open_announcement_untrusted(SECRET, topic, box)
            raise AssertionError("nobody here sealed an announcement")
        case Offer() | Answer() as signal:
            found = read_description_untrusted(signal)
            assert depth == 2, "nothing here is signed"
            assert found.sender.key == SIGNER.public, "signed by a key that nobody here has"


TARGET = Target(
    "box",
    run,
    (
        "peerstack.signaling.rendezvous.boxes.open_announcement_untrusted",
        "peerstack.signaling.rendezvous.boxes.open_signal_untrusted",
        "peerstack.signaling.rendezvous.boxes.read_description_untrusted",
        "peerstack.signaling.rendezvous.boxes.check_box_key_untrusted",
    ),
)

"""The bytes of the rendezvous stay as they are, and only those they are meant for can read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ids import DeviceId
from peerstack.keys import BoxKey, Label, PublicKey, derive, seal, seal_to
from peerstack.signaling.rendezvous.boxes import (
    Announcement,
    Answer,
    Description,
    Echo,
    Greeting,
    Offer,
    Peer,
    open_announcement_untrusted,
    open_signal_untrusted,
    read_description_untrusted,
    seal_announcement,
    seal_description,
    seal_greeting,
    topic_of,
)
from tests.signaling.meeting import DAY, make_me, secret


class Sevens:
    """Entropy for vectors that another implementation can repeat."""

    def draw(self, size_bytes: int) -> bytes:
        return b"\7" * size_bytes


SEVENS = Sevens()
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=7),
)
ME, PEER = make_me(1), make_me(2)
MY_KEY, PEERS_KEY = BoxKey(b"\1" * 32), BoxKey(b"\2" * 32)
TOPIC = topic_of(secret(1), DAY)
ANNOUNCEMENT = Announcement(ME.peer, "address", b"n" * 16, MY_KEY.public)
GREETING = Announcement(ME.peer, "address", b"n" * 16, MY_KEY.public, Echo(b"e" * 16, 3, True))
OFFER = Description(ME.peer, PEER.peer, b"n" * 16, b"e" * 16, 4, 0, "v=0 offer")


def announcement_box(announcement: Announcement = ANNOUNCEMENT) -> bytes:
    return seal_announcement(announcement, ME.signer, secret(1), TOPIC, SEVENS)


def greeting_box() -> bytes:
    box = announcement_box(GREETING)
    return seal_greeting(TOPIC, box, PEERS_KEY.public, SEVENS)


def description_box(kind: type[Offer | Answer]) -> bytes:
    return seal_description(kind, OFFER, ME.signer, PEERS_KEY.public, SEVENS)


BOXES: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "announcement": (announcement_box, 260, "61865f796e8decbb"),
    "greeting": (greeting_box, 391, "bd307f7c60d2c0e1"),
    "offer": (lambda: description_box(Offer), 369, "9b6aee8f2e4ba7ca"),
    "answer": (lambda: description_box(Answer), 369, "74d6dc05fb76a5bc"),
}
"""How to make each box, its length, and the beginning of its SHA-256."""


def open_named(name: str, box: bytes) -> object:
    if name == "announcement":
        return open_announcement_untrusted(secret(1), TOPIC, box)
    return open_signal_untrusted(PEERS_KEY, box)


def reason_to_refuse(opening: Callable[[], object]) -> Reason | None:
    try:
        opening()
    except RemoteError as refused:
        return refused.reason
    return None


@pytest.mark.parametrize("name", BOXES)
def test_the_bytes_of_a_box_are_what_they_were(name: str) -> None:
    make, length, digest = BOXES[name]

    box = make()

    assert (len(box), hashlib.sha256(box).hexdigest()[:16]) == (length, digest)


def test_a_topic_is_what_it_was() -> None:
    assert TOPIC.hex() == "39fbe6c74a187e062e6940eb5c2c9e368eda9abcc41d588161499f912955834c"
    assert len(TOPIC) == limits.TOPIC_BYTES


def test_an_announcement_comes_back_as_it_was_sealed() -> None:
    assert open_announcement_untrusted(secret(1), TOPIC, announcement_box()) == ANNOUNCEMENT


def test_a_greeting_comes_back_as_it_was_sealed() -> None:
    greeting = open_signal_untrusted(PEERS_KEY, greeting_box())

    assert isinstance(greeting, Greeting)
    assert open_announcement_untrusted(secret(1), greeting.topic, greeting.box) == GREETING


@pytest.mark.parametrize("kind", [Offer, Answer])
def test_a_description_comes_back_as_it_was_sealed(kind: type[Offer | Answer]) -> None:
    signal = open_signal_untrusted(PEERS_KEY, description_box(kind))

    assert isinstance(signal, kind)
    assert read_description_untrusted(signal) == OFFER


@pytest.mark.parametrize(
    ("opener", "topic"), [(secret(2), TOPIC), (secret(1), topic_of(secret(1), DAY + 1))]
)
def test_an_announcement_opens_with_its_secret_and_in_its_topic_only(
    opener: bytes, topic: bytes
) -> None:
    with pytest.raises(RemoteError) as refused:
        open_announcement_untrusted(secret(opener[0]), topic, announcement_box())

    assert refused.value.reason is Reason.BAD_PROOF


def test_a_signal_opens_for_its_recipient_only() -> None:
    with pytest.raises(RemoteError) as refused:
        open_signal_untrusted(MY_KEY, description_box(Offer))

    assert refused.value.reason is Reason.BAD_PROOF


def test_an_offer_cannot_be_passed_off_as_an_answer() -> None:
    offer = open_signal_untrusted(PEERS_KEY, description_box(Offer))
    assert isinstance(offer, Offer)

    with pytest.raises(RemoteError) as refused:
        read_description_untrusted(Answer(offer.description, offer.signature))

    assert refused.value.reason is Reason.BAD_SIGNATURE


def test_an_announcement_signed_by_another_key_is_refused() -> None:
    box = seal_announcement(ANNOUNCEMENT, PEER.signer, secret(1), TOPIC, SEVENS)

    with pytest.raises(RemoteError) as refused:
        open_announcement_untrusted(secret(1), TOPIC, box)

    assert refused.value.reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"address": ""},
        {"address": "a" * 65},
        {"nonce": b"n" * 15},
        {"box_key": PublicKey(b"k" * 33)},
        {"echo": Echo(b"e" * 17, 1, True)},
        {"echo": Echo(b"e" * 16, 0, True)},
        {"echo": Echo(b"e" * 16, 2**53, True)},
        {"sender": Peer(ME.peer.user, DeviceId("no ulid"), ME.peer.key)},
    ],
    ids=str,
)
def test_an_announcement_out_of_bounds_is_refused(change: dict[str, object]) -> None:
    fields = {name: getattr(ANNOUNCEMENT, name) for name in ANNOUNCEMENT.__struct_fields__}

    with pytest.raises(RemoteError) as refused:
        open_announcement_untrusted(
            secret(1), TOPIC, announcement_box(Announcement(**{**fields, **change}))
        )

    assert refused.value.reason is Reason.MALFORMED


def test_boxes_above_the_bound_are_refused_before_they_are_opened() -> None:
    oversize = b"\0" * (limits.BOX_BYTES + 1)
    attempts: list[Callable[[], object]] = [
        lambda: open_announcement_untrusted(secret(1), TOPIC, oversize),
        lambda: open_signal_untrusted(PEERS_KEY, oversize),
    ]
    for attempt in attempts:
        with pytest.raises(RemoteError) as refused:
            attempt()
        assert refused.value.reason is Reason.OVERSIZE


@given(st.sampled_from(sorted(BOXES)), st.integers(0, 10_000), st.sampled_from([1, 2, 16, 64]))
def test_one_changed_bit_spoils_a_box(name: str, place: int, bit: int) -> None:
    # The top bit of an X25519 key is left out: it has no meaning (RFC 7748, section 5).
    box = bytearray(BOXES[name][0]())
    box[place % len(box)] ^= bit

    assert reason_to_refuse(lambda: open_named(name, bytes(box))) is Reason.BAD_PROOF


@given(st.binary(max_size=400) | st.builds(msgspec.msgpack.encode, NESTED))
def test_whatever_an_insider_seals_is_read_or_refused(content: bytes) -> None:
    key = derive(secret(1), Label.BOX, TOPIC)
    openings: list[Callable[[], object]] = [
        lambda: open_announcement_untrusted(secret(1), TOPIC, seal(key, content, SEVENS)),
        lambda: open_signal_untrusted(PEERS_KEY, seal_to(PEERS_KEY.public, content, SEVENS)),
        lambda: read_description_untrusted(Offer(content, b"s" * 64)),
    ]
    for opening in openings:
        assert reason_to_refuse(opening) in {None, Reason.MALFORMED, Reason.BAD_SIGNATURE}

"""The bytes that devices seal for each other: announcements, greetings, offers and answers.

Knows what is signed and who can open a box (`docs/protocol.md`, "Rendezvous"); not what to do about
any of it. The grammar, in msgpack arrays::

    announcement box = seal(key of the topic, [announcement, signature])
    signal box       = seal_to(announced box key, greeting | offer | answer)
    greeting         = [0, topic, announcement box]     the announcement has an echo
    offer, answer    = [1 | 2, description, signature]
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.msgpack import Decoder

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ids import ULID_PATTERN, DeviceId, UserId
from peerstack.keys import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    BoxKey,
    Label,
    PublicKey,
    Secret,
    SignatureCheck,
    Signer,
    derive,
    framed,
    open_untrusted,
    seal,
    seal_to,
)
from peerstack.ports import Entropy
from peerstack.signaling import wire

CHALLENGE_BYTES: Final = 16
"""Length of the nonce by which what answers an announcement is known to be fresh."""

_Key = Annotated[PublicKey, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
_Nonce = Annotated[bytes, Meta(min_length=CHALLENGE_BYTES, max_length=CHALLENGE_BYTES)]
_Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
_Bytes = Annotated[bytes, Meta(max_length=limits.BOX_BYTES)]
_Number = Annotated[int, Meta(ge=1, le=limits.INTEGER_MAX)]


class _Array(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An array of exactly these fields."""


class Peer(_Array, frozen=True):
    """Who a device says it is. That it holds the key is proven here, and no more than that.

    Whoever knows a meeting secret can claim any id, so one id under two keys is two peers.
    """

    user: Annotated[UserId, Meta(pattern=ULID_PATTERN)]
    device: Annotated[DeviceId, Meta(pattern=ULID_PATTERN)]
    key: _Key

    @property
    def rank(self) -> tuple[str, bytes]:
        """The order of devices."""
        return (self.device, self.key)

    def calls(self, other: Peer) -> bool:
        """Whether this one makes the offer when the two connect: the smaller one does."""
        return self.rank < other.rank


class Echo(_Array, frozen=True):
    """What makes an announcement a greeting, meant for one device."""

    nonce: _Nonce
    """The recipient's, from its announcement."""
    number: _Number
    """Ascends over all that the sender signals to the recipient's nonce under its own."""
    wants: bool
    """Whether the sender wants a link; if the recipient is the one who calls, this asks for it."""


class Announcement(_Array, frozen=True):
    """A device, and how to reach it on the server on which it announces itself."""

    sender: Peer
    address: wire.Address
    nonce: _Nonce
    """Drawn for this connection to the server."""
    box_key: _Key
    """To which signals are sealed; drawn for this connection to the server."""
    echo: Echo | None = None


class Description(_Array, frozen=True):
    """The SDP of an offer or an answer, from one device to another."""

    sender: Peer
    recipient: Peer
    nonce: _Nonce
    """The sender's, from its announcement."""
    echo: _Nonce
    """The recipient's, from its announcement."""
    number: _Number
    """As in `Echo`."""
    answers: Annotated[int, Meta(ge=0, le=limits.INTEGER_MAX)]
    """The number of the offer that this answers; 0 in an offer."""
    sdp: Annotated[str, Meta(max_length=limits.BOX_BYTES)]


class Greeting(_Array, tag=0, frozen=True):
    """An announcement box, answering the recipient's announcement in a topic."""

    topic: wire.Topic
    box: wire.Box


class Offer(_Array, tag=1, frozen=True):
    """A signed description whose sender wants an answer."""

    description: _Bytes
    signature: _Signature


class Answer(_Array, tag=2, frozen=True):
    """A signed description that answers an offer."""

    description: _Bytes
    signature: _Signature


Signal = Greeting | Offer | Answer


class _Signed(_Array, frozen=True):
    body: _Bytes
    signature: _Signature


_LABELS: Final = {Offer: Label.OFFER, Answer: Label.ANSWER}
_encode: Final = msgspec.msgpack.Encoder().encode
_signed: Final = Decoder(_Signed)
_announcement: Final = Decoder(Announcement)
_description: Final = Decoder(Description)
_signal: Final[Decoder[Signal]] = Decoder(Signal)
_T = TypeVar("_T")


def topic_of(secret: Secret, day: int) -> bytes:
    """Where those who share a secret meet on a day (days since 1970-01-01 UTC): 32 bytes."""
    return derive(secret, Label.TOPIC, day.to_bytes(8, "big"))


def seal_announcement(
    announcement: Announcement, signer: Signer, secret: Secret, topic: bytes, entropy: Entropy
) -> bytes:
    """A box that tells whoever knows the secret of a topic who is at an address."""
    body = _encode(announcement)
    signature = signer.sign(Label.ANNOUNCE, framed(topic, body))
    return seal(derive(secret, Label.BOX, topic), _encode(_Signed(body, signature)), entropy)


def open_announcement_untrusted(secret: Secret, topic: bytes, box: bytes) -> Announcement:
    """What is in an announcement box, signed by the key that it names. Raises `RemoteError`."""
    _check_size(box)
    signed = _decode(_signed, open_untrusted(derive(secret, Label.BOX, topic), box))
    announcement = _decode(_announcement, signed.body)
    payload = framed(topic, signed.body)
    _check(announcement.sender, Label.ANNOUNCE, payload, signed.signature)
    return announcement


def check_box_key_untrusted(box_key: PublicKey, entropy: Entropy) -> None:
    """Whether signals can be sealed to a key. Raises `RemoteError` if not."""
    seal_to(box_key, b"", entropy)


def seal_greeting(topic: bytes, box: bytes, to: PublicKey, entropy: Entropy) -> bytes:
    """A signal box with an announcement box of the topic."""
    return seal_to(to, _encode(Greeting(topic, box)), entropy)


def seal_description(
    kind: type[Offer | Answer],
    description: Description,
    signer: Signer,
    to: PublicKey,
    entropy: Entropy,
) -> bytes:
    """A signal box with an offer or an answer."""
    body = _encode(description)
    return seal_to(to, _encode(kind(body, signer.sign(_LABELS[kind], body))), entropy)


def open_signal_untrusted(box_key: BoxKey, box: bytes) -> Signal:
    """What is in a signal box; nothing in it is believed yet. Raises `RemoteError`."""
    _check_size(box)
    return _decode(_signal, box_key.open_untrusted(box))


def read_description_untrusted(signal: Offer | Answer) -> Description:
    """The description, signed by the key of the sender that it names. Raises `RemoteError`."""
    description = _decode(_description, signal.description)
    _check(description.sender, _LABELS[type(signal)], signal.description, signal.signature)
    return description


def _check_size(box: bytes) -> None:
    if len(box) > limits.BOX_BYTES:
        raise RemoteError(Reason.OVERSIZE, f"box of {len(box)} bytes, {limits.BOX_BYTES} fit")


def _check(sender: Peer, label: Label, payload: bytes, signature: bytes) -> None:
    if not SignatureCheck(sender.key, label, payload, signature).holds():
        raise RemoteError(Reason.BAD_SIGNATURE, "not signed by the device that it names")


def _decode(decoder: Decoder[_T], encoded: bytes) -> _T:
    try:
        return decoder.decode(encoded)
    except (ValueError, RecursionError) as error:
        raise RemoteError(Reason.MALFORMED, str(error)[: wire.DETAIL_CHARS]) from None

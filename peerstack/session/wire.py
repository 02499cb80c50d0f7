"""What two devices say to each other, as typed values and bytes (`docs/protocol.md`, "Messages").

A message on the pipe is one byte and its content: 0 and MessagePack, or 1 and the same compressed
by zstd. Bounded before it is unpacked, and before it is parsed. Knows no order of messages.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

import msgspec
import zstandard
from msgspec import Meta, Struct

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.keys import HASH_BYTES, KEY_BYTES, SIGNATURE_BYTES
from peerstack.reconcile.fingerprint import Fingerprint
from peerstack.reconcile.wire import Message as RangesMessage
from peerstack.record import TimeMs, UlidText

VERSION: Final = 1
NONCE_BYTES: Final = 32
TAG_BYTES: Final = 16
AUDIT_BYTES: Final = 8
ZSTD: Final = "zstd"

_PLAIN: Final = b"\0"
_COMPRESSED: Final = b"\1"
_WORTH_COMPRESSING_BYTES: Final = 256
_ZSTD_LEVEL: Final = 1

Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
Tag = Annotated[bytes, Meta(min_length=TAG_BYTES, max_length=TAG_BYTES)]
AuditDigest = Annotated[bytes, Meta(min_length=AUDIT_BYTES, max_length=AUDIT_BYTES)]
HashBytes = Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
Channel = Annotated[int, Meta(ge=0, lt=limits.GROUP_TAGS)]
Number = Annotated[int, Meta(ge=0, le=limits.INTEGER_MAX)]
Label = Annotated[str, Meta(max_length=32)]
DeviceName = Annotated[
    str, Meta(min_length=1, max_length=limits.NAME_CHARS, pattern=r"^[^\x00]+\Z")
]
SetKey = Annotated[bytes, Meta(min_length=1, max_length=limits.RECONCILE_KEY_BYTES)]
Bound = Annotated[bytes, Meta(max_length=limits.RECONCILE_KEY_BYTES)]


class Kind(enum.IntEnum):
    """The sets that every group has."""

    STATEMENTS = 0
    RECORDS = 1
    CONFLICTS = 2
    """Versions that lost to one whose author had not seen them."""


class _Message(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Hello(_Message, tag=1, frozen=True):
    """The first message of both sides: who claims to speak, and what they can speak."""

    versions: Annotated[tuple[Number, ...], Meta(max_length=16)]
    nonce: Nonce
    user: UlidText
    device: UlidText
    key: Key
    protocols: Annotated[tuple[Label, ...], Meta(max_length=32)]
    compression: Annotated[tuple[Label, ...], Meta(max_length=8)]


class Proof(_Message, tag=2, frozen=True):
    """The device key's signature over both hellos and the pipe; and the sender's wall clock."""

    signature: Signature
    wall_ms: TimeMs


class Groups(_Message, tag=3, frozen=True):
    """Blinded names of (further) groups; a group's channel is its place in all that were sent."""

    tags: Annotated[tuple[Tag, ...], Meta(max_length=limits.GROUP_TAGS)]


class Level(_Message, tag=4, frozen=True):
    """The roots of the sender's sets of a group: those that are not as it showed them last.

    The first one says both `statements` and `records`; until `conflicts` are said, there are none.
    `closes`: the sender has what it wanted of the comparison that the reader began. `audit`: a
    sample of what the sum over the records stands for, in case somebody made two sets of one sum.
    """

    channel: Channel
    statements: Fingerprint | None
    records: Fingerprint | None
    closes: bool = False
    audit: AuditDigest | None = None
    conflicts: Fingerprint | None = None


class Unproven(_Message, tag=5, frozen=True):
    """By the sender's statements the reader is no member: show the statements that say so."""

    channel: Channel


class Refused(_Message, tag=6, frozen=True):
    """The sender did not let the reader join, with the reason's name."""

    channel: Channel
    reason: Label


class Ranges(_Message, tag=7, frozen=True):
    """A message of a reconciliation."""

    channel: Channel
    kind: Kind
    message: RangesMessage


class Gap(_Message, frozen=True):
    """A span of keys in which the sender has nothing."""

    lower: Bound
    upper: Bound | None


class Want(_Message, tag=8, frozen=True):
    """Asks for what has these keys, and for all that lies in these gaps but the excluded hashes."""

    channel: Channel
    kind: Kind
    keys: Annotated[tuple[SetKey, ...], Meta(max_length=limits.WANT_KEYS)]
    gaps: Annotated[tuple[Gap, ...], Meta(max_length=limits.WANT_GAPS)] = ()
    excluded: Annotated[tuple[HashBytes, ...], Meta(max_length=limits.WANT_EXCLUDED)] = ()


class Batch(_Message, tag=9, frozen=True):
    """Bodies as their authors made them, and their signatures; asked for, or news."""

    channel: Channel
    kind: Kind
    number: Number
    bodies: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=limits.BATCH_RECORDS)]
    signatures: Annotated[tuple[bytes, ...], Meta(max_length=limits.BATCH_RECORDS)]


class Served(_Message, tag=10, frozen=True):
    """All that the oldest open `Want` of this channel asked for has been sent."""

    channel: Channel


class Ack(_Message, tag=11, frozen=True):
    """The batch of this number is dealt with: stored, or refused."""

    number: Number


class Compared(_Message, tag=12, frozen=True):
    """With the levels shown last, neither side lacks anything that the other shows."""

    channel: Channel


class LinkCommit(_Message, tag=13, frozen=True):
    """A new device of one's own binds itself to a nonce, and says what it is called."""

    commitment: HashBytes
    name: DeviceName


class LinkNonce(_Message, tag=14, frozen=True):
    """The old device answers with a nonce of its own."""

    nonce: Nonce


class LinkReveal(_Message, tag=15, frozen=True):
    """The new device shows the nonce that it was bound to: now both know the digits."""

    nonce: Nonce


class LinkEnded(_Message, tag=16, frozen=True):
    """By this link, the old device links the reader no more."""

    reason: Label


class Enrolled(_Message, tag=17, frozen=True):
    """A new device has its certificate, and wants what else there is for it; or has it all."""

    complete: bool


class Handover(_Message, tag=18, frozen=True):
    """What a new device is given besides, where it is to have the root key."""

    root: Key | None
    """The seed of the root key."""
    kit_key: Key | None
    """What recovery kits are sealed under."""


LinkMessage = LinkCommit | LinkNonce | LinkReveal | LinkEnded | Enrolled | Handover

Message = (
    Hello
    | Proof
    | Groups
    | Level
    | Unproven
    | Refused
    | Ranges
    | Want
    | Batch
    | Served
    | Ack
    | Compared
    | LinkMessage
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The bytes that cross the pipe; over `limits.MESSAGE_BYTES` only for a large `Batch`."""
    content = _encoder.encode(message)
    if len(content) < _WORTH_COMPRESSING_BYTES:
        return _PLAIN + content
    packed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(content)
    return _COMPRESSED + packed if len(packed) < len(content) else _PLAIN + content


def decode_untrusted(data: bytes) -> Message:
    """The message in some bytes of a peer. Raises `RemoteError` and nothing else."""
    if len(data) > limits.MESSAGE_BYTES:
        raise RemoteError(Reason.OVERSIZE, f"message of {len(data)} bytes")
    content = _unpack_untrusted(data)
    try:
        message: Message = _decoder.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RemoteError(Reason.MALFORMED, str(error)) from error
    return message


def _unpack_untrusted(data: bytes) -> bytes:
    if data[:1] == _PLAIN:
        return data[1:]
    if data[:1] != _COMPRESSED:
        raise RemoteError(Reason.MALFORMED, "a message begins with 0 or 1")
    try:
        size_bytes = zstandard.frame_content_size(data[1:])
        if not 0 < size_bytes <= limits.UNPACKED_BYTES:
            raise RemoteError(Reason.OVERSIZE, f"unpacks to {size_bytes} bytes")
        return zstandard.ZstdDecompressor().decompress(
            data[1:], max_output_size=limits.UNPACKED_BYTES, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise RemoteError(Reason.MALFORMED, "not compressed by zstd") from error

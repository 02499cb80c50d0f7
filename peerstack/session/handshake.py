"""Who is at the other end: two hellos and two proofs, bound to the pipe. Knows no groups.

Each side signs both hellos, the pipe's channel binding (for WebRTC, a hash over both DTLS
fingerprints) and which of them dialled. A proof relayed through another pipe, replayed, or
reflected fails, and so does a server in the middle. What a device key may speak for is no matter of
the handshake: statements say that (`docs/protocol.md`, "Handshake").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from peerstack.errors import Reason, RemoteError
from peerstack.ids import DeviceId, GroupId, UserId, as_user
from peerstack.keys import (
    Hash,
    Label,
    PublicKey,
    Secret,
    SignatureCheck,
    Signer,
    derive,
    framed,
    sha256,
)
from peerstack.ports import Entropy, Instant
from peerstack.session.wire import (
    NONCE_BYTES,
    TAG_BYTES,
    VERSION,
    ZSTD,
    Hello,
    Proof,
    decode_untrusted,
    encode,
)

_DIALLED: Final = b"dialled"
_ANSWERED: Final = b"answered"


@dataclass(frozen=True, slots=True)
class Me:
    """Who speaks for this device."""

    user: UserId
    device: DeviceId
    signer: Signer


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What the handshake showed of the other side."""

    user: UserId
    """Claimed: true where statements certify `device` and `key` for this user."""
    device: DeviceId
    key: PublicKey
    """Proven: the other side holds its secret, at the far end of this very pipe."""
    transcript: Hash
    """Known to these two alone, and another for each connection."""
    clock_ahead_ms: int
    """By how much the other side's wall clock is ahead of ours, give or take the way."""


class Handshake:
    """One side of one handshake. Feed it messages until it returns an `Authenticated`."""

    def __init__(self, me: Me, *, dialled: bool, binding: bytes, entropy: Entropy) -> None:
        self._me = me
        self._dialled = dialled
        self._binding = binding
        self._mine = encode(
            Hello(
                versions=(VERSION,),
                nonce=entropy.draw(NONCE_BYTES),
                user=me.user,
                device=me.device,
                key=me.signer.public,
                protocols=(),
                compression=(ZSTD,),
            )
        )
        self._theirs: tuple[Hello, bytes] | None = None

    def open(self) -> bytes:
        """The first message to send, at once, on both sides."""
        return self._mine

    def receive_untrusted(
        self, data: bytes, now: Instant
    ) -> tuple[tuple[bytes, ...], Authenticated | None]:
        """What to answer, and who it is once that is proven. Raises `RemoteError`."""
        message = decode_untrusted(data)
        if isinstance(message, Hello) and self._theirs is None:
            self._check_hello(message)
            self._theirs = (message, data)
            signature = self._me.signer.sign(Label.PROOF, self._payload(data, self._dialled))
            return (encode(Proof(signature, now.wall_ms)),), None
        if isinstance(message, Proof) and self._theirs is not None:
            return (), self._check_proof(message, *self._theirs, now)
        raise RemoteError(Reason.UNEXPECTED, f"{type(message).__name__} during the handshake")

    def _check_hello(self, hello: Hello) -> None:
        if VERSION not in hello.versions or ZSTD not in hello.compression:
            raise RemoteError(
                Reason.VERSION, f"the other side speaks versions {hello.versions}; update both"
            )
        if hello.device == self._me.device:
            raise RemoteError(Reason.BAD_PROOF, "the other side claims to be this device")

    def _check_proof(
        self, proof: Proof, theirs: Hello, their_bytes: bytes, now: Instant
    ) -> Authenticated:
        payload = self._payload(their_bytes, not self._dialled)
        if not SignatureCheck(theirs.key, Label.PROOF, payload, proof.signature).holds():
            raise RemoteError(Reason.BAD_PROOF, "no proof of the device key for this connection")
        return Authenticated(
            as_user(theirs.user),
            DeviceId(theirs.device),
            PublicKey(theirs.key),
            sha256(self._payload(their_bytes, True)),
            proof.wall_ms - now.wall_ms,
        )

    def _payload(self, their_bytes: bytes, by_dialler: bool) -> bytes:
        """What is signed. The hellos go in as they crossed the pipe, the dialler's first."""
        hellos = (self._mine, their_bytes) if self._dialled else (their_bytes, self._mine)
        return framed(_DIALLED if by_dialler else _ANSWERED, *hellos, self._binding)


def group_tag(secret: Secret, transcript: Hash, group: GroupId, sender: DeviceId) -> bytes:
    """A group's name as `sender` says it on this connection: nothing to who has not the secret."""
    return derive(secret, Label.TAG, transcript, group.encode(), sender.encode())[:TAG_BYTES]

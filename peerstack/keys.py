"""Keys, hashes and boxes, from PyNaCl and the standard library. Knows no records and no storage.

Every use of a key has a domain label of its own, so that a signature or a derived key made for one
purpose is worth nothing for another (`docs/protocol.md`, "Labels"). Secrets never show in a `repr`.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NewType

import nacl.bindings
import nacl.exceptions
import nacl.public
import nacl.pwhash.argon2id
import nacl.secret
import nacl.signing

from peerstack.errors import ProfileLocked, Reason, RemoteError
from peerstack.ids import TAIL_BYTES, compose
from peerstack.ports import Entropy

Hash = NewType("Hash", bytes)
PublicKey = NewType("PublicKey", bytes)
Secret = NewType("Secret", bytes)

HASH_BYTES: Final = 32
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
NONCE_BYTES: Final = nacl.secret.SecretBox.NONCE_SIZE

SCHEME_PLAIN: Final = 1
"""One Ed25519 signature over one hash."""

# Fixed for ever: they decide which ids are genuine. One pass over 16 MiB costs about 10 ms, which
# makes up for the 80 bits of a derived id (RFC 9106 names the parameters t and m).
_SLOW_PASSES: Final = 1
_SLOW_MEMORY_BYTES: Final = 16 * 1024 * 1024
_SLOW_TAG_BYTES: Final = 32

# RFC 9106, section 4, second recommended choice: 3 passes over 64 MiB.
_SEAL_PASSES: Final = 3
_SEAL_MEMORY_BYTES: Final = 64 * 1024 * 1024


class Label(enum.Enum):
    """What a signature, a hash or a derived key is for."""

    RECORD = b"peerstack/1 record\0"
    INVITE = b"peerstack/1 invite\0"
    PROOF = b"peerstack/1 proof\0"
    ANNOUNCE = b"peerstack/1 announce\0"
    OFFER = b"peerstack/1 offer\0"
    ANSWER = b"peerstack/1 answer\0"
    USER_ID = b"peerstack/1 user id\0"
    GROUP_ID = b"peerstack/1 group id\0"
    DEVICE_ID = b"peerstack/1 device id\0"
    NEXT_KEY = b"peerstack/1 next key\0"
    ROOT_KEY = b"peerstack/1 root key\0"
    KIT = b"peerstack/1 recovery kit\0"
    BACKUP = b"peerstack/1 backup\0"
    INVITE_KEY = b"peerstack/1 invite key\0"
    INVITE_TOPIC = b"peerstack/1 invite topic\0"
    LINK_TOPIC = b"peerstack/1 link topic\0"
    LINK_COMMIT = b"peerstack/1 link commit\0"
    LINK_DIGITS = b"peerstack/1 link digits\0"
    TOPIC = b"peerstack/1 topic\0"
    PAIR = b"peerstack/1 pair\0"
    TAG = b"peerstack/1 tag\0"
    BOX = b"peerstack/1 box\0"
    FINGERPRINT = b"peerstack/1 fingerprint\0"
    AUDIT = b"peerstack/1 audit\0"


def sha256(*parts: bytes) -> Hash:
    """SHA-256 over the parts, one behind the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return Hash(digest.digest())


def framed(*parts: bytes) -> bytes:
    """The parts, each behind its length as 4 bytes big endian, so that no two lists look alike."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def derive(secret: bytes, label: Label, *context: bytes) -> Secret:
    """32 bytes for one purpose: HMAC-SHA-256 (RFC 2104) of label and framed context."""
    return Secret(hmac.digest(secret, label.value + framed(*context), "sha256"))


class Signer:
    """An Ed25519 key pair that signs under domain labels (RFC 8032)."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = nacl.signing.SigningKey(seed)
        self.public = PublicKey(bytes(self._key.verify_key))

    def sign(self, label: Label, payload: bytes) -> bytes:
        """The 64 bytes of the signature over `label` and `payload`."""
        return self._key.sign(label.value + payload).signature

    def pair_untrusted(self, other: PublicKey, *context: bytes) -> Secret:
        """A secret that only the holders of two key pairs can work out; the same for both.

        X25519 between the two keys, each mapped to Curve25519 (on using one key pair for both:
        https://eprint.iacr.org/2021/509). Raises `RemoteError` where `other` is no usable key.
        """
        try:
            mine = self._key.to_curve25519_private_key()
            theirs = nacl.signing.VerifyKey(other).to_curve25519_public_key()
            shared = nacl.bindings.crypto_scalarmult(bytes(mine), bytes(theirs))
        except (nacl.exceptions.CryptoError, RuntimeError, ValueError, TypeError) as error:
            raise RemoteError(Reason.BAD_PROOF, "no usable key to share a secret with") from error
        return derive(shared, Label.PAIR, *context)

    @property
    def seed(self) -> Secret:
        """The 32 secret bytes, for sealing into the profile's key file."""
        return Secret(bytes(self._key))

    def __repr__(self) -> str:
        return f"Signer(public={self.public.hex()[:8]}…)"


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """One signature to be checked; the costly half of trusting a record."""

    public: bytes
    label: Label
    payload: bytes
    signature: bytes

    def holds(self) -> bool:
        """Whether the key signed the payload under the label."""
        # libsodium takes both by length alone: a longer signature would run on into the label.
        if len(self.public) != KEY_BYTES or len(self.signature) != SIGNATURE_BYTES:
            return False
        try:
            nacl.bindings.crypto_sign_open(
                self.signature + self.label.value + self.payload, self.public
            )
        except (nacl.exceptions.BadSignatureError, ValueError, TypeError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class DerivedIdCheck:
    """One derived id to be recomputed (about 10 ms of Argon2id)."""

    label: Label
    fields: bytes
    time_ms: int
    claimed: str

    def holds(self) -> bool:
        """Whether the claimed id is the one that these fields give."""
        return derive_id(self.label, self.fields, self.time_ms) == self.claimed


Check = SignatureCheck | DerivedIdCheck


# Devices of one process check the ids that another one made, above all in a simulated world.
@lru_cache(maxsize=1024)
def derive_id(label: Label, fields: bytes, time_ms: int) -> str:
    """The ULID of a user, a device or a group: its time, and 80 bits that bind it to its fields.

    They are the first of `slow_hash`, salted with the time (8 bytes, big endian). Nothing in it is
    secret, and the latest ones are remembered.
    """
    tag = slow_hash(label, fields, time_ms.to_bytes(8, "big"))
    return compose(time_ms, tag[:TAIL_BYTES])


def slow_hash(label: Label, fields: bytes, salt: bytes) -> bytes:
    """32 bytes that cost about 10 ms to try: for what people or ids show only a part of.

    Argon2id over label and fields: version 1.3 (RFC 9106), 1 pass, 16 MiB, 1 lane, a tag of 32
    bytes; its salt is the first 16 bytes of SHA-256 over label and `salt`.
    """
    return nacl.pwhash.argon2id.kdf(
        _SLOW_TAG_BYTES,
        label.value + fields,
        sha256(label.value, salt)[: nacl.pwhash.argon2id.SALTBYTES],
        opslimit=_SLOW_PASSES,
        memlimit=_SLOW_MEMORY_BYTES,
    )


def seal(key: Secret, message: bytes, entropy: Entropy) -> bytes:
    """`message` in a box that only holders of `key` can open: nonce, then XSalsa20-Poly1305."""
    return bytes(nacl.secret.SecretBox(key).encrypt(message, entropy.draw(NONCE_BYTES)))


def open_untrusted(key: Secret, box: bytes) -> bytes:
    """What is in a box made by `seal`. Raises `RemoteError` where the key does not open it."""
    try:
        return nacl.secret.SecretBox(key).decrypt(box)
    except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise RemoteError(Reason.BAD_PROOF, "box does not open") from error


class BoxKey:
    """A fresh X25519 key pair, to which others can seal a message (RFC 7748)."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = nacl.public.PrivateKey(seed)
        self.public = PublicKey(bytes(self._key.public_key))

    def open_untrusted(self, sealed: bytes) -> bytes:
        """What `seal_to` put in. Raises `RemoteError` where it was not made for this key."""
        try:
            sender = nacl.public.PublicKey(sealed[:KEY_BYTES])
            return nacl.public.Box(self._key, sender).decrypt(sealed[KEY_BYTES:])
        except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
            raise RemoteError(Reason.BAD_PROOF, "sealed message does not open") from error

    def __repr__(self) -> str:
        return f"BoxKey(public={self.public.hex()[:8]}…)"


def seal_to(public: PublicKey, message: bytes, entropy: Entropy) -> bytes:
    """`message`, sealed to a `BoxKey`: a fresh public key, a nonce, and NaCl's box.

    The sender's key is drawn for this one message, so nothing in the box says who made it. Raises
    `RemoteError` where `public`, which came from a peer, is no usable key.
    """
    sender = nacl.public.PrivateKey(entropy.draw(KEY_BYTES))
    try:
        box = nacl.public.Box(sender, nacl.public.PublicKey(public))
        sealed = bytes(box.encrypt(message, entropy.draw(NONCE_BYTES)))
    except (nacl.exceptions.CryptoError, ValueError, TypeError) as error:
        raise RemoteError(Reason.BAD_PROOF, "no usable key to seal to") from error
    return bytes(sender.public_key) + sealed


def seal_with_passphrase(passphrase: str, message: bytes, entropy: Entropy) -> bytes:
    """`message` under a passphrase: 16 bytes of salt, then a box under Argon2id's key."""
    salt = entropy.draw(nacl.pwhash.argon2id.SALTBYTES)
    return salt + seal(passphrase_key(passphrase, salt), message, entropy)


def open_with_passphrase(passphrase: str, sealed: bytes) -> bytes:
    """What `seal_with_passphrase` sealed. Raises `ProfileLocked` for another passphrase."""
    salt = sealed[: nacl.pwhash.argon2id.SALTBYTES]
    try:
        return open_untrusted(passphrase_key(passphrase, salt), sealed[len(salt) :])
    except (RemoteError, ValueError) as error:
        raise ProfileLocked(
            "the passphrase does not open this profile's keys; give the one it was made with"
        ) from error


def passphrase_key(passphrase: str, salt: bytes) -> Secret:
    """The key that a passphrase stands for, with 16 bytes of salt: 3 passes over 64 MiB."""
    return Secret(
        nacl.pwhash.argon2id.kdf(
            nacl.secret.SecretBox.KEY_SIZE,
            passphrase.encode(),
            salt,
            opslimit=_SEAL_PASSES,
            memlimit=_SEAL_MEMORY_BYTES,
        )
    )

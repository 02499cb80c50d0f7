"""Files of any length that only a password opens, and that nobody cuts or changes unnoticed.

libsodium's secretstream (XChaCha20-Poly1305), under a key from Argon2id; `docs/protocol.md`,
"Backups". Knows not what is in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

import nacl.exceptions
from nacl import bindings

from peerstack.errors import InvalidBackup
from peerstack.keys import Label, Secret, derive, passphrase_key
from peerstack.ports import Entropy

CHUNK_BYTES: Final = 64 * 1024
"""Of what is sealed; each takes a few more in the file."""

_MAGIC: Final = b"peerstack backup"
_VERSION: Final = 1
_SALT_BYTES: Final = 16
_HEAD_BYTES: Final = len(_MAGIC) + 1 + _SALT_BYTES
_STREAM_BYTES: Final = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_MORE_BYTES: Final = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_MESSAGE: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL: Final = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL


def seal(file: BinaryIO, password: str, content: Iterable[bytes], entropy: Entropy) -> None:
    """Write `content`, in pieces of any length, to a file. Raises `OSError`."""
    head = _MAGIC + bytes([_VERSION]) + entropy.draw(_SALT_BYTES)
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    key = _key(password, head)
    file.write(head + bindings.crypto_secretstream_xchacha20poly1305_init_push(state, key))

    def push(chunk: bytes, tag: int) -> None:
        # What is not secret is bound to each chunk, so that nobody can put it before another.
        push_one = bindings.crypto_secretstream_xchacha20poly1305_push
        file.write(push_one(state, chunk, ad=head, tag=tag))

    # An empty one first: whoever cannot open that has another password.
    push(b"", _MESSAGE)
    waiting = bytearray()
    for piece in content:
        waiting += piece
        while len(waiting) > CHUNK_BYTES:
            push(bytes(waiting[:CHUNK_BYTES]), _MESSAGE)
            del waiting[:CHUNK_BYTES]
    push(bytes(waiting), _FINAL)


def is_sealed(data: bytes) -> bool:
    """Whether a file that begins like this is one of these, by its outside."""
    return data.startswith(_MAGIC)


def open_untrusted(file: BinaryIO, password: str) -> Iterator[bytes]:
    """What was sealed, in chunks of at most `CHUNK_BYTES`, each as it was written.

    Whatever is wrong with the file, or behind a chunk, is an `InvalidBackup`, maybe only once all
    before it was given: it is whole when the iterator ends. Raises `OSError`.
    """
    head = file.read(_HEAD_BYTES)
    if not is_sealed(head):
        raise InvalidBackup("this file is no backup of peerstack")
    stream = file.read(_STREAM_BYTES)
    if len(head) < _HEAD_BYTES or len(stream) < _STREAM_BYTES:
        raise _cut_short()
    if head[len(_MAGIC)] != _VERSION:
        raise InvalidBackup(
            f"this backup is of version {head[len(_MAGIC)]}; it needs a newer peerstack"
        )
    yield from chunks_untrusted(file, _key(password, head), head, stream)


def chunks_untrusted(file: BinaryIO, key: Secret, head: bytes, stream: bytes) -> Iterator[bytes]:
    """What follows the head of a file and that of its stream. Raises as `open_untrusted`."""
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, stream, key)

    def pull(size: int, why: str) -> tuple[bytes, int]:
        sealed = file.read(size + _MORE_BYTES)
        if len(sealed) < _MORE_BYTES:
            raise _cut_short()
        try:
            return bindings.crypto_secretstream_xchacha20poly1305_pull(state, sealed, ad=head)
        except (nacl.exceptions.CryptoError, ValueError, RuntimeError) as error:
            raise InvalidBackup(why) from error

    pull(0, "the password is another one, or the beginning of this backup is damaged")
    tag = _MESSAGE
    while tag != _FINAL:
        chunk, tag = pull(CHUNK_BYTES, "this backup is damaged, or cut short")
        yield chunk
    if file.read(1):
        raise InvalidBackup("this backup is damaged: something stands behind its end")


def _cut_short() -> InvalidBackup:
    return InvalidBackup("this backup is cut short")


def _key(password: str, head: bytes) -> Secret:
    return derive(passphrase_key(password, head[-_SALT_BYTES:]), Label.BACKUP)

"""Looks for a secret in files, in every spelling in which it could lie there by mistake."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from peerstack.identity.phrase import words_of
from peerstack.keys import Secret

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")


def found_in(folder: Path, secret: bytes) -> list[str]:
    """The names of the files below a folder in which a secret of 32 bytes lies."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [str(path.relative_to(folder)) for path in files if holds(path.read_bytes(), secret)]


def holds(data: bytes, secret: bytes) -> bool:
    """Whether a secret lies in some bytes: as it is, as text, or in base64 in base64."""
    texts = spellings(secret)
    for layer in _layers(data):
        small = layer.lower()
        if secret in layer or any(text in small for text in texts):
            return True
    return False


def spellings(secret: bytes) -> list[bytes]:
    """A secret as text, in small letters."""
    words = words_of(Secret(secret))
    joined: Iterable[str] = (between.join(words[:12]) for between in (" ", "\n", '","', '", "'))
    encoded = (base64.b64encode(secret), base64.urlsafe_b64encode(secret))
    return [
        secret.hex().encode(),
        *(each.encode() for each in joined),
        *(each.rstrip(b"=")[:-1].lower() for each in encoded),
    ]


def _layers(data: bytes) -> Iterator[bytes]:
    """The bytes, and what is encoded in them, and in that."""
    yield data
    for found in _BASE64.findall(data):
        text = found.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        try:
            yield from _layers(base64.b64decode(text + b"=" * (-len(text) % 4)))
        except binascii.Error:
            continue

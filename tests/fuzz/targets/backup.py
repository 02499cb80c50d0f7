"""A backup: a file, what follows its head by somebody who has the key, or content by them."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Final

from peerstack.errors import InvalidBackup
from peerstack.keys import Secret
from peerstack.node.backup import Content
from peerstack.node.sealed_file import CHUNK_BYTES, chunks_untrusted, open_untrusted
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

PASSWORD: Final = "password"
HEAD: Final = b"peerstack backup\1" + bytes(16)
KEY: Final = Secret(bytes(range(32)))
STREAM: Final = bytes(24)
"""The head of the stream in inputs that are what follows it."""

FILE, CHUNKS, CONTENT = range(3)


def run(data: bytes) -> None:
    """The first byte says what the rest is."""
    reader = Reader(data)
    what = reader.pick((FILE, CHUNKS, CONTENT))
    rest = reader.rest()
    try:
        if what == CONTENT:
            _restore(rest)
            return
        file = io.BytesIO(rest)
        opened = (
            open_untrusted(file, PASSWORD)
            if what == FILE
            else chunks_untrusted(file, KEY, HEAD, STREAM)
        )
        assert all(len(chunk) <= CHUNK_BYTES for chunk in opened)
    except InvalidBackup:
        pass


def _restore(content: bytes) -> None:
    pieces = (content[start : start + 100] for start in range(0, len(content), 100))
    with tempfile.TemporaryDirectory() as folder:
        user = Content(pieces, None).write_database_untrusted(Path(folder, "ana.db"))
        written = Path(folder, "ana.db").read_bytes()
    assert user.id
    assert content.endswith(written)


TARGET = Target(
    "backup",
    run,
    (
        "peerstack.node.sealed_file.open_untrusted",
        "peerstack.node.sealed_file.chunks_untrusted",
        "peerstack.node.backup.Content.write_database_untrusted",
        "peerstack.node.backup.Content._first_untrusted",
    ),
)

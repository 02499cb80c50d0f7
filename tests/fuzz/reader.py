"""Choices and values from a fuzzer's bytes: the same bytes give the same ones, on every machine.

Where the bytes end, everything is zero or empty, so that every input means something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_LENGTH_BYTES: Final = 2
"""In front of every chunk, big endian."""


class Reader:
    """Reads an input from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size_bytes: int) -> bytes:
        """The next bytes; fewer where the input ends."""
        taken = self._data[self._at : self._at + size_bytes]
        self._at += len(taken)
        return taken

    def exactly(self, size_bytes: int) -> bytes:
        """The next bytes, filled up with zeros where the input ends."""
        return self.take(size_bytes).ljust(size_bytes, b"\0")

    def number(self, size_bytes: int = 1) -> int:
        """The next bytes as a number, big endian."""
        return int.from_bytes(self.take(size_bytes), "big")

    def flag(self) -> bool:
        """Yes or no, from one byte."""
        return self.number() % 2 == 1

    def pick(self, choices: Sequence[T]) -> T:
        """One of up to 256 choices, from one byte."""
        return choices[self.number() % len(choices)]

    def chunk(self) -> bytes:
        """Some bytes that say before them how many they are."""
        return self.take(self.number(_LENGTH_BYTES))

    def text(self) -> str:
        """A chunk as text that can be encoded again."""
        return self.chunk().decode("utf-8", "replace")

    def chunks(self) -> Iterator[bytes]:
        """All that is left, as chunks."""
        while self:
            yield self.chunk()

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))


def chunk(data: bytes) -> bytes:
    """What `Reader.chunk` reads these bytes from."""
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data

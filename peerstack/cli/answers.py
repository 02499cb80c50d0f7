"""Answers typed on standard input while an event loop runs. Can be interrupted, unlike a prompt."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from typing import Final

_CHUNK_BYTES: Final = 4096


class Answers:
    """The lines of standard input."""

    def __init__(self) -> None:
        self._typed = b""

    async def line(self) -> str:
        """The next line; empty at the end of the input."""
        while b"\n" not in self._typed:
            chunk = await self._chunk()
            if not chunk:
                break
            self._typed += chunk
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace")

    def drop(self) -> None:
        """Forget what was typed so far."""
        self._typed = b""
        number = sys.stdin.fileno()
        while os.isatty(number) and select.select([number], [], [], 0)[0]:
            if not os.read(number, _CHUNK_BYTES):
                return

    async def _chunk(self) -> bytes:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        number = sys.stdin.fileno()
        try:
            loop.add_reader(number, ready.set)
        except PermissionError:
            # A file, or nothing at all: there is no waiting for it.
            return os.read(number, _CHUNK_BYTES)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(number)
        return os.read(number, _CHUNK_BYTES)

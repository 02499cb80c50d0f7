"""One connection to Redis on which many commands are under way at once.

The library's own client has a connection wait for each answer before the next command, and a
subscriber that reconnects by itself without a word. Here commands that come together leave
together, answers are matched by their order, and the end of the connection is told. It must not
know what the channels mean.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_S: Final = 2.0
SILENCE_S: Final = 5.0
"""Redis is away when nothing came for as long, though it is asked something every `PING_S`."""
PING_S: Final = 2.0

Answer = asyncio.Future[int | None]
"""A number where Redis answers with one. None for other answers, and where none came."""

Heard = Callable[[bytes, bytes], Awaitable[None]]
"""Takes the channel and the content of what was published."""


@dataclass(slots=True)
class _Question:
    words: tuple[bytes, ...]
    answers: int
    """How many answers are still to come: a SUBSCRIBE gets one for each channel."""
    future: Answer


class Line:
    """One connection, for as long as it lasts; `run` it. It is not made again."""

    def __init__(self, url: str, heard: Heard) -> None:
        """Raises `ValueError` if the library cannot read the URL."""
        pool = ConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=SILENCE_S,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self.waiting_bytes = 0
        """Of commands that Redis did not take yet."""
        untyped: Any = pool
        self._connection: Any = untyped.make_connection()
        self._heard = heard
        self._unsent: list[_Question] = []
        self._unanswered: deque[_Question] = deque()
        self._asked = asyncio.Event()
        self._over = False

    async def open(self) -> None:
        """Connect. Raises `RedisError` or `OSError` where that fails."""
        await self._connection.connect()

    async def run(self) -> None:
        """Ask and listen until the connection ends, which raises: `RedisError`, `OSError`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write())
            tasks.create_task(self._read())
            tasks.create_task(self._ping())

    async def close(self) -> None:
        """Hang up; what was asked and not answered gets None."""
        self._over = True
        for question in (*self._unanswered, *self._unsent):
            _settle(question, None)
        self._unsent.clear()
        self._unanswered.clear()
        await self._connection.disconnect(nowait=True)

    def ask(self, *words: bytes, answers: int = 1) -> Answer:
        """Send a command, behind those that were asked before. Raises nothing, ever."""
        question = _Question(words, answers, asyncio.get_running_loop().create_future())
        if self._over:
            _settle(question, None)
            return question.future
        self._unsent.append(question)
        self.waiting_bytes += _size(question)
        self._asked.set()
        return question.future

    async def _write(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            questions, self._unsent = self._unsent, []
            # Before the writing, which may be interrupted by answers.
            self._unanswered.extend(questions)
            packed = self._connection.pack_commands([each.words for each in questions])
            await self._connection.send_packed_command(packed, check_health=False)
            self.waiting_bytes -= sum(_size(each) for each in questions)

    async def _read(self) -> None:
        while True:
            match await self._connection.read_response(disable_decoding=True):
                case [b"message", bytes(channel), bytes(content)]:
                    await self._heard(channel, content)
                case [_, _, int(number)] | int(number):
                    self._answered(number)
                case _:
                    self._answered(None)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            self.ask(b"PING")

    def _answered(self, number: int | None) -> None:
        question = self._unanswered[0]
        question.answers -= 1
        if not question.answers:
            self._unanswered.popleft()
            _settle(question, number)


def _settle(question: _Question, number: int | None) -> None:
    if not question.future.done():
        question.future.set_result(number)


def _size(question: _Question) -> int:
    return sum(map(len, question.words))

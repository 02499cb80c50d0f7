"""Runs the engine: one thread for it and the writing connection, and threads that verify.

Thin on purpose. Work is handed to the engine's thread in order; effects come back to the event loop
in order, after their commit, even where the task that asked was cancelled meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from peerstack.engine import Engine, Turn, profile
from peerstack.engine.effects import Effect, StatusChanged, Verify
from peerstack.engine.events import Event, StoreChanged, Verified, Woke
from peerstack.engine.status import Connection, connections
from peerstack.errors import LocalError, NodeClosed, StoreDamaged, StoreError
from peerstack.keys import Check
from peerstack.node.ports import SystemClock
from peerstack.ports import Instant
from peerstack.store import Store

T = TypeVar("T")

_VERIFIERS: Final = 2
_LOOK_S: Final = 0.2
"""How often to see whether another process has written."""

_FAILED_FOR_MS: Final = 15_000
"""How long a failure is told of at least: longer than the engine waits before it tries again, since
on a full disk small writes go well meanwhile, and reads always do."""

_SWITCH_S: Final = 0.0005
"""How long a thread may keep the interpreter while another waits for it. libsodium and OpenSSL let
go of it in every call, and at Python's 5 ms each such call could cost its thread 5 ms."""

_log = logging.getLogger("peerstack")


class Shell:
    """The asyncio side of one engine. To be made inside a running loop."""

    def __init__(self, engine: Engine, store: Store, on_effect: Callable[[Effect], None]) -> None:
        """`on_effect` is called on the event loop with each effect but `Verify`."""
        self.loop = asyncio.get_running_loop()
        self.failure: StoreError | None = None
        """Why the database failed, while that lasts."""
        self._failed_ms = 0
        self.connections: tuple[Connection, ...] = ()
        """The connections to other devices, as the latest turn left them."""
        self._engine = engine
        self._store = store
        self._on_effect = on_effect
        self._clock = SystemClock()
        self._thread = ThreadPoolExecutor(1, "peerstack-engine")
        self._verifiers = ThreadPoolExecutor(_VERIFIERS, "peerstack-verify")
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._seen_version = store.data_version()
        self._may_mend = True
        self._closed = False

    def start(self) -> None:
        """Begin to notice what other processes write, and to release what is held."""
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_S))
        self._look = self.loop.call_later(_LOOK_S, self._look_around)
        self._thread.submit(self._start_engine)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def now(self) -> Instant:
        """The present instant."""
        return self._clock.now()

    async def perform(self, action: Callable[[Turn], T]) -> T:
        """Do something on the engine's thread, in a transaction of its own."""
        self.check_usable()
        answer: asyncio.Future[T] = self.loop.create_future()
        self._thread.submit(self._perform, action, answer)
        return await answer

    def wait_for(self, work: Callable[[], T]) -> T:
        """Do something short on the engine's thread, and block until it is done."""
        return self._thread.submit(work).result()

    def hand_in(self, work: Callable[[], None]) -> None:
        """Have something short done on the engine's thread; what it raises is lost."""
        if not self._closed:
            self._thread.submit(work)

    def mend(self) -> None:
        """Take what is broken in the database out of use, behind all that was handed in before."""
        self.hand_in(self._mend)

    def post(self, event: Event) -> None:
        """Hand an event to the engine, behind all that was handed to it before."""
        if not self._closed:
            self._thread.submit(self._handle, event)

    def check_usable(self) -> None:
        """Raise `NodeClosed` after closing, or from another event loop."""
        if self._closed:
            raise NodeClosed("this node is closed; open it again")
        if asyncio.get_running_loop() is not self.loop:
            raise NodeClosed(
                "this node belongs to another event loop; use it from the one that opened it, "
                "or open_sync for use from any thread"
            )

    async def close(self) -> None:
        """Finish what was handed in; nothing is accepted after."""
        self._closed = True
        for timer in (self._timer, self._look):
            if timer is not None:
                timer.cancel()
        await self.loop.run_in_executor(None, self._shut_down)

    def _shut_down(self) -> None:
        self._verifiers.shutdown(cancel_futures=True)
        self._thread.shutdown()

    # --- On the engine's thread. ----------------------------------------------------------------

    def _perform(self, action: Callable[[Turn], T], answer: asyncio.Future[T]) -> None:
        try:
            result, effects = self._engine.perform(action, self._clock.now())
        except Exception as error:
            if isinstance(error, StoreError):
                self._failed(error)
            if not isinstance(error, LocalError):
                # What peers were about to be told is not stored.
                self._release(self._engine.abandon_peers(self._clock.now()))
            if isinstance(error, StoreDamaged):
                self._mend()
            self.loop.call_soon_threadsafe(_fail, answer, error)
            return
        self._went_well()
        self._release(effects)
        self.loop.call_soon_threadsafe(_answer, answer, result)

    def _handle(self, event: Event) -> None:
        self._guard(lambda: self._engine.handle(event, self._clock.now()))

    def _guard(self, work: Callable[[], list[Effect]]) -> None:
        """Do something that nobody waits for; where it fails, say so in the status and hang up."""
        try:
            effects = work()
            self._went_well()
        except StoreError as error:
            self._failed(error)
            effects = self._engine.abandon_peers(self._clock.now())
            if isinstance(error, StoreDamaged):
                self._mend()
        except Exception:
            _log.exception("an event could not be handled; hanging up on all peers")
            effects = self._engine.abandon_peers(self._clock.now())
        self._release(effects)

    def _failed(self, error: StoreError) -> None:
        self.failure, self._failed_ms = error, self._clock.now().mono_ms

    def _went_well(self) -> None:
        if self._clock.now().mono_ms - self._failed_ms >= _FAILED_FOR_MS:
            self.failure = None

    def _mend(self) -> None:
        """Take what is broken out of use, so that it comes back from others.

        Looks at all that is stored, so not again where that was of no help.
        """
        if not self._may_mend:
            return
        try:
            found, effects = self._engine.perform(profile.mend, self._clock.now())
        except StoreError as error:
            self._may_mend = False
            self._failed(error)
        else:
            self._may_mend = bool(found)
            self.failure = None
            self._release(effects)

    def _start_engine(self) -> None:
        self._guard(lambda: self._engine.start(self._clock.now()))

    def _release(self, effects: Sequence[Effect]) -> None:
        wake_ms = self._engine.next_wake_ms(self._clock.now())
        if any(isinstance(effect, StatusChanged) for effect in effects):
            self.connections = connections(self._engine.peers)
        self.loop.call_soon_threadsafe(self._carry_out, effects, wake_ms)

    # --- On the event loop. ---------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[Effect], wake_ms: int | None) -> None:
        if self._closed:
            return
        for effect in effects:
            if isinstance(effect, Verify):
                self._verifiers.submit(self._verify, effect)
            else:
                self._on_effect(effect)
        if self._timer is not None:
            self._timer.cancel()
        if wake_ms is not None:
            delay_s = max(0, wake_ms - self._clock.now().mono_ms) / 1000
            self._timer = self.loop.call_later(delay_s, self.post, Woke())

    def _verify(self, effect: Verify) -> None:
        holds = tuple(map(_holds, effect.checks))
        self.post(Verified(effect.ticket, holds))

    def _look_around(self) -> None:
        if not self._closed:
            self._thread.submit(self._compare_version)
            self._look = self.loop.call_later(_LOOK_S, self._look_around)

    def _compare_version(self) -> None:
        version = self._store.data_version()
        if version != self._seen_version:
            self._seen_version = version
            self._handle(StoreChanged())


def _answer(answer: asyncio.Future[T], result: T) -> None:
    # Whoever asked may have been cancelled meanwhile; it is done all the same.
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _holds(check: Check) -> bool:
    return check.holds()

"""What is to be done in time: records released and judged, history let go, secrets renewed, and the
words of what is gone taken out of the search index.

Each goes in slices that take no more than a turn may; how far one has come stands in the store.
"""

from __future__ import annotations

from typing import Final

from peerstack import limits
from peerstack.engine import ending, judging, records
from peerstack.engine.records import RecordsArrival
from peerstack.engine.turn import Turn
from peerstack.ports import Instant, below

_SWEEP_MS: Final = 60 * 60 * 1000
_SWEEP_ROWS: Final = 500


class Upkeep:
    """When each of these is due next. In memory alone: `take_up` reads it from the store."""

    def __init__(self) -> None:
        self._due_ms: int | None = None
        """When (by the wall clock) the first held record is to be released."""
        self._more_is_due = False
        self._judge_at_ms: int | None = None
        self._sweep_at_ms: int | None = None

    def take_up(self, turn: Turn) -> None:
        """Go on with what another process, or this one before it ended, has left to be done."""
        self._due_ms = turn.tx.next_due_ms()
        if turn.tx.next_judging() is not None:
            self._judge_at_ms = turn.now.mono_ms

    def sweep_at(self, mono_ms: int) -> None:
        """Look for what history has kept for long enough, at a monotonic time."""
        self._sweep_at_ms = mono_ms

    def pause(self, until_ms: int) -> None:
        """Do nothing until a monotonic time, when `take_up` says what is to be done."""
        self._due_ms = self._judge_at_ms = None
        self._more_is_due = False
        self._sweep_at_ms = until_ms

    def follow(self, turn: Turn) -> None:
        """What a turn's changes leave to be done."""
        if judging.queue_changed(turn):
            self._judge_at_ms = turn.now.mono_ms
        if turn.held_anything:
            self._due_ms = turn.tx.next_due_ms()

    def wake(self, turn: Turn) -> RecordsArrival | None:
        """Do the next slice of whatever is due; the records that are to be checked for it."""
        self._release(turn)
        self._sweep(turn)
        return self._judge(turn)

    def next_wake_ms(self, now: Instant) -> int | None:
        """When (monotonic) `wake` is due; None for never."""
        due_ms = None if self._due_ms is None else now.mono_ms + max(0, self._due_ms - now.wall_ms)
        more_ms = now.mono_ms if self._more_is_due else None
        times = (due_ms, more_ms, self._judge_at_ms, self._sweep_at_ms)
        return min((time for time in times if time is not None), default=None)

    def _release(self, turn: Turn) -> None:
        self._more_is_due = False
        if self._due_ms is not None and self._due_ms <= turn.now.wall_ms:
            self._more_is_due = records.release_due(turn, limits.SLICE_RECORDS)
            self._due_ms = turn.tx.next_due_ms()

    def _judge(self, turn: Turn) -> RecordsArrival | None:
        if self._judge_at_ms is None or self._judge_at_ms > turn.now.mono_ms:
            return None
        released, more = judging.judge_slice(turn)
        self._judge_at_ms = turn.now.mono_ms if more else None
        return released

    def _sweep(self, turn: Turn) -> None:
        if self._sweep_at_ms is None or self._sweep_at_ms <= turn.now.mono_ms:
            ending.renew_overdue_secrets(turn)
            swept = turn.tx.sweep_history(turn.now.wall_ms, _SWEEP_ROWS)
            for group in swept.groups:
                turn.records_changed(group)
            pending = turn.tx.sweep_pending(turn.now.wall_ms, _SWEEP_ROWS)
            held = turn.tx.sweep_held(turn.now.wall_ms, _SWEEP_ROWS)
            untidy = turn.tx.tidy_search(turn.now.wall_ms)
            more = untidy or _SWEEP_ROWS in (swept.eldest, pending, held)
            # Not on many devices at once: what one of them renews, the others need not.
            rest_ms = _SWEEP_MS // 2 + below(_SWEEP_MS // 2, turn.me.entropy)
            self._sweep_at_ms = turn.now.mono_ms + (0 if more else rest_ms)

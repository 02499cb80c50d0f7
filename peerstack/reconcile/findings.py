"""What a run finds out, call by call. Knows nothing of how it is found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from peerstack.reconcile.fingerprint import Item
from peerstack.reconcile.span import Span
from peerstack.reconcile.wire import Message


@dataclass(frozen=True, slots=True)
class Gap:
    """A span in which one side holds nothing and the other `count` items, when it was compared."""

    span: Span
    count: int


class Step(NamedTuple):
    """What one call brought: messages for the peer, in order, and differences found.

    A difference can be reported again after a turn that ran out of room, and where a set changed;
    acting on it twice must do no harm.
    """

    messages: tuple[Message, ...]
    missing: tuple[Item, ...]
    """Items that the peer has shown, which we lack or hold differently; not asked for so far."""
    surplus: tuple[Item, ...]
    """Items that we hold and the peer lacks or holds differently."""
    requested: tuple[Item, ...]
    """Those of `surplus` that the peer has asked for: to be sent to it."""
    was_asked: bool
    """Whether the peer has asked for items, by name or by an eager leaf, even if none is here."""
    has_asked: bool
    """Whether we have asked for items; in a run, exactly if the peer's run says `was_asked`."""
    asked: int
    """How many items we have asked for by name; how many an eager leaf will bring, nobody knows.

    Names that are asked for again after a turn that ran out of room count again.
    """
    missing_gaps: tuple[Gap, ...]
    """Where we hold nothing; the count is the peer's word."""
    surplus_gaps: tuple[Gap, ...]
    """Where the peer says that it holds nothing, so that it lacks whatever we hold."""
    done: bool
    complete: bool
    """False if the run was broken off at its bound: the side that sees this starts another."""


@dataclass
class Findings:
    """Differences found since the last step. Neighbouring gaps become one."""

    missing: list[Item] = field(default_factory=list)
    surplus: list[Item] = field(default_factory=list)
    requested: list[Item] = field(default_factory=list)
    was_asked: bool = False
    has_asked: bool = False
    asked: int = 0
    missing_gaps: list[Gap] = field(default_factory=list)
    surplus_gaps: list[Gap] = field(default_factory=list)

    def step(
        self, messages: tuple[Message, ...], *, done: bool = False, complete: bool = True
    ) -> Step:
        """All of it, with `messages`, as the result of a call."""
        return Step(
            messages,
            tuple(self.missing),
            tuple(self.surplus),
            tuple(self.requested),
            self.was_asked,
            self.has_asked,
            self.asked,
            tuple(self.missing_gaps),
            tuple(self.surplus_gaps),
            done,
            complete,
        )

    def we_lack(self, span: Span, count: int) -> None:
        """Note that we hold nothing in `span`, and the peer `count` items."""
        _extend(self.missing_gaps, span, count)

    def peer_lacks(self, span: Span, count: int) -> None:
        """Note that the peer holds nothing in `span`, and we `count` items."""
        _extend(self.surplus_gaps, span, count)


def _extend(gaps: list[Gap], span: Span, count: int) -> None:
    if gaps and gaps[-1].span.upper == span.lower:
        before = gaps.pop()
        span, count = Span(before.span.lower, span.upper), before.count + count
    gaps.append(Gap(span, count))

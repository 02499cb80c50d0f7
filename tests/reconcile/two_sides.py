"""Two reconcilers joined by their real wire bytes, and what both found out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from peerstack import limits
from peerstack.reconcile import (
    EVERYTHING,
    Gap,
    Item,
    Message,
    OrderedSet,
    Reconciler,
    Step,
)

SALT = b"both nonces of this session"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


@dataclass
class Side:
    ordered: OrderedSet
    known: Iterable[bytes] = ()
    eager: bool = True
    reconciler: Reconciler = field(init=False)
    steps: list[Step] = field(default_factory=list)
    level_after: int = 0
    """Flights until the last item that is missing here has arrived; flight 1 brought the root."""
    ended_after: int = 0
    """Flights until this side was done, and could send what the peer had asked for."""

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.ordered, SALT, self.known, eager=self.eager)

    def note(self, step: Step, flights: int) -> list[bytes]:
        """Keep what the message brought that came with flight `flights`; encode the answer."""
        self.steps.append(step)
        if step.missing or step.missing_gaps:
            self.level_after = flights + 2
        if step.done:
            self.ended_after = flights
        return [_encode(message) for message in step.messages]

    @property
    def missing(self) -> list[Item]:
        return [item for step in self.steps for item in step.missing]

    @property
    def surplus(self) -> list[Item]:
        return [item for step in self.steps for item in step.surplus]

    @property
    def missing_gaps(self) -> list[Gap]:
        return [gap for step in self.steps for gap in step.missing_gaps]

    @property
    def surplus_gaps(self) -> list[Gap]:
        return [gap for step in self.steps for gap in step.surplus_gaps]

    @property
    def requested(self) -> list[Item]:
        return [item for step in self.steps for item in step.requested]

    @property
    def asked(self) -> int:
        return sum(step.asked for step in self.steps)

    @property
    def has_asked(self) -> bool:
        return any(step.has_asked for step in self.steps)

    @property
    def was_asked(self) -> bool:
        return any(step.was_asked for step in self.steps)

    def all_missing(self, peer: Side, peer_items: Iterable[Item]) -> list[Item]:
        """What was shown, what the peer was asked for unseen, and what lies in gaps."""
        return self.missing + peer.requested + _within(self.missing_gaps, peer_items)

    def all_surplus(self, own_items: Iterable[Item]) -> list[Item]:
        return self.surplus + _within(self.surplus_gaps, own_items)


@dataclass
class Run:
    """`starter` was shown the root of `shower`."""

    starter: Side
    shower: Side
    turns: int = 0
    sizes_bytes: list[int] = field(default_factory=list)

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes_bytes)

    @property
    def flights(self) -> int:
        """Messages one way and then the other, from the root to the last item; two a round trip."""
        ends = [side.level_after for side in (self.starter, self.shower)]
        ends += [side.ended_after + 1 for side in (self.starter, self.shower) if side.requested]
        return max(ends)


def reconcile(
    starter: OrderedSet,
    shower: OrderedSet,
    turns_max: int = 10_000,
    *,
    starter_knows: Iterable[bytes] = (),
    shower_knows: Iterable[bytes] = (),
    starter_eager: bool = True,
    shower_eager: bool = True,
    again: bool = False,
) -> Run:
    """Have two sides compare; `again`: as those who did so before."""
    run = Run(Side(starter, starter_knows, starter_eager), Side(shower, shower_knows, shower_eager))
    speaker, listener = run.starter, run.shower
    start = speaker.reconciler.start_again if again else speaker.reconciler.start
    outbox = speaker.note(start(shower.fingerprint(EVERYTHING)), 1)
    while outbox:
        run.turns += 1
        assert run.turns <= turns_max, "the run does not end"
        assert len(outbox) <= limits.RECONCILE_TURN_MESSAGES
        run.sizes_bytes += map(len, outbox)
        outbox = [
            reply
            for data in outbox
            for reply in listener.note(listener.reconciler.receive(_decode(data)), run.turns + 1)
        ]
        speaker, listener = listener, speaker
    assert run.starter.steps[-1].done
    assert not run.shower.steps or run.shower.steps[-1].done
    for asker, holder in ((run.starter, run.shower), (run.shower, run.starter)):
        assert asker.has_asked == holder.was_asked, "one waits for what the other never sends"
        assert asker.has_asked or not asker.asked
        assert holder.was_asked or not holder.requested
    return run


def _within(gaps: Iterable[Gap], items: Iterable[Item]) -> list[Item]:
    spans = [gap.span for gap in gaps]
    return [item for item in items if any(item.key in span for span in spans)]

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
    reconciler: Reconciler = field(init=False)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.ordered, SALT, self.known)

    def note(self, step: Step) -> list[bytes]:
        self.steps.append(step)
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
    def was_asked(self) -> bool:
        return any(step.was_asked for step in self.steps)

    def all_missing(self, peer: Side, peer_items: Iterable[Item]) -> list[Item]:
        """What was shown, what the peer was asked for by name, and what lies in gaps."""
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


def reconcile(
    starter: OrderedSet,
    shower: OrderedSet,
    turns_max: int = 10_000,
    *,
    starter_knows: Iterable[bytes] = (),
    shower_knows: Iterable[bytes] = (),
) -> Run:
    run = Run(Side(starter, starter_knows), Side(shower, shower_knows))
    speaker, listener = run.starter, run.shower
    outbox = speaker.note(speaker.reconciler.start(shower.fingerprint(EVERYTHING)))
    while outbox:
        run.turns += 1
        assert run.turns <= turns_max, "the run does not end"
        assert len(outbox) <= limits.RECONCILE_TURN_MESSAGES
        run.sizes_bytes += map(len, outbox)
        outbox = [
            reply
            for data in outbox
            for reply in listener.note(listener.reconciler.receive(_decode(data)))
        ]
        speaker, listener = listener, speaker
    assert run.starter.steps[-1].done
    assert not run.shower.steps or run.shower.steps[-1].done
    for asker, holder in ((run.starter, run.shower), (run.shower, run.starter)):
        assert (asker.asked > 0) == holder.was_asked, "one waits for what the other never sends"
    return run


def _within(gaps: Iterable[Gap], items: Iterable[Item]) -> list[Item]:
    spans = [gap.span for gap in gaps]
    return [item for item in items if any(item.key in span for span in spans)]

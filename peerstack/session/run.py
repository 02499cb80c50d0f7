"""One comparison of one set with one peer: what both sides have asked for until its end."""

from __future__ import annotations

from peerstack.reconcile import Reconciler, Step
from peerstack.session.wire import Kind


class Run:
    """A comparison under way."""

    def __init__(self, kind: Kind, reconciler: Reconciler) -> None:
        self.kind = kind
        self.reconciler = reconciler
        self.was_told = False
        """Whether the peer knows of this run."""
        self.asked = 0
        self.has_asked = False
        self.was_asked = False
        self.requested: dict[bytes, None] = {}

    def note(self, step: Step) -> None:
        """Keep what both sides have asked for within the comparison, until its end."""
        self.was_told = self.was_told or bool(step.messages)
        self.asked += step.asked
        self.has_asked = self.has_asked or step.has_asked
        self.was_asked = self.was_asked or step.was_asked
        self.requested.update((item.key, None) for item in step.requested)

"""What a peer has asked for, cut into batches as it is sent. Knows no windows and no bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from peerstack import limits
from peerstack.record import Signed
from peerstack.session.batches import batches_of
from peerstack.session.channel import Channel, Request
from peerstack.session.replica import Replica


class Serving:
    """What of one request still has to be sent."""

    def __init__(self, channel: Channel, request: Request) -> None:
        self.channel = channel
        self.kind = request.kind
        self.keys = deque(request.keys)
        self.spans = deque(request.spans)
        self.excluded = request.excluded
        self._ready: deque[Sequence[Signed]] = deque()

    def next_batch(self, replica: Replica) -> Sequence[Signed]:
        """The next batch, in order; empty only where nothing of a part is left."""
        if not self._ready:
            self._ready.extend(batches_of(self._next_slice(replica)))
        return self._ready.popleft() if self._ready else ()

    def _next_slice(self, replica: Replica) -> Sequence[Signed]:
        if self.keys:
            some = [self.keys.popleft() for _ in range(min(len(self.keys), limits.BATCH_RECORDS))]
            return self._without_excluded(replica.read(self.channel.group, self.kind, some))
        span = self.spans.popleft()
        items, rest = replica.read_span(self.channel.group, self.kind, span)
        if rest is not None:
            self.spans.appendleft(rest)
        return self._without_excluded(items)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to send."""
        return not (self.keys or self.spans or self._ready)

    def _without_excluded(self, items: Sequence[Signed]) -> Sequence[Signed]:
        return [item for item in items if item.hash not in self.excluded]

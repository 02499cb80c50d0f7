"""Several peers take turns in bringing one group level, so that what they all have comes once."""

from __future__ import annotations

from collections.abc import Sequence

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ids import GroupId
from peerstack.session.replica import Replica, Roots
from peerstack.session.wire import Kind, Ranges


class Lease:
    """Whether it is the turn of one of them, as the one side of a connection sees it."""

    def __init__(self, group: GroupId) -> None:
        self.waits = False
        """Whether another peer is bringing the group level, for which this one waits."""
        self.put_off: list[Ranges] = []
        """What the peer, which leads, has begun meanwhile."""
        self._group = group

    def begins(self, replica: Replica) -> bool:
        """Whether this peer may bring the group level now; else it waits."""
        self.waits = not replica.takes_lease(self._group)
        return not self.waits

    def defers(self, message: Ranges, heard: Roots | None, replica: Replica) -> bool:
        """Whether what begins a comparison is put off, as others may be bringing just this.

        Only of conflicts: with all else, the peer does not begin before it was shown a level.
        Raises `RemoteError` for more than one turn of it.
        """
        if message.kind is not Kind.CONFLICTS or replica.roots(self._group) == heard:
            return False
        self.waits = bool(self.put_off) or not replica.takes_lease(self._group)
        if self.waits:
            if len(self.put_off) >= limits.RECONCILE_TURN_MESSAGES:
                raise RemoteError(Reason.TOO_MANY, "messages in one turn of a reconciliation")
            self.put_off.append(message)
        return self.waits

    def take_put_off(self) -> Sequence[Ranges]:
        """What was put off, in order; once."""
        put_off, self.put_off = self.put_off, []
        return put_off

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
        self.was_level = False
        """Whether this peer has been level, but for what one side may hold or have refused."""
        self.put_off: list[Ranges] = []
        """What the peer, which leads, has begun meanwhile."""
        self._group = group

    def begins(self, mine: Roots, heard: Roots | None, replica: Replica) -> bool:
        """Whether this peer may bring the group level now; else it waits."""
        self.waits = self._is_needed(mine, heard) and not replica.takes_lease(self._group)
        return not self.waits

    def _is_needed(self, mine: Roots, heard: Roots | None) -> bool:
        """Whether others may have the same to bring, so that one of them is to do it.

        Once this peer has been level, what is new is little, and comes at once. But conflicts are
        compared only where records agree, and so with many at the same time.
        """
        records_agree = heard is not None and mine[: Kind.CONFLICTS] == heard[: Kind.CONFLICTS]
        return records_agree or not self.was_level

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

"""Two versions of a record that were written unseen by each other, as apps see them."""

from __future__ import annotations

import msgspec

from peerstack.ids import GroupId
from peerstack.record import Record
from peerstack.store import Snapshot


class Conflict(msgspec.Struct, frozen=True):
    """A version that lost to one whose author had not seen it, and that nobody has settled yet."""

    live: Record
    """What is live now; a deletion, perhaps (`deleted`)."""
    lost: Record


def conflicts(snapshot: Snapshot, group: GroupId) -> list[Conflict]:
    """The conflicts of a group's records, the version that lost last first."""
    lost = [each for each in snapshot.kept(snapshot.unseen_hashes(group)) if not each.is_reserved]
    live = snapshot.live(group, [each.id for each in lost])
    found = [Conflict(Record.of(live[each.id]), Record.of(each)) for each in lost]
    return sorted(found, key=lambda each: (-each.lost.modified, each.lost.hash))

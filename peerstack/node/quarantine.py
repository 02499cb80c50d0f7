"""What is kept apart in a group, as apps see it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from peerstack.record import Record


class QuarantinedRecord(msgspec.Struct, frozen=True):
    """A version whose author had no right to it: kept apart, where apps do not come across it."""

    record: Record
    why: str
    """The hash, in hex, of the statement that ended its author's right; or a `Reason`'s name."""
    since: int
    """When it was set apart on this device (Unix milliseconds)."""

    @property
    def since_at(self) -> datetime:
        """`since` as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.since / 1000, UTC)

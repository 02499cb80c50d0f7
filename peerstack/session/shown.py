"""What a level says: what has changed of where its sender stands since it last showed that."""

from __future__ import annotations

from typing import Final

from peerstack.errors import Reason, RemoteError
from peerstack.reconcile import hashed_fingerprint
from peerstack.session.replica import Roots
from peerstack.session.wire import Level

_AT_FIRST: Final = (None, None, hashed_fingerprint(()))
"""What goes without saying in a first level: that there are no conflicts."""


def level_of(
    channel: int, roots: Roots, before: Roots | None, *, closes: bool, audit: bytes | None
) -> Level:
    """The level of a side that stands at `roots`, and has last shown `before`."""
    shown = before or _AT_FIRST
    statements, records, conflicts = (
        now if now != then else None for now, then in zip(roots, shown, strict=True)
    )
    return Level(channel, statements, records, closes, audit, conflicts)


def roots_untrusted(level: Level, before: Roots | None) -> Roots:
    """Where a side stands that has last shown `before`. Raises `RemoteError`."""
    shown = before or _AT_FIRST
    said = (level.statements, level.records, level.conflicts)
    statements, records, conflicts = (now or then for now, then in zip(said, shown, strict=True))
    if statements is None or records is None or conflicts is None:
        raise RemoteError(Reason.UNEXPECTED, "a first level that leaves something out")
    return Roots(statements, records, conflicts)

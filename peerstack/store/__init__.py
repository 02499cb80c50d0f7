"""This device's database: signed records and statements, their sums, and the log of changes.

SQLAlchemy Core on SQLite. Knows what is stored and how it is found; not who may write what.
"""

from __future__ import annotations

from peerstack.store.store import Snapshot, Store, Transaction
from peerstack.store.values import (
    LOCAL_ORIGIN,
    Change,
    Counts,
    GroupRow,
    Head,
    LoggedChange,
    VersionState,
    item_of,
    key_of,
)

__all__ = [
    "LOCAL_ORIGIN",
    "Change",
    "Counts",
    "GroupRow",
    "Head",
    "LoggedChange",
    "Snapshot",
    "Store",
    "Transaction",
    "VersionState",
    "item_of",
    "key_of",
]

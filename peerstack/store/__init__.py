"""This device's database: signed records and statements, their sums, and the log of changes.

SQLAlchemy Core on SQLite. Knows what is stored and how it is found; not who may write what.
"""

from __future__ import annotations

from peerstack.store.signers import Moment
from peerstack.store.store import Snapshot, Store, Transaction
from peerstack.store.values import (
    LOCAL_ORIGIN,
    UNCHECKED,
    BrokenVersion,
    Change,
    Counts,
    GroupRow,
    Head,
    Judging,
    KeptVersion,
    LoggedChange,
    Sender,
    SetAside,
    VersionState,
    Waiting,
    Withdrawal,
    item_of,
    key_of,
)

__all__ = [
    "LOCAL_ORIGIN",
    "UNCHECKED",
    "BrokenVersion",
    "Change",
    "Counts",
    "GroupRow",
    "Head",
    "Judging",
    "KeptVersion",
    "LoggedChange",
    "Moment",
    "Sender",
    "SetAside",
    "Snapshot",
    "Store",
    "Transaction",
    "VersionState",
    "Waiting",
    "Withdrawal",
    "item_of",
    "key_of",
]

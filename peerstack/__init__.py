"""Apps that keep their users' data on their own devices and share it in groups, peer to peer.

::

    async with peerstack.open("ana.db", name="Ana", server="http://127.0.0.1:3333") as node:
        family = await node.create_group("Family")
        note = await family.put("note", {"title": "Milk"})

These are the public names, and nothing else. They load what they need when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from peerstack.errors import (
    InvalidBackup,
    InvalidKit,
    InvalidLink,
    InvalidPhrase,
    InvalidQuery,
    InvalidValue,
    JoinPending,
    LinkEnded,
    LinkPending,
    LocalError,
    NodeClosed,
    NotAllowed,
    NotFound,
    NotSynced,
    PeerstackError,
    ProfileInUse,
    ProfileLocked,
    Reason,
    RemoteError,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreTooNew,
    UnsupportedStore,
)

if TYPE_CHECKING:
    from peerstack.identity import Fingerprint, Kit, User
    from peerstack.node.asking import Check
    from peerstack.node.backup import restore
    from peerstack.node.blocking import (
        SyncGroup,
        SyncLinking,
        SyncNode,
        open_linked_sync,
        open_sync,
        recover_sync,
    )
    from peerstack.node.diagnosis import Diagnosis
    from peerstack.node.enrol import open_linked
    from peerstack.node.feed import Change
    from peerstack.node.group import Group
    from peerstack.node.invites import InviteInfo
    from peerstack.node.linking import Linking
    from peerstack.node.node import Node, Preview, open
    from peerstack.node.people import DeviceInfo, Member, MemberDevice, Reached
    from peerstack.node.qr import QrCode, qr
    from peerstack.node.quarantine import QuarantinedRecord
    from peerstack.node.recovery import read_kit
    from peerstack.node.restore import recover
    from peerstack.node.status import Status
    from peerstack.node.wiping import wipe
    from peerstack.query import contains, ge, gt, le, lt, one_of, prefix
    from peerstack.record import Record
    from peerstack.store import BrokenVersion

__version__ = "0.1.0"

__all__ = [
    "BrokenVersion",
    "Change",
    "Check",
    "DeviceInfo",
    "Diagnosis",
    "Fingerprint",
    "Group",
    "InvalidBackup",
    "InvalidKit",
    "InvalidLink",
    "InvalidPhrase",
    "InvalidQuery",
    "InvalidValue",
    "InviteInfo",
    "JoinPending",
    "Kit",
    "LinkEnded",
    "LinkPending",
    "Linking",
    "LocalError",
    "Member",
    "MemberDevice",
    "Node",
    "NodeClosed",
    "NotAllowed",
    "NotFound",
    "NotSynced",
    "PeerstackError",
    "Preview",
    "ProfileInUse",
    "ProfileLocked",
    "QrCode",
    "QuarantinedRecord",
    "Reached",
    "Reason",
    "Record",
    "RemoteError",
    "Status",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreTooNew",
    "SyncGroup",
    "SyncLinking",
    "SyncNode",
    "UnsupportedStore",
    "User",
    "contains",
    "ge",
    "gt",
    "le",
    "lt",
    "one_of",
    "open",
    "open_linked",
    "open_linked_sync",
    "open_sync",
    "prefix",
    "qr",
    "read_kit",
    "recover",
    "recover_sync",
    "restore",
    "wipe",
]

# The signaling server shares a module of this package, and must not load a database for it.
_HOMES = {
    "peerstack.identity": ("Fingerprint", "Kit", "User"),
    "peerstack.node.backup": ("restore",),
    "peerstack.node.blocking": (
        "SyncGroup",
        "SyncLinking",
        "SyncNode",
        "open_linked_sync",
        "open_sync",
        "recover_sync",
    ),
    "peerstack.node.asking": ("Check",),
    "peerstack.node.diagnosis": ("Diagnosis",),
    "peerstack.node.enrol": ("open_linked",),
    "peerstack.node.feed": ("Change",),
    "peerstack.node.group": ("Group",),
    "peerstack.node.quarantine": ("QuarantinedRecord",),
    "peerstack.node.linking": ("Linking",),
    "peerstack.node.node": ("Node", "Preview", "open"),
    "peerstack.node.invites": ("InviteInfo",),
    "peerstack.node.people": ("DeviceInfo", "Member", "MemberDevice", "Reached"),
    "peerstack.node.qr": ("QrCode", "qr"),
    "peerstack.node.recovery": ("read_kit",),
    "peerstack.node.restore": ("recover",),
    "peerstack.node.status": ("Status",),
    "peerstack.node.wiping": ("wipe",),
    "peerstack.query": ("contains", "ge", "gt", "le", "lt", "one_of", "prefix"),
    "peerstack.record": ("Record",),
    "peerstack.store": ("BrokenVersion",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'peerstack' has no attribute {name!r}")

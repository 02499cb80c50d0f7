"""Every exception that peerstack raises.

::

    PeerstackError
    ├── LocalError                  what the app (or the person using it) did wrong
    │   ├── InvalidValue            a value, type, id, name or option that cannot be stored
    │   ├── InvalidQuery            a `where`, `order_by` or cursor that cannot be understood
    │   ├── InvalidLink             text that is no invite link, or not one of this version
    │   ├── InvalidPhrase           words that are no recovery phrase, or another one
    │   ├── InvalidKit              a file that is no recovery kit, or belongs to another phrase
    │   ├── InvalidBackup           a file that is no backup, is damaged, or has another password
    │   ├── NotFound                no such record or group on this device
    │   ├── NotAllowed              the user's role in the group does not permit the write
    │   ├── JoinPending             a join is stored and waits for a member to come online
    │   ├── LinkPending             a device is not linked (yet): the other one was not met
    │   ├── LinkEnded               a link to a new device leads no device in any more
    │   ├── NotSynced               `wait_synced` ended before the groups were level
    │   ├── ProfileInUse            another process holds this profile's network
    │   ├── ProfileLocked           the profile's secrets need a passphrase, or another one
    │   └── NodeClosed              use after closing, or from another event loop
    ├── RemoteError                 what a peer or a server sent; carries a `Reason`
    ├── TransportError              the connection to another device
    │   ├── ConnectFailed           it could not be opened; carries the `Stage` that failed
    │   ├── PipeClosed              sending after it closed
    │   └── PipeFull                sending while the other side does not keep up
    └── StoreError                  what the disk or the database did
        ├── UnsupportedStore        a database URL of a kind that peerstack does not speak
        ├── StoreDamaged            the file is no peerstack database, or its content is broken
        ├── StoreTooNew             a newer peerstack wrote it
        └── StoreFull               no room, or no permission, to write

A message says what happened, to what, and what to do about it. No message holds a secret.
"""

from __future__ import annotations

import enum
from typing import Final

_DETAIL_CHARS: Final = 200


class Reason(enum.StrEnum):
    """Why something that came from outside was refused. Stable: counted in `status`."""

    MALFORMED = "malformed"
    OVERSIZE = "oversize"
    UNEXPECTED = "unexpected"
    BAD_SIGNATURE = "bad-signature"
    UNKNOWN_SCHEME = "unknown-signature-scheme"
    BAD_ID = "bad-derived-id"
    BAD_PROOF = "bad-proof"
    VERSION = "no-common-version"
    WRONG_GROUP = "wrong-group"
    UNKNOWN_SIGNER = "unknown-signer"
    UNKNOWN_DEVICE = "unknown-device"
    NO_ROLE = "no-role"
    DEVICE_ENDED = "device-ended"
    QUARANTINED = "quarantined"
    DOES_NOT_STAND = "does-not-stand"
    INVITE_ENDED = "invite-ended"
    NOT_MEMBER = "not-a-member"
    TOO_MANY = "too-many"
    TIMEOUT = "timeout"
    UNSOLICITED = "unsolicited"


class PeerstackError(Exception):
    """The root of all errors that peerstack raises on purpose."""


class LocalError(PeerstackError):
    """The app, or the person using it, asked for something that cannot be done."""


class InvalidValue(LocalError):
    """A value, type, id, name or option that cannot be stored."""


class InvalidQuery(LocalError):
    """A `where`, `order_by`, `limit` or `after` that cannot be understood."""


class InvalidLink(LocalError):
    """Text that is no link of peerstack, is damaged, or belongs to another version."""


class InvalidPhrase(LocalError):
    """Words that are no recovery phrase, or are not the one that is asked for."""


class InvalidKit(LocalError):
    """A file that is no recovery kit, is damaged, or belongs to another phrase."""


class InvalidBackup(LocalError):
    """A file that is no backup, is damaged or cut short, or has another password."""


class NotFound(LocalError):
    """The record or group is not on this device."""


class NotAllowed(LocalError):
    """The user's role in the group does not permit what was asked."""


class JoinPending(LocalError):
    """The join is stored; it completes when a member of the group can be reached."""


class LinkPending(LocalError):
    """The device is not linked yet: the other one was not met, or has to be met again."""


class LinkEnded(LocalError):
    """The link to a new device is used, refused, or over: it leads no device in any more."""


class NotSynced(LocalError):
    """The groups were not level within the time given."""


class ProfileInUse(LocalError):
    """Another process holds the network of this profile."""


class ProfileLocked(LocalError):
    """The profile's secrets are sealed: a passphrase is needed, or another one."""


class NodeClosed(LocalError):
    """The node is closed, or is used from an event loop that is not its own."""


class RemoteError(PeerstackError):
    """What a peer or a server sent cannot be accepted.

    `reason` is from one enumeration, so that refusals can be counted and shown. `detail` may quote
    what was sent: it is cut short, and nothing in it is obeyed by a terminal.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        detail = "".join(char if char.isprintable() else "?" for char in detail[:_DETAIL_CHARS])
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class Stage(enum.StrEnum):
    """How far a connection to another device got before it failed. Stable: counted in `status`."""

    GATHERING = "gathering-addresses"
    ICE = "finding-a-path"
    DTLS = "encrypting"
    CHANNEL = "opening-the-channel"
    ABANDONED = "abandoned-here"


class TransportError(PeerstackError):
    """The connection to another device failed."""


class ConnectFailed(TransportError):
    """A connection could not be opened. `stage` says how far it got."""

    def __init__(self, stage: Stage, detail: str) -> None:
        super().__init__(f"{stage.value}: {detail}")
        self.stage = stage
        self.detail = detail


class PipeClosed(TransportError):
    """The pipe is closed; what is sent now would reach nobody."""


class PipeFull(TransportError):
    """Too much waits to be sent; the other side does not keep up."""


class StoreError(PeerstackError):
    """The disk or the database failed."""


class UnsupportedStore(StoreError):
    """A database URL of a kind that this version does not speak."""


class StoreDamaged(StoreError):
    """The file is no peerstack database, or its content is broken."""


class StoreTooNew(StoreError):
    """A newer peerstack wrote this database."""


class StoreFull(StoreError):
    """The disk is full, or the database may not be written."""

"""How the linking of devices stands at this moment, on either side. In memory alone.

A crash forgets links and digits, and what was confirmed is in the store: see `linking` for the old
device and `enrolling` for the new one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Final

from peerstack.identity.linking import DeviceLink
from peerstack.ids import DeviceId
from peerstack.keys import PublicKey, Secret
from peerstack.session.linking import NewSide, OldSide
from peerstack.session.wire import LinkMessage
from peerstack.signaling.rendezvous import Link


class Ending(enum.StrEnum):
    """Why a link leads no new device in any more."""

    USED = "used"
    REFUSED = "refused"
    EXPIRED = "expired"
    ATTEMPTS = "too many attempts"
    CLOSED = "closed"
    OUTDATED = "your root key has changed since it was made"
    BUSY = "busy"
    """Only on a new device: the link leads another one in."""


@dataclass(eq=False, slots=True)
class Candidate:
    """A device that came by an open link, in its one attempt on one connection."""

    connection: Link
    device: DeviceId
    key: PublicKey
    side: OldSide
    reveal_by_ms: int
    """When (monotonic) it is given up, if it has not revealed its nonce."""


@dataclass(eq=False, slots=True)
class OpenLink:
    """A link that this device made."""

    link: DeviceLink
    text: str
    full: bool
    """Whether the new device is to have the root key too."""
    ends_ms: int
    """When (monotonic) it ends by itself."""
    ending: Ending | None = None
    candidate: Candidate | None = None
    """The device that is being linked: one at a time."""
    attempts: int = 0
    tried: set[Link] = field(default_factory=set)
    """The connections that have had their one attempt."""
    turned_away: int = 0
    """Devices that came while another was being linked: somebody else has the link."""
    linked: DeviceId | None = None
    """The device that was certified."""


@dataclass(eq=False, slots=True)
class PendingLink:
    """The link by which this device is becoming one of its user's."""

    link: DeviceLink
    name: str
    ending: Ending | None = None
    sides: dict[Link, NewSide] = field(default_factory=dict)
    """The attempts, one for each connection to who has the link."""
    shown: Link | None = None
    """The connection whose digits are shown."""
    attempts: int = 0
    asked: set[Link] = field(default_factory=set)
    """The connections on which it has asked for what it is given besides its certificate."""
    told: set[Link] = field(default_factory=set)
    """The connections on which it has said that it has all."""
    handover: Handed | None = None
    keeping: bool = False
    """Whether the keys are being written to disk."""
    kept: bool = False
    """Whether they are there."""

    @property
    def digits(self) -> str | None:
        """What to show now."""
        return self.sides[self.shown].digits if self.shown is not None else None


@dataclass(frozen=True, slots=True)
class Handed:
    """What the old device handed over."""

    root: Secret | None = field(repr=False)
    """The seed of the root key, where this device is to have that."""
    kit_key: Secret | None = field(repr=False)


@dataclass(slots=True)
class LinkState:
    """Both sides: a device can be linked, and later link others."""

    open: OpenLink | None = None
    pending: PendingLink | None = None
    handed: set[Link] = field(default_factory=set)
    """The connections on which a handover was made."""
    outbox: list[tuple[Link, LinkMessage]] = field(default_factory=list)
    moved: bool = False
    """Whether devices may meet by other secrets now."""

    def snapshot(self) -> Callable[[], None]:
        """How it stands now: what is returned puts it back, where a turn was not stored."""
        parts = [part for part in (self, self.open, self.pending) if part is not None]
        before = [
            (part, name, _copied(getattr(part, name)))
            for part in parts
            for name in _NAMES[type(part)]
        ]

        def restore() -> None:
            for part, name, value in before:
                setattr(part, name, value)

        return restore


# Asked for in each turn, so it is worked out once.
_NAMES: Final = {
    kind: [each.name for each in fields(kind)] for kind in (LinkState, OpenLink, PendingLink)
}


def _copied(value: object) -> object:
    """A collection as it is now; what else there is is replaced, and not changed."""
    return copy(value) if isinstance(value, set | dict | list) else value

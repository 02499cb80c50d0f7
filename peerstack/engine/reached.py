"""Which devices of a group have what: this device's mark, kept up, and what all marks say.

Where a peer has shown that its records are those that are here, this device has all that the peer
wrote, and all that it has of others. It says so in its mark (`docs/protocol.md`, "Marks") a little
later, once for all that came meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from peerstack.engine import marks
from peerstack.engine.marks import NOTHING, Position
from peerstack.engine.turn import Turn
from peerstack.engine.writing import write_mark
from peerstack.ids import DeviceId, GroupId, RecordId
from peerstack.record import Signed
from peerstack.session.peer import Peer
from peerstack.signaling.rendezvous import Link

_FIRST_MS: Final = 5_000
_NEXT_MS: Final = 1_000
"""One device a second says how far it is: fifty that hear of one change do not say so at once."""


class Marking:
    """When this device looks whether it has more to say. In memory alone.

    What is forgotten with it is seen again when the next peer is level with this device.
    """

    def __init__(self, peers: Mapping[Link, Peer]) -> None:
        self._peers = peers
        self._due: dict[GroupId, int] = {}

    def follow(self, turn: Turn) -> None:
        """Peers have shown themselves level in some groups."""
        for group in turn.agreed_groups - self._due.keys():
            self._due[group] = turn.now.mono_ms + _delay_ms(turn, group)

    def wake(self, turn: Turn) -> None:
        """Say what is due, of groups that are level with somebody at this moment."""
        for group in [each for each, at_ms in self._due.items() if at_ms <= turn.now.mono_ms]:
            del self._due[group]
            peers = self._level_with(turn, group)
            if peers:
                renew(turn, group, peers)

    @property
    def next_wake_ms(self) -> int | None:
        """When (monotonic) `wake` is due; None for never."""
        return min(self._due.values(), default=None)

    def _level_with(self, turn: Turn, group: GroupId) -> list[DeviceId]:
        records = turn.roots(group).records
        return [
            peer.authenticated.device
            for peer in self._peers.values()
            if peer.authenticated is not None
            and group in peer.channels
            and peer.channels[group].has_shown_records(records)
        ]


def _delay_ms(turn: Turn, group: GroupId) -> int:
    devices, me = sorted(turn.state(group).active_devices()), turn.me.user.device
    return _FIRST_MS + _NEXT_MS * (devices.index(me) if me in devices else 0)


def renew(turn: Turn, group: GroupId, level_with: Collection[DeviceId]) -> None:
    """Write this device's mark anew, where it says something else than is known here.

    `level_with`: devices that have shown the same records of the group as are here.
    """
    state, me = turn.state(group), turn.me.user
    if state.role(me.id) is None or not state.is_active(me.id, me.device):
        return
    here = _Here(turn, group)
    before = marks.known(turn, group)
    reached = dict(before)
    for peer in level_with:
        _raise(reached, peer, here.own_word(peer))
        for device, at in here.said.get(peer, {}).items():
            if at > reached.get(device, NOTHING):
                _raise(reached, device, min(at, here.own_word(device)))
    reached.pop(me.device, None)
    reached = dict(marks.newest(reached))
    if reached != before:
        marks.keep_known(turn, group, reached)
    if marks.to_say(turn, group, reached) != here.said.get(me.device, {}):
        write_mark(turn, group, reached)


def _raise(reached: dict[DeviceId, Position], device: DeviceId, at: Position) -> None:
    if at > reached.get(device, NOTHING):
        reached[device] = at


class _Here:
    """What is known here of a group, at one moment."""

    def __init__(self, turn: Turn, group: GroupId) -> None:
        self._turn = turn
        self._group = group
        self.devices = turn.state(group).active_devices()
        self.said = marks.said(turn, group, self.devices)

    def own_epoch(self, device: DeviceId) -> int:
        """Which epoch a device is in, by its own mark."""
        return self.said.get(device, {}).get(device, NOTHING).epoch

    def own_word(self, device: DeviceId) -> Position:
        """How far a device's records go, as far as is known here: nobody has more of it.

        By its own mark, once its clock went back; else by the latest that is here.
        """
        said = self.said.get(device, {}).get(device)
        return said or Position(0, self._turn.tx.latest_by(self._group, device))


# --- What the marks say. --------------------------------------------------------------------------


class Held(NamedTuple):
    """A live version, and the devices that have it."""

    version: Signed
    devices: Collection[DeviceId]


def held(turn: Turn, group: GroupId, ids: Iterable[RecordId]) -> Iterator[Held]:
    """Which active devices of members have these records, as far as is known here.

    This device has what is live on it, and its author's what it wrote. Records that are not here,
    were deleted, or are the framework's own are left out.
    """
    here, me = _Here(turn, group), turn.me.user.device
    for version in turn.tx.live(group, ids).values():
        if not version.deleted and not version.is_reserved:
            author = version.device
            # Of an earlier epoch it may be, too: who has this one so far has that as well.
            at = Position(here.own_epoch(author), version.modified)
            told = {each for each in here.devices if _has(here.said.get(each, {}), author, at)}
            yield Held(version, told | (here.devices.keys() & {me, author}))


def _has(reached: marks.Reached, author: DeviceId, at: Position) -> bool:
    known = reached.get(author, NOTHING)
    return known.epoch >= at.epoch and known.stamp >= at.stamp

"""What devices say of how far they are level with a group: one record of each, its mark.

A mark names devices, and up to where its author has all that each of them wrote, counted by
`modified`: a device's stamps rise. One whose clock went far back begins to count anew, in a later
epoch, and says in its own mark how far that goes, so that nobody claims by an old stamp what was
written since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.engine.turn import Turn
from peerstack.ids import DeviceId, GroupId
from peerstack.record import JsonObject, TimeMs, UlidText, mark_id

_Epoch = Annotated[int, Meta(ge=0, le=limits.TIME_MS_MAX)]


class Position(NamedTuple):
    """How far one device's records of a group go. A later one is greater."""

    epoch: _Epoch
    """How often its clock had gone far back."""
    stamp: TimeMs
    """The latest `modified` of that epoch (Unix milliseconds)."""


Reached = Mapping[DeviceId, Position]
"""Up to where somebody has all that each of these devices wrote."""

NOTHING: Final = Position(0, -1)


class _Mark(msgspec.Struct, frozen=True):
    at: Annotated[dict[UlidText, Position], Meta(max_length=limits.MARK_DEVICES)]


def said(turn: Turn, group: GroupId, devices: Iterable[DeviceId]) -> dict[DeviceId, Reached]:
    """What these devices' marks say. One of another form says nothing."""
    ids = {mark_id(group, device): device for device in devices}
    live = turn.tx.live(group, ids)
    return {ids[at]: _read(each.value) for at, each in live.items()}


def _read(value: JsonObject) -> Reached:
    try:
        found = msgspec.convert(value, _Mark).at
    except msgspec.ValidationError:
        return {}
    return {DeviceId(device): position for device, position in found.items()}


def newest(reached: Reached) -> Reached:
    """What there is room for in a mark, beside its author: the devices that wrote last."""
    in_order = sorted(reached.items(), key=lambda each: (each[1].stamp, each[0]), reverse=True)
    return dict(in_order[: limits.MARK_DEVICES - 1])


def to_say(turn: Turn, group: GroupId, reached: Reached) -> Reached:
    """What this device's mark is to say; of itself, once its clock went back."""
    own = own_position(turn, group)
    return {**reached, turn.me.user.device: own} if own.epoch else reached


def value_of(reached: Reached) -> JsonObject:
    """The value of a mark that says so."""
    return {"at": {device: list(at) for device, at in reached.items()}}


# --- What this device knows of itself, whatever stands in its mark. -------------------------------


def known(turn: Turn, group: GroupId) -> Reached:
    """Up to where this device has what others wrote, as far as it could know so far."""
    stored = turn.tx.profile_get(_reached_key(group)) or {}
    return msgspec.convert(stored, dict[DeviceId, Position])


def keep_known(turn: Turn, group: GroupId, reached: Reached) -> None:
    """Note what `known` is to say from now on."""
    turn.tx.profile_set(_reached_key(group), msgspec.to_builtins(reached))


class OwnClock:
    """By what this device counts what it writes into one group."""

    def __init__(self, at: Position) -> None:
        """`at`: how far it has come; `NOTHING` before its first record."""
        self.at = at
        """How far it comes with what is written now."""
        self._before = at

    def stamp(self, at_least_ms: int, now_ms: int) -> int:
        """The stamp of a record that is written now, no earlier than the first of these times.

        It is later than all that was written before. Where that was from further ahead than others
        take a record from, a new epoch begins instead.
        """
        stamp_ms = at_least_ms
        if stamp_ms <= self._before.stamp < now_ms + limits.FUTURE_MS:
            stamp_ms = self._before.stamp + 1
        elif stamp_ms <= self._before.stamp:
            self.at = self._before = Position(self.at.epoch + 1, -1)
        self.at = Position(self.at.epoch, max(self.at.stamp, stamp_ms))
        return stamp_ms


def own_position(turn: Turn, group: GroupId) -> Position:
    """How far the records go that this device wrote into a group; `NOTHING` before the first."""
    stored = Position(*(turn.tx.profile_get(_position_key(group)) or NOTHING))
    # Others may have brought back what it wrote before the database was put back.
    here_ms = turn.tx.latest_by(group, turn.me.user.device)
    return stored if stored.epoch else Position(0, max(stored.stamp, here_ms))


def keep_own_position(turn: Turn, group: GroupId, at: Position) -> None:
    """Note what `own_position` is to say from now on."""
    turn.tx.profile_set(_position_key(group), list(at))


def _position_key(group: GroupId) -> str:
    return f"own position in {group}"


def _reached_key(group: GroupId) -> str:
    return f"reached in {group}"

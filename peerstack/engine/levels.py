"""Whether groups are level with those who are connected, and in words why not."""

from __future__ import annotations

from collections.abc import Mapping

from peerstack.engine.turn import Turn
from peerstack.ids import GroupId
from peerstack.session.channel import Channel, State
from peerstack.session.peer import Peer
from peerstack.session.replica import Roots, SecretKind, Standing
from peerstack.signaling.rendezvous import Link


class Levels:
    """How far this device's groups are, in memory alone."""

    def __init__(self, peers: Mapping[Link, Peer]) -> None:
        self._peers = peers
        self._left_at: dict[GroupId, Roots] = {}
        """Where each group stood when a device that was level with it left."""

    def note_leaving(self, turn: Turn, peer: Peer) -> None:
        """A peer is about to be gone: remember with which groups it was level."""
        for group, channel in peer.channels.items():
            roots = turn.roots(group)
            if channel.is_level_at(roots):
                self._left_at[group] = roots

    def is_level(self, turn: Turn, group: GroupId) -> bool:
        """Whether the group is level with all connected peers that share it.

        With none connected: whether it was level with one that left, and has not changed since.
        """
        channels, roots = self._channels(group), turn.roots(group)
        if not channels:
            return self._left_at.get(group) == roots
        return all(channel.is_level_at(roots) for channel in channels)

    def is_coming(self, turn: Turn, group: GroupId) -> bool:
        """Whether somebody is connected who has, or may have, what is missing of the group here."""
        return bool(self._channels(group)) and not self.is_level(turn, group)

    def why_not(self, group: GroupId) -> str:
        """What is missing until the group is level, in words."""
        channels = self._channels(group)
        if not channels:
            return "none of its members' devices is connected"
        behind = sum(channel.state is not State.LEVEL for channel in channels)
        return f"not level with {behind or len(channels)} of {len(channels)} connected devices"

    def is_brought(self, link: Link, group: GroupId) -> bool:
        """Whether a peer is bringing a group level: it has not yet, and can."""
        channel = self._peers[link].channels.get(group) if link in self._peers else None
        return channel is not None and channel.state is State.WORKING

    def _channels(self, group: GroupId) -> list[Channel]:
        """The group's channels, but for former members, and those of strangers to it."""
        found = (peer.channels.get(group) for peer in list(self._peers.values()))
        return [
            channel
            for channel in found
            if channel
            and channel.standing is not Standing.PARTED
            and (channel.kind is SecretKind.MEMBER or not channel.is_stranger)
        ]

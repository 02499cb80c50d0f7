"""A peer that completes the real handshake with keys of its own, and then says what it likes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType

from peerstack.engine.secrets import shared_secrets
from peerstack.groups.invites import decode_untrusted_link, invite_topic
from peerstack.identity import User
from peerstack.ids import GroupId, RecordId
from peerstack.keys import Secret
from peerstack.ports import Instant
from peerstack.record import Body, JsonObject, Signed, compose
from peerstack.session.handshake import Authenticated, Handshake, Me, group_tag
from peerstack.session.replica import Roots, SecretKind
from peerstack.session.shown import roots_untrusted
from peerstack.session.wire import (
    Ack,
    Batch,
    Groups,
    Kind,
    Level,
    Message,
    decode_untrusted,
    encode,
)
from peerstack.testing.device import Device
from peerstack.testing.invariants import Identified
from peerstack.testing.plug import Plug
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.simulation.people import family_of

NOTE = "01J8Z0000000000000000000AB"
"""An id for a note."""

M = TypeVar("M", bound=Message)


class Scripted:
    """One connection to a device, by a user's keys; nothing happens on it by itself.

    The device dialled it, so that the script leads, unless it is told that it did.
    """

    def __init__(
        self,
        world: World,
        device: Device,
        user: User,
        *,
        dialled: bool = False,
        seed: str = "script",
    ) -> None:
        self.world = world
        self.user = user
        self.plug: Plug = world.plug(device, dialled=dialled)
        self.plug.identity = Identified(user.id, user.device)
        self.proven: Authenticated | None = None
        self._me = Me(user.id, user.device, user.device_key)
        self._handshake = Handshake(
            self._me,
            dialled=dialled,
            binding=self.plug.binding,
            entropy=SeededEntropy(f"{seed}/{world.now_ms}"),
        )
        self._read = 0

    def shake_hands(self) -> Scripted:
        """Complete the handshake."""
        self.plug.say(self._handshake.open())
        while self.proven is None:
            self.world.run(20)
            assert self.plug.hung_up is None, self.plug.hung_up
            for data in self._fresh():
                answers, self.proven = self._handshake.receive_untrusted(data, self._now())
                for answer in answers:
                    self.plug.say(answer)
                if self.proven is not None:
                    break
        self.world.run(20)
        return self

    def name_groups(self, group: GroupId, *secrets: Secret) -> None:
        """Say the blinded names of a group; its channels are numbered in this order."""
        assert self.proven is not None
        transcript, device = self.proven.transcript, self.user.device
        tags = [group_tag(each, transcript, group, device) for each in secrets]
        self.say(Groups(tuple(tags)))

    def say(self, *messages: Message | bytes) -> None:
        """Send messages, and let the device deal with them."""
        for message in messages:
            self.plug.say(message if isinstance(message, bytes) else encode(message))
        self.world.run(100)

    def gives(
        self, *items: Signed, number: int = 0, channel: int = 0, kind: Kind = Kind.RECORDS
    ) -> None:
        """Send a batch."""
        bodies, signatures = (tuple(each.body for each in items), tuple(e.signature for e in items))
        self.say(Batch(channel, kind, number, bodies, signatures))

    def heard(self, kind: type[M]) -> list[M]:
        """What the device has said of one type of message."""
        said = (decode_untrusted(data) for data in self.plug.heard)
        return [message for message in said if isinstance(message, kind)]

    @property
    def shown(self) -> Roots:
        """Where the device has last shown itself to stand, in the one group of which it speaks."""
        levels = self.heard(Level)
        assert len({level.channel for level in levels}) == 1
        roots = None
        for level in levels:
            roots = roots_untrusted(level, roots)
        assert roots is not None
        return roots

    @property
    def acknowledged(self) -> list[int]:
        """The numbers of the batches that the device has dealt with."""
        return [ack.number for ack in self.heard(Ack)]

    @property
    def is_cut_off(self) -> bool:
        """Whether the device has hung up."""
        return self.plug.hung_up is not None

    def _fresh(self) -> Sequence[bytes]:
        fresh = self.plug.heard[self._read :]
        self._read = len(self.plug.heard)
        return fresh

    def _now(self) -> Instant:
        return Instant(self.world.now_ms, self.world.wall_ms)


def written_by(
    user: User,
    group: GroupId,
    record_id: str,
    modified: int,
    value: JsonObject,
    seen: dict[str, int] | UnsetType = UNSET,
) -> Signed:
    """A version of a note, signed by a user's device."""
    return compose(
        user.device_key,
        Body(
            id=RecordId(record_id),
            group=group,
            type="note",
            modified=modified,
            signer=user.id,
            device=user.device,
            value=value,
            seen=seen,
        ),
    )


def secret_of(device: Device, group: GroupId) -> Secret:
    """The members' secret of a group, as a device has it."""
    shared = device.perform(shared_secrets)
    return next(
        each.secret for each in shared if each.group == group and each.kind is SecretKind.MEMBER
    )


def link_reader(world: World, device: Device, group: GroupId, link: str) -> Scripted:
    """Who is no member and has an invite's link, connected to a device and known by that."""
    script = Scripted(world, device, stranger(world)).shake_hands()
    script.name_groups(group, invite_topic(Secret(decode_untrusted_link(link).seed)))
    return script


def stranger(world: World, name: str = "mallory") -> User:
    return User.create(name, "laptop", world.wall_ms - 1_000_000, SeededEntropy(name))


def member_at(world: World) -> tuple[GroupId, Device, Device, Scripted]:
    """Ana, and ben's keys in the hands of a program that is up to no good."""
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.run(60_000)
    script = Scripted(world, ana, ben.user).shake_hands()
    script.name_groups(family, secret_of(ben, family))
    world.run(100)
    assert script.heard(Level)
    return family, ana, ben, script

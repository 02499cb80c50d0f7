"""Made-up people with real keys, and the records and statements that they sign."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from peerstack.groups.statements import (
    ADMIT_TYPE,
    GRANT_TYPE,
    GROUP_TYPE,
    INVITE_TYPE,
    JOIN_TYPE,
    Admit,
    Founding,
    GrantForm,
    Invite,
    Join,
    RoleName,
    group_id_fields,
    invite_proof_payload,
)
from peerstack.identity import DEVICE_TYPE, Certificate, User, device_id
from peerstack.ids import DeviceId, GroupId, IdFactory, RecordId, UserId, as_group
from peerstack.keys import KEY_BYTES, Hash, Label, Secret, Signer, derive_id
from peerstack.record import Body, JsonObject, Signed, compose, mark_id, reserved_id
from peerstack.testing.ports import SeededEntropy

T0 = 1_700_000_000_000
"""When everybody in the tests comes into being (Unix milliseconds)."""

NOW = T0 + 60_000
"""The tests' present."""


@dataclass(frozen=True)
class Person:
    """A user at one of their devices."""

    user: User
    ids: IdFactory

    @property
    def id(self) -> UserId:
        return self.user.id

    @property
    def root(self) -> Signer:
        """The root key."""
        assert self.user.root is not None
        return self.user.root

    @property
    def recovery(self) -> Secret:
        """The seed of the next root key."""
        assert self.user.recovery is not None
        return self.user.recovery

    def body(
        self,
        group: GroupId,
        type_name: str,
        modified: int,
        value: JsonObject | UnsetType = UNSET,
        **changes: Any,
    ) -> Body:
        body = Body(
            id=RecordId(
                changes.pop("id", None) or self._own_id(group, type_name) or self.ids.new(modified)
            ),
            group=group,
            type=type_name,
            modified=modified,
            signer=self.id,
            device=self.user.device,
            value=value,
        )
        return msgspec.structs.replace(body, **changes)

    def _own_id(self, group: GroupId, type_name: str) -> RecordId | None:
        """Of some types a group has one record, or one of each device; its id says so."""
        if type_name == "$reached":
            return mark_id(group, self.user.device)
        return reserved_id(group, type_name) if type_name in ("$profile", "$secret") else None

    def writes(
        self,
        group: GroupId,
        modified: int = NOW,
        value: JsonObject | None = None,
        type_name: str = "note",
        **changes: Any,
    ) -> Signed:
        """A version of a record."""
        return compose(
            self.user.device_key, self.body(group, type_name, modified, value or {}, **changes)
        )

    def states(
        self,
        group: GroupId,
        type_name: str,
        modified: int,
        form: msgspec.Struct,
        **changes: Any,
    ) -> Signed:
        """A statement."""
        value = msgspec.to_builtins(form)
        return compose(
            self.user.device_key, self.body(group, type_name, modified, value, **changes)
        )

    def founds(self, modified: int, nonce: bytes = bytes(16)) -> Signed:
        group = derive_id(Label.GROUP_ID, group_id_fields(self.id, nonce), modified)
        form = Founding(nonce.hex())
        return self.states(as_group(group), GROUP_TYPE, modified, form, id=RecordId(group))

    def invites(
        self,
        under: Signed,
        modified: int,
        role: RoleName = "writer",
        *,
        key: Signer | None = None,
        **bounds: int,
    ) -> Signed:
        public = (key or INVITE_KEY).public.hex()
        form = Invite(under.hash.hex(), public, "77" * 32, role, **bounds)
        return self.states(under.group, INVITE_TYPE, modified, form)

    def proves(self, invite: Signed, modified: int, key: Signer | None = None) -> str:
        device = self.user.device
        payload = invite_proof_payload(invite.hash, invite.group, self.id, device, modified)
        return (key or INVITE_KEY).sign(Label.INVITE, payload).hex()

    def joins(self, invite: Signed, modified: int, proof: str | None = None) -> Signed:
        form = Join(invite.hash.hex(), proof or self.proves(invite, modified))
        return self.states(invite.group, JOIN_TYPE, modified, form)

    def consents(self, group: GroupId, modified: int) -> Signed:
        return self.states(group, JOIN_TYPE, modified, Join())

    def admits(self, under: Signed, join: Signed, modified: int) -> Signed:
        form = Admit(under.hash.hex(), join.hash.hex())
        return self.states(under.group, ADMIT_TYPE, modified, form)

    def grants(
        self, under: Signed, user: UserId, role: RoleName, consent: Signed, modified: int
    ) -> Signed:
        form = GrantForm(under.hash.hex(), user, role, consent.hash.hex())
        return self.states(under.group, GRANT_TYPE, modified, form)

    def certifies(
        self,
        modified: int,
        *,
        under: Hash | None = None,
        device: DeviceId | None = None,
        key: Signer | None = None,
        root: Signer | None = None,
    ) -> Signed:
        """A `$device` statement, by the root key."""
        public = (key or self.user.device_key).public
        form = Certificate(
            (under or self.user.statements[0].hash).hex(),
            device or device_id(self.id, public, modified),
            public.hex(),
            "another device",
        )
        return self.states_as_root(DEVICE_TYPE, modified, form, root=root)

    def states_as_root(
        self, type_name: str, modified: int, form: msgspec.Struct, root: Signer | None = None
    ) -> Signed:
        """An identity statement."""
        value = msgspec.to_builtins(form)
        body = self.body(self.id, type_name, modified, value, device=UNSET)
        return compose(root or self.root, body)

    def at_new_device(self, name: str, modified: int, *, under: Hash | None = None) -> Person:
        """The same person at another device, whose certificate is the last of its statements."""
        key = signer(f"{self.user.name}'s {name}")
        certificate = self.certifies(modified, under=under, key=key)
        device = device_id(self.id, key.public, modified)
        statements = (*self.user.statements, certificate)
        user = replace(self.user, device=device, device_key=key, statements=statements)
        return replace(self, user=user)


@functools.cache
def _user(name: str) -> User:
    return User.create(name, f"{name}'s laptop", T0, SeededEntropy(name))


def person(name: str) -> Person:
    """The person of that name: the same keys each time, made at `T0`."""
    return Person(_user(name), IdFactory(SeededEntropy(f"ids of {name}")))


def signer(name: str) -> Signer:
    """A key pair of its own for each name."""
    return Signer(SeededEntropy(f"key {name}").draw(KEY_BYTES))


INVITE_KEY = signer("invite")

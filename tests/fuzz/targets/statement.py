"""The value of a statement of any type, in a body that is well formed but for that."""

from __future__ import annotations

from typing import Final

from peerstack.errors import RemoteError
from peerstack.groups.membership import GroupState
from peerstack.groups.rules import statement_checks_untrusted
from peerstack.groups.statements import group_form_untrusted
from peerstack.identity import (
    identity_checks_untrusted,
    identity_parent_untrusted,
    is_identity_type,
)
from peerstack.keys import Hash
from peerstack.record import Signed, decode_untrusted
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.people import T0, person
from tests.raw_bodies import SIGNATURE

TYPES: Final = (
    *("$user", "$rotate", "$device", "$revoke", "$group", "$invite", "$join", "$admit", "$grant"),
    *("$close", "$seal", "$later"),
)
TIMES: Final = (T0 + 50_000, 0, 2**47 - 1, 2**47, 2**48 - 1)
ANA: Final = person("ana")
FOUNDING: Final = ANA.founds(T0 + 100)
INVITE: Final = ANA.invites(FOUNDING, T0 + 200)
KNOWN: Final = {each.hash: each for each in (*ANA.user.statements, FOUNDING, INVITE)}
STATE: Final = GroupState.of(FOUNDING.group, KNOWN.values())


def body(type_name: str, modified: int, value: bytes, *, as_root: bool) -> bytes:
    """A statement's body, with the JSON text of its value."""
    group = ANA.id if is_identity_type(type_name) else FOUNDING.group
    own_id = {"$user": ANA.id, "$group": FOUNDING.group}.get(type_name, f"{ANA.id}:x")
    device = "" if as_root else f'"device":"{ANA.user.device}",'
    start = f'{{"id":"{own_id}","group":"{group}","type":"{type_name}","modified":{modified},'
    return f'{start}"signer":"{ANA.id}",{device}"value":'.encode() + value + b"}"


def run(data: bytes) -> None:
    """Type, time, whether a root key signs; the rest is the JSON text of the value."""
    reader = Reader(data)
    type_name, modified, as_root = reader.pick(TYPES), reader.pick(TIMES), reader.flag()
    try:
        signed = decode_untrusted(
            body(type_name, modified, reader.rest(), as_root=as_root), SIGNATURE
        )
        _check(signed)
    except RemoteError:
        return


def _check(signed: Signed) -> None:
    if not is_identity_type(signed.type):
        form = group_form_untrusted(signed)
        assert (form is None) == (signed.type == "$later")
        statement_checks_untrusted(STATE, signed)
        return
    parent = identity_parent_untrusted(signed)
    assert (parent is None) == (signed.type == "$user")
    checks = identity_checks_untrusted(signed, lambda each: KNOWN.get(Hash(each)))
    assert checks is not None or parent not in KNOWN


TARGET = Target(
    "statement",
    run,
    (
        "peerstack.groups.rules.statement_checks_untrusted",
        "peerstack.groups.statements.group_form_untrusted",
        "peerstack.identity.statements.check_time_untrusted",
        "peerstack.identity.statements.decode_form_untrusted",
        "peerstack.identity.statements.identity_checks_untrusted",
        "peerstack.identity.statements.identity_form_untrusted",
        "peerstack.identity.statements.identity_parent_untrusted",
        "peerstack.identity.statements._root_key_untrusted",
    ),
)

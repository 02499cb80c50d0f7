"""Signed records and statements for the tests of the store, by made-up authors with real keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from peerstack import ids
from peerstack.ids import DeviceId, GroupId, RecordId, UserId, as_group, as_user
from peerstack.keys import Signer
from peerstack.record import Body, Signed, compose, mark_id
from peerstack.store import LOCAL_ORIGIN, Change, Head, Sender, Store, Transaction, Waiting

NOW = 1_700_000_000_000
SIGNER = Signer(bytes(32))


def ulid(number: int) -> str:
    """The same id for the same number; they ascend with it."""
    return ids.compose(NOW, number.to_bytes(10, "big"))


GROUP = as_group(ulid(1))
OTHER_GROUP = as_group(ulid(2))
ANA, BEN, CY = as_user(ulid(11)), as_user(ulid(12)), as_user(ulid(13))
PHONE, LAPTOP = DeviceId(ulid(21)), DeviceId(ulid(22))


def record_id(number: int) -> RecordId:
    return RecordId(ulid(1000 + number))


def record(
    number: int = 0,
    value: Mapping[str, Any] | None = None,
    *,
    modified: int = NOW,
    kind: str = "note",
    group: GroupId = GROUP,
    signer: UserId = ANA,
    device: DeviceId = PHONE,
    deleted: bool = False,
    seen: Mapping[str, int] | None = None,
) -> Signed:
    """A version of the record that `record_id(number)` names; or of the device's mark."""
    return compose(
        SIGNER,
        Body(
            id=mark_id(group, device) if kind == "$reached" else record_id(number),
            group=group,
            type=kind,
            modified=modified,
            signer=signer,
            device=device,
            value=UNSET if deleted else dict(value or {}),
            deleted=deleted or UNSET,
            seen=dict(seen) if seen else UNSET,
        ),
    )


def statement(
    number: int, *, group: str = GROUP, signer: UserId = ANA, kind: str = "$grant"
) -> Signed:
    body = Body(
        id=ulid(5000 + number),
        group=group,
        type=kind,
        modified=NOW + number,
        signer=signer,
        value={"number": number},
    )
    return compose(SIGNER, body)


def fresh(*records: Signed) -> list[Change]:
    """The changes by which records come that were not there."""
    return [Change(one, None, LOCAL_ORIGIN) for one in records]


def over(record: Signed, previous: Signed | Head, *, conflict: bool = False) -> Change:
    return Change(record, previous, LAPTOP, conflict)


def put(store: Store, *changes: Change, now_ms: int = NOW) -> list[int]:
    """Apply changes in a transaction of their own."""
    with store.transaction() as transaction:
        return transaction.apply(changes, now_ms)


BENS_PHONE = Sender(PHONE, True)


def keep_waiting(
    transaction: Transaction,
    *signed: Signed,
    sender: Sender = BENS_PHONE,
    waits_for: str = "what never comes",
    now_ms: int = NOW,
) -> int:
    """Keep statements of `GROUP` that wait for something; how many there was no room for."""
    waiting = [Waiting(one, waits_for) for one in signed]
    return transaction.keep_pending(GROUP, waiting, sender, now_ms)

from __future__ import annotations

import msgspec
import pytest

from peerstack.errors import StoreError
from peerstack.record import decode_untrusted, mark_id
from peerstack.store import Head, Store, Withdrawal, key_of
from tests.store.samples import (
    GROUP,
    LAPTOP,
    NOW,
    OTHER_GROUP,
    PHONE,
    fresh,
    over,
    put,
    record,
    record_id,
)


def test_a_record_comes_back_exactly_as_its_author_signed_it(store: Store) -> None:
    spelled = (
        b' {"value": {"n": 1.50e0, "t": "\\u00e9\\/"}, "modified": 5, "type": "note",'
        + (
            f'"id":"{record_id(1)}","group":"{GROUP}","signer":"{GROUP}","device":"{PHONE}",'
            f'"seen":{{"{PHONE}":4}}}}'
        ).encode()
    )
    signed = decode_untrusted(spelled, b"\x01" + bytes(64))

    put(store, *fresh(signed))

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, record_id(1)) == signed


def test_more_records_than_one_statement_takes_are_read_and_written(store: Store) -> None:
    records = [record(number) for number in range(1200)]
    put(store, *fresh(*records))

    with store.snapshot() as snapshot:
        live = snapshot.live(GROUP, [record_id(number) for number in range(1300)])
        heads = snapshot.live_heads(GROUP, [one.id for one in records])

    assert live == {one.id: one for one in records}
    assert heads == {one.id: Head(NOW, one.hash, PHONE) for one in records}


def test_groups_hold_versions_of_one_id_apart(store: Store) -> None:
    here, there = record(1), record(1, group=OTHER_GROUP)
    put(store, *fresh(here, there))

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, here.id) == here
        assert snapshot.get(OTHER_GROUP, here.id) == there


def test_what_is_replaced_becomes_history(store: Store) -> None:
    old, new = record(1, {"n": 1}), record(1, {"n": 2}, modified=NOW + 1)
    put(store, *fresh(old))
    put(store, over(new, Head(old.modified, old.hash, old.device)))

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, old.id) == new
        assert snapshot.history(GROUP, old.id) == [old]


def test_one_batch_may_replace_a_record_more_than_once(store: Store) -> None:
    first, second, third = (record(1, {"n": n}, modified=NOW + n) for n in range(3))
    put(store, *fresh(first), over(second, first), *fresh(record(2)), over(third, second))

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, first.id) == third
        assert snapshot.history(GROUP, first.id) == [second, first]
        assert [change.record for change in snapshot.changes(0, limit=9)] == [
            first,
            second,
            record(2),
            third,
        ]


def test_replacing_what_is_not_live_fails_and_changes_nothing(store: Store) -> None:
    live, never_live = record(1), record(1, {"n": 2})
    put(store, *fresh(live))

    with pytest.raises(StoreError, match="not live"):
        put(store, over(record(1, modified=NOW + 1), never_live))

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, live.id) == live
        assert snapshot.last_seq() == 1


def test_a_second_first_version_fails_and_changes_nothing(store: Store) -> None:
    put(store, *fresh(record(1)))

    with pytest.raises(StoreError):
        put(store, *fresh(record(2), record(1, {"n": 2})))

    with store.snapshot() as snapshot:
        assert snapshot.live(GROUP, [record_id(2)]) == {}


def test_a_slice_is_read_in_the_order_of_keys(store: Store) -> None:
    records = [record(number, modified=NOW + number % 3) for number in range(9)]
    put(store, *fresh(*records))
    ordered = sorted(records, key=lambda one: (one.modified, one.id))
    bounds = key_of(ordered[2].modified, ordered[2].id), key_of(ordered[7].modified, ordered[7].id)

    with store.snapshot() as snapshot:
        assert snapshot.read_slice(GROUP, *bounds, limit=99) == ordered[2:7]
        assert snapshot.read_slice(GROUP, bounds[0], None, limit=4) == ordered[2:6]


def test_a_deletion_is_a_live_record(store: Store) -> None:
    tombstone = record(1, deleted=True)
    put(store, *fresh(tombstone))

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, tombstone.id) == tombstone


def test_a_store_keeps_signatures_without_looking_at_them(store: Store) -> None:
    unknown = msgspec.structs.replace(record(1), signature=b"\x07whatever")
    put(store, *fresh(unknown))

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, unknown.id) == unknown


def test_the_latest_of_a_device_is_that_of_its_records_of_apps_types(store: Store) -> None:
    mine = [record(number, modified=NOW + number) for number in range(3)]
    kept = record(4, modified=NOW + 8, kind="$data.x")
    theirs = record(5, modified=NOW + 9, device=LAPTOP)
    put(store, *fresh(*mine, kept, theirs))

    with store.snapshot() as snapshot:
        assert snapshot.latest_by(GROUP, PHONE) == NOW + 2
        assert snapshot.latest_by(GROUP, LAPTOP) == NOW + 9
        assert snapshot.latest_by(OTHER_GROUP, PHONE) == -1


def test_of_marks_the_live_one_is_kept_and_no_change_tells_of_them(store: Store) -> None:
    own = mark_id(GROUP, PHONE)
    first, second = (record(modified=NOW + n, kind="$reached") for n in range(2))
    note = record(2)
    assert put(store, *fresh(first, note)) == [1]
    assert put(store, over(second, first)) == []

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, own) == second
        assert snapshot.history(GROUP, own) == []
        assert [change.record for change in snapshot.changes(0, limit=9)] == [note]
        assert snapshot.counts(GROUP).live == 2


def test_a_mark_that_is_withdrawn_is_gone(store: Store) -> None:
    mark = record(kind="$reached")
    put(store, *fresh(mark, record(2)))
    with store.transaction() as transaction:
        transaction.withdraw([Withdrawal(mark, "an end", None)], NOW)

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, mark.id) is None
        counts = snapshot.counts(GROUP)
        assert (counts.live, counts.quarantined, counts.history) == (1, 0, 0)
        assert not any(change.withdrawn for change in snapshot.changes(0, limit=9))

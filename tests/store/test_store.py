from __future__ import annotations

import threading
from pathlib import Path

import pytest

from peerstack.store import Store
from tests.store.samples import GROUP, NOW, OTHER_GROUP, fresh, put, record


class Mishap(Exception):
    """Something that goes wrong in the middle of a transaction."""


def write_and_fail(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.apply(fresh(record(1)), NOW)
        transaction.profile_set("name", "Ana")
        raise Mishap


def test_a_transaction_that_fails_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(Mishap):
        write_and_fail(store)

    with store.snapshot() as snapshot:
        assert snapshot.last_seq() == 0
        assert snapshot.profile_get("name") is None
        row = snapshot.group(GROUP)
        assert row is not None
        assert row.records.count == 0


def test_transactions_are_not_nested(store: Store) -> None:
    with (
        store.transaction() as transaction,
        pytest.raises(RuntimeError, match="open already"),
        store.transaction(),
    ):
        pass
    assert transaction is not None


def test_a_transaction_cannot_be_used_behind_its_end(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.profile_set("name", "Ana")
    with pytest.raises(AttributeError):
        transaction.profile_set("name", "Ben")
    with store.snapshot() as snapshot:
        pass
    with pytest.raises(AttributeError):
        snapshot.groups()


def test_a_transaction_without_statements_takes_no_lock(tmp_path: Path) -> None:
    one, two = Store.open(tmp_path / "ana.db"), Store.open(tmp_path / "ana.db")
    with one.transaction(), two.transaction() as other:
        other.profile_set("name", "Ana")
    one.close()
    two.close()


def test_a_snapshot_in_another_thread_shows_what_is_committed_and_waits_for_nobody(
    tmp_path: Path,
) -> None:
    store = Store.open(tmp_path / "ana.db")
    seen = []

    def look() -> None:
        with store.snapshot() as snapshot:
            seen.append(snapshot.profile_get("name"))

    def look_in_thread() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(timeout=60)

    with store.transaction() as transaction:
        transaction.profile_set("name", "Ana")
        look_in_thread()
    look_in_thread()
    store.close()

    assert seen == [None, "Ana"]


def test_a_snapshot_stays_at_its_moment(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "ana.db")
    with store.snapshot() as snapshot:
        assert snapshot.last_seq() == 0
        with store.transaction() as transaction:
            transaction.add_group(GROUP, NOW)
            transaction.apply(fresh(record(1)), NOW)
        assert snapshot.last_seq() == 0
    store.close()


def test_a_snapshot_cannot_write(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "ana.db")
    with (
        store.snapshot() as snapshot,
        pytest.raises(Exception, match="readonly"),
    ):
        snapshot._connection.exec_driver_sql("DELETE FROM groups")
    store.close()


def test_what_was_committed_is_there_after_opening_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "ana.db")
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
        transaction.profile_set("user", {"id": [1, None, "ü"]})
    put(store, *fresh(record(1)))
    store.close()
    store.close()

    again = Store.open(tmp_path / "ana.db")
    with again.snapshot() as snapshot:
        assert snapshot.profile_get("user") == {"id": [1, None, "ü"]}
        assert snapshot.get(GROUP, record(1).id) == record(1)
    again.close()


def test_a_group_is_added_once(store: Store) -> None:
    put(store, *fresh(record(1)))
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW + 99)

        assert [(row.id, row.joined_ms) for row in transaction.groups()] == [
            (GROUP, NOW),
            (OTHER_GROUP, NOW),
        ]
        row = transaction.group(GROUP)
        assert row is not None
        assert row.records.count == 1


def test_profile_facts_are_replaced(store: Store) -> None:
    with store.transaction() as transaction:
        assert transaction.profile_get("name") is None
        transaction.profile_set("name", "Ana")
        transaction.profile_set("name", "Ben")

        assert transaction.profile_get("name") == "Ben"

from __future__ import annotations

from peerstack import limits
from peerstack.store import LOCAL_ORIGIN, LoggedChange, Store
from tests.store.samples import GROUP, LAPTOP, NOW, OTHER_GROUP, fresh, over, put, record


def test_changes_are_told_in_order_with_what_they_replaced(store: Store) -> None:
    old, new = record(1), record(1, {"n": 2}, modified=NOW + 1)

    assert put(store, *fresh(old)) == [1]
    assert put(store, over(new, old, conflict=True)) == [2]

    with store.snapshot() as snapshot:
        assert snapshot.changes(0, limit=9) == [
            LoggedChange(1, old, None, LOCAL_ORIGIN, False),
            LoggedChange(2, new, old, LAPTOP, True),
        ]
        assert snapshot.last_seq() == 2


def test_changes_go_on_behind_a_seq_and_stop_at_a_limit(store: Store) -> None:
    records = [record(number) for number in range(6)]
    put(store, *fresh(*records))

    with store.snapshot() as snapshot:
        page = snapshot.changes(2, limit=3)

    assert [change.seq for change in page] == [3, 4, 5]
    assert [change.record for change in page] == records[2:5]


def test_changes_of_one_group_leave_out_those_of_others(store: Store) -> None:
    mine, other = record(1), record(1, group=OTHER_GROUP)
    put(store, *fresh(other, mine))

    with store.snapshot() as snapshot:
        assert [change.record for change in snapshot.changes(0, GROUP, limit=9)] == [mine]


def test_a_late_loser_is_kept_and_told_of_as_a_conflict(store: Store) -> None:
    winner, loser = record(1, modified=NOW + 5), record(1, {"n": 2})
    put(store, *fresh(winner))

    with store.transaction() as transaction:
        seq = transaction.log_conflict(winner.hash, loser, LAPTOP, NOW)

    with store.snapshot() as snapshot:
        assert snapshot.changes(1, limit=9) == [LoggedChange(seq, winner, loser, LAPTOP, True)]
        assert snapshot.history(GROUP, winner.id) == [loser]
        assert snapshot.get(GROUP, winner.id) == winner


def test_a_conflict_whose_winner_is_no_longer_kept_is_no_longer_told(store: Store) -> None:
    winner, loser = record(1, modified=NOW + 5), record(1, {"n": 2})
    put(store, *fresh(winner))
    put(store, over(record(1, modified=NOW + 9), winner), now_ms=NOW)
    with store.transaction() as transaction:
        transaction.log_conflict(winner.hash, loser, LAPTOP, NOW + 50)
        transaction.sweep_history(NOW + limits.HISTORY_MS + 1, limit=9)
    put(store, *fresh(record(2)))

    with store.snapshot() as snapshot:
        assert [change.seq for change in snapshot.changes(0, limit=2)] == [2, 4]


def test_a_seq_is_never_given_twice(store: Store) -> None:
    put(store, *fresh(record(1)))
    with store.transaction() as transaction:
        transaction.apply([over(record(1, modified=NOW + 1), record(1))], NOW)
        transaction.log_conflict(record(1).hash, record(1, {"n": 3}), LAPTOP, NOW)
    with store.transaction() as transaction:
        pruned = transaction.sweep_history(NOW + 10**12, limit=9)

    assert pruned == 2
    assert put(store, *fresh(record(2))) == [4]

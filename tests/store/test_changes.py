from __future__ import annotations

from peerstack import limits
from peerstack.record import Signed
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


def log_late_loser(store: Store, winner: Signed, loser: Signed, *, now_ms: int = NOW) -> int:
    """Keep a conflict that came when its winner was live already, and log it."""
    with store.transaction() as transaction:
        transaction.keep_history([loser], now_ms)
        transaction.mark_conflicts([loser.hash], [])
        return transaction.log_conflict(winner.hash, loser, LAPTOP)


def end_conflict(store: Store, loser: Signed) -> None:
    with store.transaction() as transaction:
        transaction.mark_conflicts([], [loser.hash])


def sweep(store: Store, now_ms: int) -> int:
    """Let go of what lost more than a month before; how many versions."""
    with store.transaction() as transaction:
        return transaction.sweep_history(now_ms + limits.HISTORY_MS, limit=99).eldest


def told(store: Store) -> list[tuple[int, Signed, Signed | None, bool]]:
    with store.snapshot() as snapshot:
        changes = snapshot.changes(0, limit=99)
    return [(each.seq, each.record, each.previous, each.conflict) for each in changes]


def rows(store: Store) -> list[int]:
    with store.transaction() as transaction:
        found = transaction._connection.exec_driver_sql("SELECT seq FROM changes ORDER BY seq")
        return [seq for (seq,) in found.fetchall()]


def test_a_late_loser_is_told_of_as_a_conflict(store: Store) -> None:
    winner, loser = record(1, modified=NOW + 5), record(1, {"n": 2})
    put(store, *fresh(winner))

    seq = log_late_loser(store, winner, loser)

    with store.snapshot() as snapshot:
        assert snapshot.changes(1, limit=9) == [LoggedChange(seq, winner, loser, LAPTOP, True)]


def test_what_tells_of_a_version_goes_with_it(store: Store) -> None:
    winner, loser = record(1, modified=NOW + 5), record(1, {"n": 2})
    put(store, *fresh(winner))
    put(store, over(record(1, modified=NOW + 9), winner), now_ms=NOW)
    log_late_loser(store, winner, loser, now_ms=NOW - 9)

    sweep(store, NOW + 1)

    assert rows(store) == [2]


def test_a_conflict_is_told_with_what_is_live_once_its_first_winner_is_gone(store: Store) -> None:
    loser, winner, live = (record(1, {"n": n}, modified=NOW + n) for n in range(3))
    put(store, *fresh(loser))
    put(store, over(winner, loser, conflict=True), now_ms=NOW + 50)
    with store.transaction() as transaction:
        transaction.mark_conflicts([loser.hash], [])
    put(store, over(live, winner), now_ms=NOW)

    assert sweep(store, NOW + 1) == 1

    assert told(store) == [(2, live, loser, True), (3, live, None, False)]
    assert sweep(store, NOW + 51) == 1
    assert told(store) == [(3, live, None, False)]
    assert rows(store) == [3]


def test_a_late_conflict_is_told_with_what_is_live_once_its_winner_is_gone(store: Store) -> None:
    loser, winner, live = (record(1, {"n": n}, modified=NOW + n) for n in range(3))
    put(store, *fresh(winner))
    log_late_loser(store, winner, loser, now_ms=NOW + 50)
    put(store, over(live, winner), now_ms=NOW)

    assert sweep(store, NOW + 1) == 1

    assert told(store) == [(2, live, loser, True), (3, live, None, False)]


def test_what_is_no_conflict_any_more_is_not_told_once_its_winner_is_gone(store: Store) -> None:
    loser, winner, live = (record(1, {"n": n}, modified=NOW + n) for n in range(3))
    put(store, *fresh(winner))
    log_late_loser(store, winner, loser, now_ms=NOW + 50)
    put(store, over(live, winner), now_ms=NOW)
    end_conflict(store, loser)

    assert sweep(store, NOW + 1) == 1

    assert told(store) == [(3, live, None, False)]


def test_of_a_conflict_that_is_told_again_only_the_last_is_told(store: Store) -> None:
    winner, loser = record(1, modified=NOW + 5), record(1, {"n": 2})
    put(store, *fresh(winner))
    log_late_loser(store, winner, loser)

    with store.transaction() as transaction:
        transaction.log_conflict(winner.hash, loser, LAPTOP)

    assert told(store) == [(1, winner, None, False), (3, winner, loser, True)]
    assert rows(store) == [1, 3]


def test_conflicts_of_which_each_won_over_the_next_are_all_told_when_their_winner_is_gone(
    store: Store,
) -> None:
    third, second, first, live = (record(1, {"n": n}, modified=NOW + n) for n in range(4))
    put(store, *fresh(third))
    put(store, over(second, third, conflict=True), now_ms=NOW + 50)
    put(store, over(first, second, conflict=True), now_ms=NOW + 50)
    with store.transaction() as transaction:
        transaction.mark_conflicts([second.hash, third.hash], [])
    put(store, over(live, first), now_ms=NOW)

    assert sweep(store, NOW + 1) == 1

    conflicts = [(2, second, third, True), (3, live, second, True)]
    assert told(store) == [*conflicts, (4, live, None, False)]
    assert sweep(store, NOW + 51) == 2
    assert rows(store) == [4]


def test_a_conflict_that_two_entries_tell_of_is_told_until_it_ends(store: Store) -> None:
    """It was one, was settled, and is one again."""
    loser, winner, live = (record(1, {"n": n}, modified=NOW + n) for n in range(3))
    put(store, *fresh(loser))
    put(store, over(winner, loser, conflict=True), now_ms=NOW + 50)
    put(store, over(live, winner), now_ms=NOW)
    with store.transaction() as transaction:
        transaction.mark_conflicts([loser.hash], [])
        assert transaction.log_conflict(live.hash, loser, LAPTOP) == 4

    assert sweep(store, NOW + 1) == 1

    assert told(store) == [(3, live, None, False), (4, live, loser, True)]
    assert rows(store) == [3, 4]


def test_a_seq_is_never_given_twice(store: Store) -> None:
    put(store, *fresh(record(1)))
    put(store, over(record(1, modified=NOW + 1), record(1)))
    assert log_late_loser(store, record(1, modified=NOW + 1), record(1, {"n": 3})) == 3

    assert sweep(store, NOW + 1) == 2

    assert rows(store) == [2]
    assert put(store, *fresh(record(2))) == [4]

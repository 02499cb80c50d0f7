from __future__ import annotations

import msgspec
import pytest

from peerstack import limits
from peerstack.keys import Hash
from peerstack.store import UNCHECKED, Counts, Store, Transaction
from tests.store.samples import (
    ANA,
    BEN,
    CY,
    GROUP,
    LAPTOP,
    NOW,
    OTHER_GROUP,
    PHONE,
    fresh,
    keep_waiting,
    over,
    put,
    record,
    record_id,
    statement,
)


def test_held_versions_come_due_in_the_order_of_their_times(store: Store) -> None:
    with store.transaction() as transaction:
        assert transaction.hold([record(1)], LAPTOP, NOW, until_ms=NOW + 20) == 0
        assert transaction.hold([record(2)], LAPTOP, NOW, until_ms=NOW + 10) == 0
        assert transaction.hold([record(3)], LAPTOP, NOW, waits_for="a statement") == 0

    with store.snapshot() as snapshot:
        assert snapshot.next_due_ms() == NOW + 10
        assert snapshot.due(NOW + 9, limit=9) == []
        assert snapshot.due(NOW + 20, limit=9) == [record(2), record(1)]
        assert snapshot.due(NOW + 20, limit=1) == [record(2)]


def test_nothing_is_due_where_nothing_waits_for_a_time(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.hold([record(1)], LAPTOP, NOW, waits_for="a statement")

        assert transaction.next_due_ms() is None


def test_who_signed_what_waits_for_a_statement_is_known(store: Store) -> None:
    with store.transaction() as transaction:
        for signer in (ANA, BEN):
            held = [record(1, signer=signer), record(2, signer=signer)]
            transaction.hold(held, LAPTOP, NOW, waits_for="a statement")
        transaction.hold([record(9, signer=CY)], LAPTOP, NOW, until_ms=NOW + 1)
        elsewhere = record(10, group=OTHER_GROUP, signer=CY)
        transaction.hold([elsewhere], LAPTOP, NOW, waits_for="a statement")

        assert transaction.waiting_signers(GROUP) == {ANA, BEN}


def test_released_versions_are_no_longer_known(store: Store) -> None:
    held = record(1)
    with store.transaction() as transaction:
        transaction.hold([held], LAPTOP, NOW, until_ms=NOW)
        assert transaction.known(GROUP, [held.hash]) == {held.hash}

        transaction.release([held.hash])

        assert transaction.known(GROUP, [held.hash]) == set()
        assert transaction.due(NOW, limit=9) == []


def test_release_leaves_history_alone(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.keep_history([record(1)], NOW)
        transaction.release([record(1).hash])

        assert transaction.history(GROUP, record_id(1)) == [record(1)]


def test_of_what_is_held_the_eldest_of_whoever_sent_most_makes_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HELD_RECORDS_PER_GROUP", 4)
    flood = [record(number) for number in range(6)]
    honest = [record(10), record(11)]
    with store.transaction() as transaction:
        assert transaction.hold(honest[:1], PHONE, NOW, until_ms=NOW) == 0
        for at, each in enumerate(flood[:5]):
            dropped = transaction.hold([each], LAPTOP, NOW + 1 + at, waits_for="what never comes")
            assert dropped == (at > 2) * 1
        assert held_in(transaction) == {each.hash for each in (*flood[2:5], honest[0])}

        assert transaction.hold(honest[1:], PHONE, NOW + 9, until_ms=NOW) == 1
        assert transaction.hold(flood[5:], LAPTOP, NOW + 9, waits_for="what never comes") == 1

        assert held_in(transaction) == {each.hash for each in (*flood[4:], *honest)}
        elsewhere = record(1, group=OTHER_GROUP)
        assert transaction.hold([elsewhere], LAPTOP, NOW, until_ms=NOW) == 0


def held_in(transaction: Transaction) -> set[bytes]:
    every = [record(number).hash for number in range(20)]
    return set(transaction.known(GROUP, every))


def test_what_is_held_once_more_has_waited_from_the_first_time_on(store: Store) -> None:
    late_ms = NOW + limits.WAITING_MS + 1
    with store.transaction() as transaction:
        transaction.hold([record(1), record(2)], LAPTOP, NOW, until_ms=late_ms + 9)
        transaction.hold([record(3)], LAPTOP, NOW + 1, waits_for="a statement")
        transaction.keep_history([record(4)], NOW)
        transaction.hold([record(2)], PHONE, late_ms, waits_for="a statement")

        assert transaction.sweep_held(late_ms - 1, limit=9) == 0
        assert transaction.sweep_held(late_ms, limit=1) == 1
        assert transaction.sweep_held(late_ms, limit=9) == 1
        assert held_in(transaction) == {record(3).hash, record(4).hash}


def test_a_checked_copy_takes_the_place_of_one_that_nobody_could_check(store: Store) -> None:
    forged = msgspec.structs.replace(record(1), signature=b"\1" + bytes(64))
    with store.transaction() as transaction:
        transaction.hold([forged], LAPTOP, NOW, waits_for=UNCHECKED)
        assert transaction.held_by(GROUP, ANA, b"", 9) == [forged]
        transaction.hold([record(1)], PHONE, NOW, waits_for="a statement")
        assert transaction.held_by(GROUP, ANA, b"", 9) == [record(1)]
        transaction.hold([forged], LAPTOP, NOW, waits_for=UNCHECKED)
        assert transaction.held_by(GROUP, ANA, b"", 9) == [record(1)]


def test_known_are_kept_and_remembered_hashes_of_the_group(store: Store) -> None:
    kept, held, refused, elsewhere = (record(number) for number in range(4))
    with store.transaction() as transaction:
        transaction.keep_history([kept], NOW)
        transaction.hold([held], LAPTOP, NOW, until_ms=NOW)
        transaction.remember(GROUP, [(refused.hash, ANA, "no-role")], NOW)
        transaction.remember(OTHER_GROUP, [(elsewhere.hash, ANA, "no-role")], NOW)
        asked = [Hash(bytes([n]) * 32) for n in range(200)] * 5
        asked += [kept.hash, held.hash, refused.hash, elsewhere.hash]

        assert transaction.known(GROUP, asked) == {kept.hash, held.hash, refused.hash}


def test_the_oldest_remembered_hashes_go_first(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REFUSED_HASHES_PER_GROUP", 3)
    hashes = [record(number).hash for number in range(5)]
    with store.transaction() as transaction:
        transaction.remember(OTHER_GROUP, [(hashes[0], ANA, "no-role")], NOW)
        for digest in hashes:
            transaction.remember(GROUP, [(digest, ANA, "no-role")], NOW)

        assert transaction.known(GROUP, hashes) == set(hashes[2:])
        assert transaction.known(OTHER_GROUP, hashes) == {hashes[0]}


def test_a_signer_pushes_out_only_their_own_versions(store: Store) -> None:
    of_ben = record(1, {"text": "kept"}, signer=BEN, modified=NOW - 99)
    of_ana = [record(1, {"n": n}, modified=NOW + n) for n in range(25)]
    with store.transaction() as transaction:
        transaction.keep_history([of_ben, *of_ana, record(2)], NOW)

        assert transaction.prune_history(GROUP, [record_id(1), record_id(2)]) == 5

        newest = of_ana[: -limits.HISTORY_PER_SIGNER - 1 : -1]
        assert transaction.history(GROUP, record_id(1)) == [*newest, of_ben]
        assert transaction.history(GROUP, record_id(2)) == [record(2)]


def test_what_is_too_much_is_not_remembered_since_it_may_be_a_conflict_elsewhere(
    store: Store,
) -> None:
    versions = [record(1, {"n": n}, modified=NOW + n) for n in range(21)]
    with store.transaction() as transaction:
        transaction.keep_history(versions, NOW)
        transaction.prune_history(GROUP, [record_id(1)])

        assert transaction.known(GROUP, [versions[0].hash]) == set()
        assert not transaction.has_set_aside(GROUP)


def test_conflicts_stay_before_newer_versions_that_are_none(store: Store) -> None:
    versions = [record(1, {"n": n}, modified=NOW + n) for n in range(25)]
    hashes = [version.hash for version in versions]
    with store.transaction() as transaction:
        transaction.keep_history(versions, NOW)
        transaction.mark_conflicts(hashes[:2], [])

        transaction.prune_history(GROUP, [record_id(1)])

        assert transaction.history(GROUP, record_id(1)) == [*versions[:6:-1], *versions[1::-1]]
        assert transaction.conflicts(GROUP, [record_id(1)]) == set(hashes[:2])


def test_conflicts_are_marked_and_end_by_their_hashes(store: Store) -> None:
    mine, other, elsewhere = record(1), record(1, {"n": 2}), record(2)
    with store.transaction() as transaction:
        transaction.keep_history([mine, other, elsewhere], NOW)
        transaction.mark_conflicts([mine.hash, other.hash, elsewhere.hash], [])
        transaction.mark_conflicts([], [other.hash])

        assert transaction.conflicts(GROUP, [record_id(1)]) == {mine.hash}
        assert transaction.conflicts(OTHER_GROUP, [record_id(1)]) == set()
        assert transaction.unseen_hashes(GROUP) == sorted([mine.hash, elsewhere.hash])


def test_history_lasts_its_time_from_when_a_version_lost(store: Store) -> None:
    early, late = record(1, modified=5), record(1, {"n": 2}, modified=6)
    with store.transaction() as transaction:
        transaction.keep_history([early], NOW)
        transaction.keep_history([late], NOW + 1)

        assert transaction.sweep_history(NOW + limits.HISTORY_MS, limit=9).eldest == 0
        assert transaction.history(GROUP, record_id(1)) == [late, early]

        assert transaction.sweep_history(NOW + limits.HISTORY_MS + 1, limit=9).eldest == 1
        assert transaction.history(GROUP, record_id(1)) == [late]


def test_what_was_in_history_for_all_its_time_is_remembered(store: Store) -> None:
    versions = [record(1), record(2), record(3, group=OTHER_GROUP)]
    with store.transaction() as transaction:
        transaction.keep_history(versions, NOW)
        transaction.mark_conflicts([versions[1].hash], [])

        swept = transaction.sweep_history(NOW + limits.HISTORY_MS + 1, limit=9)

        assert swept.eldest == 3
        assert swept.groups == {GROUP}
        known = {versions[0].hash, versions[1].hash}
        assert transaction.known(GROUP, [version.hash for version in versions]) == known
        assert transaction.has_set_aside(GROUP)
        assert transaction.counts(GROUP).refused == {}


def test_with_a_conflict_goes_what_its_author_had_seen_however_late_it_came(store: Store) -> None:
    seen, unseen = record(1, {"n": 1}, device=LAPTOP), record(1, {"n": 2}, modified=NOW + 1)
    conflict = record(1, {"n": 3}, modified=NOW + 2, seen={LAPTOP: NOW})
    with store.transaction() as transaction:
        transaction.keep_history([conflict], NOW)
        transaction.keep_history([seen, unseen], NOW + 9)
        transaction.mark_conflicts([conflict.hash], [])

        swept = transaction.sweep_history(NOW + limits.HISTORY_MS + 1, limit=9)

        assert swept.eldest == 1
        assert transaction.history(GROUP, record_id(1)) == [unseen]
        assert transaction.known(GROUP, [seen.hash]) == {seen.hash}


def test_a_sweep_takes_the_oldest_first_and_no_more_than_its_limit(store: Store) -> None:
    with store.transaction() as transaction:
        for number in range(4):
            transaction.keep_history([record(number)], NOW + number)
        end = NOW + limits.HISTORY_MS + 3

        assert transaction.sweep_history(end, limit=2).eldest == 2
        assert transaction.history(GROUP, record_id(1)) == []
        assert transaction.history(GROUP, record_id(2)) == [record(2)]
        assert transaction.sweep_history(end, limit=2).eldest == 1
        assert transaction.history(GROUP, record_id(3)) == [record(3)]


def test_changes_to_pruned_versions_are_no_longer_told(store: Store) -> None:
    versions = [record(1, {"n": n}, modified=NOW + n) for n in range(3)]
    put(store, *fresh(versions[0]))
    put(store, over(versions[1], versions[0]), now_ms=NOW)
    put(store, over(versions[2], versions[1]), now_ms=NOW + 10)

    with store.transaction() as transaction:
        transaction.sweep_history(NOW + 1 + limits.HISTORY_MS, limit=9)
        told = transaction.changes(0, limit=9)
        rows = transaction._connection.exec_driver_sql("SELECT seq FROM changes").fetchall()

    assert [seq for (seq,) in rows] == [2, 3]
    assert [(change.record, change.previous) for change in told] == [
        (versions[1], None),
        (versions[2], versions[1]),
    ]


def test_counts_say_what_is_known_of_a_group(store: Store) -> None:
    put(store, *fresh(record(1)), over(record(1, modified=NOW + 1), record(1)))
    with store.transaction() as transaction:
        transaction.hold([record(3), record(4)], LAPTOP, NOW, until_ms=NOW)
        transaction.remember(GROUP, [(record(5).hash, ANA, "no-role")], NOW)
        keep_waiting(transaction, statement(1))
        transaction.keep_history([record(1, {"n": 9})], NOW)

        assert transaction.counts(GROUP) == Counts(
            live=1,
            history=2,
            held=2,
            quarantined=0,
            pending_statements=1,
            refused={"no-role": 1},
        )
        assert transaction.counts(OTHER_GROUP) == Counts(0, 0, 0, 0, 0, {})

from __future__ import annotations

from typing import Any

import pytest

from peerstack.record import Signed
from peerstack.store import Judging, Moment, Store, VersionState, Withdrawal
from tests.store.samples import (
    ANA,
    BEN,
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
    statement,
)
from tests.store.watching import trace

# --- The queue. ---------------------------------------------------------------------------------


def test_who_waits_longest_is_next(store: Store) -> None:
    with store.transaction() as transaction:
        assert transaction.next_judging() is None
        transaction.queue_judging(GROUP, [BEN])
        transaction.queue_judging(OTHER_GROUP, [ANA])
        transaction.queue_judging(GROUP, [ANA])
        waited = []
        while (judging := transaction.next_judging()) is not None:
            waited.append((judging.group, judging.signer))
            transaction.end_judging(judging)

    assert waited == [(GROUP, BEN), (OTHER_GROUP, ANA), (GROUP, ANA)]


def test_a_cursor_is_kept_until_its_signer_is_queued_again(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.queue_judging(GROUP, [ANA])
        transaction.queue_judging(GROUP, [BEN])
        transaction.note_judging(Judging(GROUP, ANA, "so far"))
    with store.transaction() as transaction:
        assert transaction.next_judging() == Judging(GROUP, ANA, "so far")

        transaction.queue_judging(GROUP, [ANA])

        assert transaction.next_judging() == Judging(GROUP, ANA, "")


def test_an_end_of_one_signer_leaves_the_others_queued(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.queue_judging(GROUP, [ANA, BEN])
        transaction.queue_judging(OTHER_GROUP, [ANA])

        transaction.end_judging(Judging(GROUP, ANA, "somewhere"))

        assert transaction.next_judging() == Judging(GROUP, BEN, "")
        transaction.end_judging(Judging(GROUP, BEN, ""))
        assert transaction.next_judging() == Judging(OTHER_GROUP, ANA, "")


# --- What there is of a signer. -----------------------------------------------------------------


def test_a_signers_live_versions_are_read_page_by_page(store: Store) -> None:
    mine = [record(number) for number in range(5)]
    others = [record(7, signer=BEN), record(8, group=OTHER_GROUP)]
    put(store, *fresh(*mine, *others))

    with store.snapshot() as snapshot:
        first = snapshot.live_by(GROUP, ANA, "", 3)
        assert first == mine[:3]
        assert snapshot.live_by(GROUP, ANA, first[-1].id, 3) == mine[3:]
        assert snapshot.live_by(GROUP, BEN, "", 9) == others[:1]


def test_a_signers_kept_versions_are_read_by_hash_with_why_they_are_kept(store: Store) -> None:
    lost, unseen, aside, held = (record(number) for number in range(4))
    with store.transaction() as transaction:
        transaction.keep_history([lost, unseen, record(5, signer=BEN)], NOW)
        transaction.keep_history([record(6, group=OTHER_GROUP)], NOW)
        transaction.mark_conflicts([unseen.hash], [])
        transaction.quarantine([(aside, "an end")], NOW)
        transaction.hold([held], LAPTOP, NOW, until_ms=NOW + 1)

        found = transaction.kept_by(GROUP, ANA, b"", 9)
        pages = [transaction.kept_by(GROUP, ANA, found[n].record.hash, 1) for n in range(3)]

    assert {each.record.hash: (each.state, each.why) for each in found} == {
        lost.hash: (VersionState.HISTORY, ""),
        unseen.hash: (VersionState.UNSEEN, ""),
        aside.hash: (VersionState.QUARANTINED, "an end"),
    }
    assert [each.record.hash for each in found] == sorted(each.record.hash for each in found)
    assert pages == [found[1:2], found[2:3], []]


def test_what_is_held_of_a_signer_is_read_by_hash_page_by_page(store: Store) -> None:
    versions = sorted((record(number) for number in range(5)), key=lambda one: one.hash)
    with store.transaction() as transaction:
        transaction.hold(versions, LAPTOP, NOW, waits_for="a statement")
        transaction.hold([record(9)], LAPTOP, NOW, until_ms=NOW + 1)
        others = [record(10, group=OTHER_GROUP), record(11, signer=BEN)]
        transaction.hold(others, LAPTOP, NOW, waits_for="a statement")
        transaction.keep_history([record(12)], NOW)

        first = transaction.held_by(GROUP, ANA, b"", 3)
        assert first == versions[:3]
        assert transaction.held_by(GROUP, ANA, first[-1].hash, 9) == versions[3:]


def test_who_is_queued_for_what_is_held_keeps_the_place_that_they_have(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.queue_judging(GROUP, [BEN])
        transaction.queue_at(GROUP, [ANA, BEN], "held:")

        assert transaction.next_judging() == Judging(GROUP, BEN, "")
        transaction.end_judging(Judging(GROUP, BEN, ""))
        assert transaction.next_judging() == Judging(GROUP, ANA, "held:")


def test_lost_versions_of_many_records_are_read_at_once_newest_first(store: Store) -> None:
    versions = [record(1, {"n": n}, modified=NOW + n) for n in range(3)]
    other, aside = record(2), record(2, {"n": 2})
    with store.transaction() as transaction:
        transaction.keep_history([*versions, other, record(3)], NOW)
        transaction.quarantine([(aside, "an end")], NOW)

        found = transaction.lost(GROUP, [versions[0].id, other.id, record(9).id])

    assert found == {versions[0].id: versions[::-1], other.id: [other]}


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda store: store.live_by(GROUP, ANA, "", 9), "ix_records_signer"),
        (lambda store: store.kept_by(GROUP, ANA, b"", 9), "ix_versions_signer"),
        (lambda store: store.held_by(GROUP, ANA, b"", 9), "ix_versions_signer"),
        (lambda store: store.lost(GROUP, [record(1).id]), "ix_versions_line"),
        (lambda store: store.forget(GROUP, [ANA]), "ix_remembered_signer"),
        (lambda store: store.forget_aged(GROUP, [record(1).id]), "ix_remembered_line"),
        (lambda store: store.written_by(GROUP, ANA), "ix_records_signer"),
        (lambda store: store.written_by(GROUP, ANA), "ix_versions_signer"),
        (lambda store: store.latest_by(GROUP, PHONE), "ix_records_device"),
    ],
)
def test_nothing_is_looked_for_among_the_versions_of_others(
    store: Store, ask: Any, index: str
) -> None:
    with store.transaction() as transaction:
        ran = trace(transaction._connection)
        ask(transaction)
        asked = [sql for sql in ran if not sql.startswith("BEGIN")]
        plans = [
            row[3]
            for sql in asked
            for row in transaction._connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")
        ]

    assert any(index in plan for plan in plans)


# --- What changed. ------------------------------------------------------------------------------


def test_a_transaction_knows_which_statements_count_since_it_began(store: Store) -> None:
    here, new, pending, settled = (statement(number) for number in range(4))
    with store.transaction() as transaction:
        transaction.add_statements([here])
        keep_waiting(transaction, settled)
        root = transaction.group(GROUP)
    assert root is not None
    with store.transaction() as transaction:
        transaction.add_statements([here, new, settled])
        keep_waiting(transaction, pending)

        assert transaction.counting_now == {new.hash, settled.hash}
        assert transaction.roots_before == {GROUP: root.statements_root}


def test_a_statement_that_counts_already_changes_no_root(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.add_statements([statement(1)])
    with store.transaction() as transaction:
        transaction.add_statements([statement(1)])
        keep_waiting(transaction, statement(2))

        assert transaction.roots_before == {}
        assert transaction.counting_now == set()


def test_what_a_user_signs_about_themselves_changes_each_group_that_they_sign_in(
    store: Store,
) -> None:
    with store.transaction() as transaction:
        transaction.add_statements([statement(1)])
    with store.transaction() as transaction:
        transaction.add_statements([statement(2, group=ANA, kind="$device")])

        assert set(transaction.roots_before) == {GROUP}


def test_what_was_here_at_a_moment_counts_though_it_was_withdrawn_since(store: Store) -> None:
    early, late, gone_before, lost = (record(number) for number in range(4))
    edit = record(3, {"n": 2}, modified=NOW + 1)
    put(store, *fresh(early, gone_before, lost))
    put(store, over(edit, lost))
    withdraw(store, gone_before)
    with store.snapshot() as snapshot:
        moment = Moment(snapshot.last_seq(), NOW)
    put(store, *fresh(late))
    withdraw(store, early, late, edit)
    with store.transaction() as transaction:
        transaction.quarantine([(record(9), "an end")], NOW)

        found = transaction.written_by(GROUP, ANA, until=moment)

    assert found == {early.hash, edit.hash, lost.hash}


def withdraw(store: Store, *gone: Signed) -> None:
    with store.transaction() as transaction:
        transaction.withdraw([Withdrawal(one, "an end", None) for one in gone], NOW)


def test_no_seal_names_how_far_a_device_said_it_was(store: Store) -> None:
    note = record(1)
    put(store, *fresh(note, record(kind="$reached")))

    with store.transaction() as transaction:
        assert transaction.written_by(GROUP, ANA) == {note.hash}

from __future__ import annotations

import hashlib

import pytest

from peerstack import limits
from peerstack.ids import GroupId, as_group
from peerstack.record import Signed
from peerstack.store import Sender, Store, Transaction
from tests.store.samples import (
    ANA,
    BEN,
    GROUP,
    LAPTOP,
    NOW,
    OTHER_GROUP,
    PHONE,
    keep_waiting,
    statement,
    ulid,
)


def root_of(*signed: Signed) -> bytes:
    return hashlib.sha256(b"".join(sorted(one.hash for one in signed))).digest()


def root_in(transaction: Transaction, group: GroupId = GROUP) -> tuple[bytes, int]:
    row = transaction.group(group)
    assert row is not None
    return row.statements_root, row.statements_count


def test_statements_come_back_as_signed_in_the_order_of_time(store: Store) -> None:
    late, early = statement(2), statement(1)
    with store.transaction() as transaction:
        transaction.add_statements([late, early, statement(3, group=OTHER_GROUP)])

        assert transaction.statements(GROUP) == [early, late]
        assert transaction.statements_by_hash([late.hash, bytes(32)]) == [late]


def test_adding_a_statement_twice_adds_it_once(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.add_statements([statement(1)])
        transaction.add_statements([statement(1), statement(1)])

        assert transaction.statements(GROUP) == [statement(1)]
        assert root_in(transaction) == (root_of(statement(1)), 1)


def test_a_group_without_statements_has_the_root_of_nothing(store: Store) -> None:
    with store.snapshot() as snapshot:
        row = snapshot.group(GROUP)

    assert row is not None
    assert row.statements_root == hashlib.sha256().digest()


def test_the_root_covers_the_identities_of_all_signers(store: Store) -> None:
    grant = statement(1, signer=ANA)
    of_ana = statement(2, group=ANA, signer=ANA, kind="$device")
    of_ben = statement(3, group=BEN, signer=BEN, kind="$device")
    with store.transaction() as transaction:
        transaction.add_statements([of_ana, of_ben, grant])

        assert root_in(transaction) == (root_of(grant, of_ana), 2)
        assert transaction.statement_hashes(GROUP) == sorted([grant.hash, of_ana.hash])


def test_a_new_identity_statement_renews_the_root_wherever_its_user_signs(store: Store) -> None:
    here, there = statement(1, signer=ANA), statement(1, group=OTHER_GROUP, signer=BEN)
    late = statement(2, group=ANA, signer=ANA, kind="$device")
    with store.transaction() as transaction:
        transaction.add_statements([here, there])
        transaction.add_statements([late])

        assert root_in(transaction) == (root_of(here, late), 2)
        assert root_in(transaction, OTHER_GROUP) == (root_of(there), 1)


def test_a_group_that_comes_after_its_statements_has_their_root(store: Store) -> None:
    group = as_group(ulid(3))
    with store.transaction() as transaction:
        transaction.add_statements([statement(1, group=group)])
        transaction.add_group(group, NOW)

        assert root_in(transaction, group) == (root_of(statement(1, group=group)), 1)


def test_pending_statements_do_not_show_until_they_are_added_outright(store: Store) -> None:
    waiting = statement(1)
    with store.transaction() as transaction:
        assert keep_waiting(transaction, waiting) == 0
        assert transaction.statements(GROUP) == []
        assert transaction.statement_hashes(GROUP) == []
        assert transaction.pending_statements(GROUP) == [waiting]
        assert root_in(transaction) == (root_of(), 0)

        transaction.add_statements([waiting])

        assert transaction.statements(GROUP) == [waiting]
        assert transaction.pending_statements(GROUP) == []
        assert root_in(transaction) == (root_of(waiting), 1)


def test_a_settled_statement_does_not_become_pending_again(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.add_statements([statement(1)])
        keep_waiting(transaction, statement(1))
        transaction.drop_pending([statement(1).hash])

        assert transaction.statements(GROUP) == [statement(1)]


def test_pending_statements_can_be_dropped(store: Store) -> None:
    with store.transaction() as transaction:
        keep_waiting(transaction, statement(1), statement(2))
        transaction.drop_pending([statement(1).hash])

        assert transaction.pending_statements(GROUP) == [statement(2)]


def test_what_waits_is_found_by_what_it_waits_for(store: Store) -> None:
    first, second, third = (statement(number) for number in range(3))
    with store.transaction() as transaction:
        keep_waiting(transaction, first, third, waits_for="ana")
        keep_waiting(transaction, second, waits_for="ben")

        assert transaction.pending_statements(GROUP, ["ana", "cy"]) == [first, third]

        keep_waiting(transaction, first, waits_for="ben")

        assert transaction.pending_statements(GROUP, ["ben"]) == [first, second]
        assert transaction.pending_statements(OTHER_GROUP, ["ben"]) == []


MEMBER, OTHER_MEMBER = Sender(PHONE, True), Sender(LAPTOP, True)
STRANGER, OTHER_STRANGER = Sender("11" * 32, False), Sender("22" * 32, False)


def test_what_strangers_sent_makes_room_first_and_of_it_the_eldest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PENDING_STATEMENTS_PER_GROUP", 4)
    flood = [statement(number) for number in range(4)]
    honest = [statement(number) for number in range(4, 8)]
    with store.transaction() as transaction:
        for at, each in enumerate(flood):
            assert keep_waiting(transaction, each, sender=STRANGER, now_ms=NOW + at) == 0
        assert keep_waiting(transaction, *honest[:2], sender=MEMBER, now_ms=NOW + 9) == 2
        assert transaction.pending_statements(GROUP) == [*flood[2:], *honest[:2]]

        keep_waiting(transaction, *honest[2:], sender=OTHER_MEMBER, now_ms=NOW + 10)
        assert transaction.pending_statements(GROUP) == honest

        assert keep_waiting(transaction, flood[0], sender=STRANGER, now_ms=NOW + 11) == 1
        assert transaction.pending_statements(GROUP) == honest


@pytest.mark.parametrize(("greedy", "modest"), [(STRANGER, OTHER_STRANGER), (MEMBER, OTHER_MEMBER)])
def test_who_sent_most_of_what_waits_makes_room_for_others(
    store: Store, monkeypatch: pytest.MonkeyPatch, greedy: Sender, modest: Sender
) -> None:
    monkeypatch.setattr(limits, "PENDING_STATEMENTS_PER_GROUP", 4)
    flood = [statement(number) for number in range(9)]
    with store.transaction() as transaction:
        keep_waiting(transaction, statement(10), sender=modest)
        for at, each in enumerate(flood):
            keep_waiting(transaction, each, sender=greedy, now_ms=NOW + 1 + at)
        assert transaction.pending_statements(GROUP) == [*flood[-3:], statement(10)]

        keep_waiting(transaction, statement(11), sender=modest, now_ms=NOW + 20)

        expected = [*flood[-2:], statement(10), statement(11)]
        assert transaction.pending_statements(GROUP) == expected
        transaction.add_statements(flood)
        assert transaction.statements(GROUP) == flood


def test_what_waits_too_long_is_let_go_of(store: Store) -> None:
    late_ms = NOW + limits.WAITING_MS
    with store.transaction() as transaction:
        keep_waiting(transaction, statement(1), statement(2), statement(3))
        keep_waiting(transaction, statement(4), now_ms=NOW + 1)
        # It is looked at again meanwhile, which does not make it any younger.
        keep_waiting(transaction, statement(3), now_ms=late_ms)
        transaction.add_statements([statement(2)])

        assert transaction.sweep_pending(late_ms, limit=9) == 0
        assert transaction.sweep_pending(late_ms + 1, limit=1) == 1
        assert transaction.sweep_pending(late_ms + 1, limit=9) == 1
        assert transaction.pending_statements(GROUP) == [statement(4)]
        assert transaction.statements(GROUP) == [statement(2)]

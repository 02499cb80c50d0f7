from __future__ import annotations

import hashlib

import pytest

from peerstack import limits
from peerstack.ids import GroupId, as_group
from peerstack.record import Signed
from peerstack.store import Store, Transaction
from tests.store.samples import ANA, BEN, GROUP, NOW, OTHER_GROUP, statement, ulid


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
        assert transaction.add_statements([waiting], pending=True) == []
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
        transaction.add_statements([statement(1)], pending=True)
        transaction.drop_pending([statement(1).hash])

        assert transaction.statements(GROUP) == [statement(1)]


def test_pending_statements_can_be_dropped(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.add_statements([statement(1), statement(2)], pending=True)
        transaction.drop_pending([statement(1).hash])

        assert transaction.pending_statements(GROUP) == [statement(2)]


def test_a_group_keeps_no_more_pending_statements_than_its_bound(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PENDING_STATEMENTS_PER_GROUP", 2)
    signed = [statement(number) for number in range(4)]
    with store.transaction() as transaction:
        assert transaction.add_statements(signed[:1], pending=True) == []
        assert transaction.add_statements(signed[:3], pending=True) == signed[2:3]
        assert transaction.add_statements(signed[3:]) == []
        assert transaction.statements(GROUP) == signed[3:]

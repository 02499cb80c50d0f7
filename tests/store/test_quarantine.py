from __future__ import annotations

import random

import pytest

from peerstack import limits
from peerstack.errors import StoreError
from peerstack.reconcile import EVERYTHING, MemorySet, Span
from peerstack.record import Signed, decode_untrusted
from peerstack.store import (
    LOCAL_ORIGIN,
    LoggedChange,
    SetAside,
    Store,
    Withdrawal,
    item_of,
)
from tests.store.samples import (
    ANA,
    BEN,
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

END = "an end"


def withdraw(
    store: Store, *gone: tuple[Signed, Signed | None], why: str = END, now_ms: int = NOW
) -> None:
    with store.transaction() as transaction:
        transaction.withdraw([Withdrawal(one, why, heir) for one, heir in gone], now_ms)


def edited(store: Store, number: int) -> tuple[Signed, Signed]:
    """A record whose live version another one has replaced."""
    note, edit = record(number), record(number, {"n": 2}, modified=NOW + 1, device=LAPTOP)
    put(store, *fresh(note))
    put(store, over(edit, note))
    return note, edit


# --- What is withdrawn. -------------------------------------------------------------------------


def test_a_withdrawn_version_is_not_live_and_kept_with_why_and_since_when(store: Store) -> None:
    gone, stays = record(1), record(2)
    put(store, *fresh(gone, stays))

    withdraw(store, (gone, None), now_ms=NOW + 7)

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, gone.id) is None
        assert snapshot.get(GROUP, stays.id) == stays
        assert snapshot.quarantined(GROUP, 9) == [SetAside(gone, END, NOW + 7)]
        assert snapshot.known(GROUP, [gone.hash]) == {gone.hash}
        assert snapshot.has_set_aside(GROUP)
        assert snapshot.history(GROUP, gone.id) == []
        counts = snapshot.counts(GROUP)
        assert (counts.live, counts.quarantined, counts.history) == (1, 1, 0)


def test_the_heir_of_a_withdrawn_version_is_live_and_lost_no_more(store: Store) -> None:
    note, edit = edited(store, 1)

    withdraw(store, (edit, note))

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, note.id) == note
        assert snapshot.history(GROUP, note.id) == []
        assert snapshot.find(GROUP, "note") == [note]
        assert snapshot.counts(GROUP).live == 1


def test_an_heir_is_found_by_its_fields_however_its_author_spelled_them(store: Store) -> None:
    spelled = record(1, {"n": 1}).body.replace(b'"n"', b'"\\u006e"')
    note = decode_untrusted(spelled, record(1).signature)
    put(store, *fresh(note))
    edit = record(1, {"n": 2}, modified=NOW + 1)
    put(store, over(edit, note))

    withdraw(store, (edit, note))

    with store.snapshot() as snapshot:
        assert snapshot.find(GROUP, "note", {"n": 1}) == [note]


def test_the_log_tells_of_what_left_and_then_of_what_returned(store: Store) -> None:
    note, edit = edited(store, 1)
    other = record(2)
    put(store, *fresh(other))

    withdraw(store, (edit, note), (other, None))

    with store.snapshot() as snapshot:
        assert snapshot.changes(3, limit=9) == [
            LoggedChange(4, edit, None, LAPTOP, False, withdrawn=True),
            LoggedChange(5, note, edit, PHONE, False),
            LoggedChange(6, other, None, PHONE, False, withdrawn=True),
        ]


def test_what_was_told_before_still_is_with_what_it_had_replaced(store: Store) -> None:
    note, edit = edited(store, 1)
    withdraw(store, (edit, note))

    with store.snapshot() as snapshot:
        assert snapshot.changes(0, limit=2) == [
            LoggedChange(1, note, None, LOCAL_ORIGIN, False),
            LoggedChange(2, edit, note, LAPTOP, False),
        ]


def test_what_is_not_live_cannot_be_withdrawn(store: Store) -> None:
    note, _ = edited(store, 1)

    with pytest.raises(StoreError, match="not live"):
        withdraw(store, (note, None))


def test_withdrawing_nothing_changes_nothing(store: Store) -> None:
    put(store, *fresh(record(1)))

    withdraw(store)

    with store.snapshot() as snapshot:
        assert snapshot.last_seq() == 1


@pytest.mark.parametrize("seed", range(3))
def test_sums_follow_what_leaves_and_what_returns(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    notes = [record(n, modified=NOW + dice.randrange(10_000)) for n in range(700)]
    edits = [
        record(n, {"n": 2}, modified=NOW + 20_000 + dice.randrange(10_000)) for n in range(700)
    ]
    put(store, *fresh(*notes))
    put(store, *(over(edit, note) for edit, note in zip(edits[:400], notes, strict=False)))
    live = dict(enumerate([*edits[:400], *notes[400:]]))
    for _ in range(6):
        gone = dice.sample(sorted(live), 60)
        heirs = {n: notes[n] for n in gone if live[n] is edits[n]}
        withdraw(store, *((live[n], heirs.get(n)) for n in gone))
        for number in gone:
            del live[number]
        live.update(heirs)

        with store.snapshot() as snapshot:
            expected = MemorySet([item_of(each) for each in live.values()])
            ordered = snapshot.record_set(GROUP)
            assert ordered.fingerprint(EVERYTHING) == expected.fingerprint(EVERYTHING)
            for span, fingerprint in ordered.split(EVERYTHING, 16):
                assert fingerprint == expected.fingerprint(span)
            assert snapshot.counts(GROUP).live == len(live)


def test_sums_that_were_read_before_are_read_anew(store: Store) -> None:
    put(store, *fresh(record(1), record(2)))
    with store.transaction() as transaction:
        span = Span(b"\0", None)
        before = transaction.record_set(GROUP).fingerprint(span)

        transaction.withdraw([Withdrawal(record(1), END, None)], NOW)

        assert transaction.record_set(GROUP).fingerprint(span) != before


def test_what_was_live_is_withdrawn_however_full_the_quarantine_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUARANTINED_PER_GROUP", 2)
    records = [record(number) for number in range(5)]
    put(store, *fresh(*records))

    withdraw(store, *((each, None) for each in records))

    with store.transaction() as transaction:
        assert transaction.counts(GROUP).quarantined == 5
        assert transaction.quarantine([(record(9), END)], NOW) == [record(9)]


# --- What arrives, and what is moved. -----------------------------------------------------------


def test_what_arrives_is_quarantined_up_to_the_bound_of_its_group(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUARANTINED_PER_GROUP", 3)
    versions = [(record(number), END) for number in range(5)]
    with store.transaction() as transaction:
        assert transaction.quarantine(versions[:2], NOW) == []
        assert transaction.quarantine(versions[2:], NOW) == [record(3), record(4)]
        assert transaction.quarantine([(record(1, group=OTHER_GROUP), END)], NOW) == []
        assert transaction.counts(GROUP).quarantined == 3


def test_what_is_kept_already_stays_as_it_is(store: Store) -> None:
    gone, held = record(1), record(2)
    put(store, *fresh(gone))
    withdraw(store, (gone, None))

    with store.transaction() as transaction:
        transaction.hold([held], LAPTOP, NOW, until_ms=NOW + 5)
        transaction.quarantine([(gone, "another"), (held, "another")], NOW + 9)

        assert transaction.quarantined(GROUP, 9) == [SetAside(gone, END, NOW)]
        assert transaction.due(NOW + 5, limit=9) == [held]


def test_lost_versions_are_set_aside_and_those_set_aside_may_be_given_another_reason(
    store: Store,
) -> None:
    lost, conflict = record(1, {"n": 1}), record(1, {"n": 2})
    with store.transaction() as transaction:
        transaction.keep_history([lost, conflict], NOW)
        transaction.mark_conflicts([conflict.hash], [])

        transaction.set_aside([(lost, END), (conflict, END)], NOW + 1)
        transaction.set_aside([(lost, "another")], NOW + 2)

        assert transaction.history(GROUP, lost.id) == []
        assert transaction.unseen_hashes(GROUP) == []
        found = {each.record.hash: each for each in transaction.quarantined(GROUP, 9)}
        assert found[lost.hash] == SetAside(lost, "another", NOW + 1)
        assert found[conflict.hash] == SetAside(conflict, END, NOW + 1)


def test_what_is_readmitted_is_known_no_more(store: Store) -> None:
    gone = record(1)
    with store.transaction() as transaction:
        transaction.quarantine([(gone, END)], NOW)

        transaction.readmit([gone])

        assert transaction.known(GROUP, [gone.hash]) == set()
        assert transaction.quarantined(GROUP, 9) == []


def test_quarantine_does_not_age(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.quarantine([(record(1), END)], NOW)

        assert transaction.sweep_history(NOW + 10 * limits.HISTORY_MS, 9).eldest == 0
        assert transaction.prune_history(GROUP, [record_id(1)]) == 0
        assert transaction.counts(GROUP).quarantined == 1


# --- What can be read. --------------------------------------------------------------------------


def test_the_quarantine_is_read_page_by_page_the_latest_first(store: Store) -> None:
    versions = [record(number) for number in range(9)]
    with store.transaction() as transaction:
        for number, version in enumerate(versions):
            # Three at a time.
            transaction.quarantine([(version, END)], NOW + number // 3)
        transaction.quarantine([(record(1, group=OTHER_GROUP), END)], NOW + 99)
        transaction.quarantine([(record(20, kind="$data.any"), END)], NOW + 99)
        expected = sorted(versions, key=lambda each: each.hash)
        expected.sort(key=lambda each: versions.index(each) // 3, reverse=True)

        read: list[SetAside] = []
        while page := transaction.quarantined(
            GROUP, 2, (read[-1].since_ms, read[-1].record.hash) if read else None
        ):
            read += page

    assert [each.record for each in read] == expected


def test_versions_in_quarantine_are_found_by_their_hashes(store: Store) -> None:
    here, elsewhere, lost = record(1), record(1, group=OTHER_GROUP), record(2)
    reserved = record(3, kind="$data.any")
    with store.transaction() as transaction:
        asides = [(here, END), (elsewhere, END), (reserved, END)]
        transaction.quarantine(asides, NOW)
        transaction.keep_history([lost], NOW)
        asked = [here.hash, elsewhere.hash, lost.hash, reserved.hash]

        found = transaction.quarantined_by_hash(GROUP, asked)

    assert {each.record.hash for each in found} == {here.hash, reserved.hash}


# --- What is remembered. ------------------------------------------------------------------------


def test_what_was_refused_of_a_signer_is_forgotten_and_what_is_too_old_is_not(
    store: Store,
) -> None:
    old, refused, of_ben = record(1), record(2).hash, record(3, signer=BEN).hash
    with store.transaction() as transaction:
        transaction.keep_history([old], NOW)
        transaction.sweep_history(NOW + limits.HISTORY_MS + 1, 9)
        transaction.remember(GROUP, [(refused, ANA, "no-role"), (of_ben, BEN, "no-role")], NOW)

        transaction.forget(GROUP, [ANA])

        assert transaction.known(GROUP, [old.hash, refused, of_ben]) == {old.hash, of_ben}
        assert transaction.counts(GROUP).refused == {"no-role": 1}


def test_what_was_too_old_of_a_record_can_be_forgotten(store: Store) -> None:
    first, second = record(1), record(2)
    with store.transaction() as transaction:
        transaction.keep_history([first, second], NOW)
        transaction.sweep_history(NOW + limits.HISTORY_MS + 1, 9)

        transaction.forget_aged(GROUP, [first.id])
        transaction.forget_aged(OTHER_GROUP, [second.id])

        assert transaction.known(GROUP, [first.hash, second.hash]) == {second.hash}

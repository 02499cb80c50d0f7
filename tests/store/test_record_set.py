from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerstack.ids import RecordId, as_group
from peerstack.reconcile import EVERYTHING, Fingerprint, Item, MemorySet, Span
from peerstack.record import Signed
from peerstack.store import Change, Store, Transaction, item_of
from peerstack.store.blocks import BLOCK_ITEMS
from tests.reconcile.ordered_set_contract import check_ordered_set
from tests.store.samples import GROUP, LAPTOP, NOW, OTHER_GROUP, fresh, put, record, ulid
from tests.store.watching import trace

bounds = st.binary(max_size=3) | st.builds(
    lambda offset, tail: (NOW + offset).to_bytes(6, "big") + tail,
    st.integers(-10, 3000),
    st.binary(max_size=3) | st.text("0123ABC", max_size=26).map(str.encode),
)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    lower, upper = draw(bounds), draw(st.none() | bounds)
    if upper is not None and upper <= lower:
        lower, upper = upper, lower + b"\0"
    return Span(lower, upper)


class Edits:
    """Batches of first versions and edits, in no order, and what is live after them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.live: dict[RecordId, Signed] = {}

    def batch(self, size: int) -> list[Change]:
        changes = []
        for _ in range(size):
            version = record(
                self._random.randrange(900),
                {"n": self._random.random()},
                modified=NOW + self._random.randrange(3000),
            )
            previous = self.live.get(version.id)
            if previous is None or previous.order < version.order:
                changes.append(Change(version, previous, LAPTOP))
                self.live[version.id] = version
        return changes

    def items(self) -> list[Item]:
        return sorted(map(item_of, self.live.values()), key=lambda item: item.key)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.sampled_from([0, 1, 3, 200, 700]), max_size=6),
    span=spans(),
    parts=st.integers(1, 40),
)
def test_the_live_records_keep_the_contract_of_an_ordered_set(
    seed: int, sizes: Sequence[int], span: Span, parts: int
) -> None:
    store, edits = Store.open(":memory:"), Edits(seed)
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
        for size in sizes:
            transaction.apply(edits.batch(size), NOW)

        items, live = edits.items(), transaction.record_set(GROUP)
        expected = MemorySet(items)
        check_ordered_set(live, items, span, parts)
        check_ordered_set(live, items, EVERYTHING, parts)
        check_ascending(live.split(span, parts))
        assert live.fingerprint(span) == expected.fingerprint(span)
        assert live.fingerprint(EVERYTHING) == expected.fingerprint(EVERYTHING)
        check_blocks(transaction, items)
        check_neighbours(transaction, items)
    store.close()


def check_neighbours(transaction: Transaction, items: Sequence[Item]) -> None:
    """Fails unless the records from any rank on are those that stand there."""
    for rank in (0, 1, len(items) // 3, len(items) - 70, len(items) - 1, len(items)):
        if rank >= 0:
            assert transaction.neighbours(GROUP, rank, 64) == items[rank : rank + 64]


def check_ascending(pieces: Sequence[tuple[Span, Fingerprint]]) -> None:
    """Fails where a piece has no room for a key: peers refuse bounds that do not ascend."""
    assert all(span.upper is None or span.lower < span.upper for span, _ in pieces)


def check_blocks(transaction: Transaction, items: Sequence[Item]) -> None:
    """Fails unless the blocks are small, cover all keys, and add up to the group's root."""
    blocks = block_rows(transaction)
    firsts = [first for first, *_ in blocks]
    model = MemorySet(items)
    assert firsts[0] == b""
    for (lower, count, _), upper in zip(blocks, [*firsts[1:], None], strict=True):
        assert count == model.fingerprint(Span(lower, upper)).count <= BLOCK_ITEMS
        assert count > 0 or lower == b""
    row = transaction.group(GROUP)
    assert row is not None
    assert row.root == model.fingerprint(EVERYTHING)


def block_rows(transaction: Transaction) -> list[tuple[bytes, int, bytes]]:
    rows = transaction._connection.exec_driver_sql(
        "SELECT first_key, count, sum FROM blocks WHERE group_id = ? ORDER BY first_key", (GROUP,)
    )
    return [(first, count, total) for first, count, total in rows]


@given(span=spans())
def test_any_bytes_of_a_peer_are_a_bound(span: Span) -> None:
    records = [record(number, modified=NOW + number) for number in range(5)]
    store = Store.open(":memory:")
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
        transaction.apply(fresh(*records), NOW)
        found = transaction.record_set(GROUP).items(span, 9)
    store.close()

    assert found == [item_of(one) for one in records if item_of(one).key in span]


@pytest.mark.parametrize("tail", [b"\x80", b"0\xff", b"\xc3\xa9", b"\0", b"0" * 200])
def test_a_bound_with_a_strange_tail_stands_where_its_bytes_stand(
    store: Store, tail: bytes
) -> None:
    records = [record(number) for number in range(3)]
    put(store, *fresh(*records))
    key = item_of(records[1]).key
    for bound in (key + tail, key[:-1] + tail, key[:6] + tail):
        with store.snapshot() as snapshot:
            found = snapshot.record_set(GROUP).items(Span(b"", bound), 9)

        assert found == [item_of(one) for one in records if item_of(one).key < bound]


def test_devices_that_got_the_same_records_in_other_batches_cut_mostly_alike() -> None:
    records = [record(number, modified=NOW + number) for number in range(3000)]
    cuts = []
    for batch in (500, 7):
        store = Store.open(":memory:")
        with store.transaction() as transaction:
            transaction.add_group(GROUP, NOW)
            for start in range(0, len(records), batch):
                transaction.apply(fresh(*records[start : start + batch]), NOW)
            cuts.append({first for first, *_ in block_rows(transaction)})
        store.close()

    assert len(cuts[0] & cuts[1]) > 0.8 * max(map(len, cuts))


def test_devices_that_differ_in_an_old_record_cut_mostly_alike() -> None:
    records = [record(number, modified=NOW + number) for number in range(3000)]
    cuts = []
    for held in (records, records[:5] + records[6:]):
        store = Store.open(":memory:")
        with store.transaction() as transaction:
            transaction.add_group(GROUP, NOW)
            transaction.apply(fresh(*held), NOW)
            cuts.append({first for first, *_ in block_rows(transaction)})
        store.close()

    assert len(cuts[0] & cuts[1]) > 0.8 * max(map(len, cuts))


def test_emptied_ranges_leave_no_blocks_behind(store: Store) -> None:
    first = [record(number, modified=NOW + number) for number in range(1000)]
    with store.transaction() as transaction:
        transaction.apply(fresh(*first), NOW)
        for start in range(0, 1000, 10):
            edited = [
                Change(record(number, modified=NOW + 10_000 + number), first[number], LAPTOP)
                for number in range(start, start + 10)
            ]
            transaction.apply(edited, NOW)
        old = [row for row in block_rows(transaction) if row[0] < (NOW + 5000).to_bytes(6, "big")]

    assert len(old) <= 2


def test_the_root_of_a_group_costs_one_statement_and_one_row(store: Store) -> None:
    put(store, *fresh(*(record(number) for number in range(300))))
    with store.snapshot() as snapshot:
        snapshot.last_seq()
        ran = trace(snapshot._connection)
        snapshot.group(GROUP)
        assert len(ran) == 1
        snapshot.record_set(GROUP).fingerprint(EVERYTHING)
        assert len(ran) == 2
        assert all("blocks" not in sql and "records" not in sql for sql in ran)


def test_the_blocks_are_read_once_in_a_transaction_and_again_after_a_write(store: Store) -> None:
    records = [record(number, modified=NOW + number) for number in range(600)]
    old = Span(b"", (NOW + 100).to_bytes(6, "big"))
    put(store, *fresh(*records[50:]))
    with store.transaction() as transaction:
        ran = trace(transaction._connection)
        counts = [transaction.record_set(GROUP).fingerprint(old).count for _ in range(3)]
        reads = sum("FROM blocks" in sql for sql in ran)
        transaction.apply(fresh(*records[:50]), NOW)
        counts.append(transaction.record_set(GROUP).fingerprint(old).count)

    assert reads == 1
    assert counts == [50, 50, 50, 100]


@pytest.mark.parametrize("count", [300, 3_000])
def test_the_neighbours_of_any_rank_cost_three_statements(store: Store, count: int) -> None:
    records = [record(number, modified=NOW + number) for number in range(count)]
    put(store, *fresh(*records))
    with store.snapshot() as snapshot:
        snapshot.last_seq()
        ran = trace(snapshot._connection)
        found = snapshot.neighbours(GROUP, count - 100, 64)

    assert found == [item_of(one) for one in records[-100:-36]]
    assert sum("SELECT" in sql for sql in ran) == 3


def test_groups_have_roots_of_their_own(store: Store) -> None:
    put(store, *fresh(record(1), record(1, group=OTHER_GROUP), record(2, group=OTHER_GROUP)))
    with store.snapshot() as snapshot:
        assert [row.records.count for row in snapshot.groups()] == [1, 2]
        assert snapshot.record_set(OTHER_GROUP).fingerprint(Span(b"\0", None)).count == 2


def test_a_group_that_is_not_here_is_an_empty_set(store: Store) -> None:
    with store.snapshot() as snapshot:
        nowhere = snapshot.record_set(as_group(ulid(99)))
        assert nowhere.fingerprint(EVERYTHING) == MemorySet([]).fingerprint(EVERYTHING)
        assert nowhere.fingerprint(Span(b"0", b"1")).count == 0

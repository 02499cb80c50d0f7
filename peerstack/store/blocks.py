"""Keeps, for each group, sums over runs of its live records, in the transaction of each write.

A group's keys are cut into blocks, each with the count and sum of the items in it; `groups` has
the total. So the fingerprint of any range costs a few rows instead of all of them. Knows keys and
hashes; not what a record says, or why it became live.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from peerstack import limits
from peerstack.ids import GroupId
from peerstack.reconcile import EVERYTHING, Item, Span, Sum, shortest_bound
from peerstack.store.rows import chunks, fetch, fetch_each, marks, run_many
from peerstack.store.values import key_of

BLOCK_ITEMS: Final = limits.LEAF_ITEMS
"""A block that holds more is cut: so a block is small enough to be compared item by item."""

BLOCK_ITEMS_MIN: Final = 32
"""No piece is cut shorter, and a block that comes to hold fewer joins the one before it."""

_BOUNDARY: Final = 64

_UPDATE: Final = "UPDATE blocks SET count = ?, sum = ? WHERE group_id = ? AND first_key = ?"
_DELETE: Final = "DELETE FROM blocks WHERE group_id = ? AND first_key = ?"
_GUESS: Final = (
    "WITH guess(key) AS (SELECT first_key FROM blocks WHERE group_id = ? ORDER BY first_key "
    "LIMIT 1 OFFSET (SELECT min(? * count(*) / max(1, (SELECT count FROM groups WHERE id = ?)), "
    "count(*) - 1) FROM blocks WHERE group_id = ?)) "
    "SELECT key, (SELECT coalesce(sum(count), 0) FROM blocks "
    "WHERE group_id = ? AND first_key < key) FROM guess"
)
_BACK: Final = (
    "SELECT first_key, count FROM blocks WHERE group_id = ? AND first_key < ? "
    "ORDER BY first_key DESC"
)
_ON: Final = (
    "SELECT first_key, count FROM blocks WHERE group_id = ? AND first_key >= ? ORDER BY first_key"
)
_INSERT: Final = "INSERT INTO blocks (group_id, first_key, count, sum) VALUES (?, ?, ?, ?)"


def begin(connection: Connection, group: GroupId) -> None:
    """Give a new group its first block, in which all keys lie."""
    run_many(connection, _INSERT, [(group, b"", 0, Sum().dump())])


def begin_anew(connection: Connection, group: GroupId) -> None:
    """Work all of a group's sums out again, from its records."""
    pieces = cut(b"", read_items(connection, group, EVERYTHING), {})
    total = _together([each for _, each in pieces])
    run_many(connection, "DELETE FROM blocks WHERE group_id = ?", [(group,)])
    run_many(connection, _INSERT, [(group, start, one.count, one.dump()) for start, one in pieces])
    run_many(
        connection,
        "UPDATE groups SET count = ?, sum = ? WHERE id = ?",
        [(total.count, Sum().plus(total).dump(), group)],
    )


def move(
    connection: Connection, group: GroupId, removed: Sequence[Item], added: Sequence[Item]
) -> None:
    """Take `removed` out of a group's sums, and put `added` in.

    To be called when `records` has been written: where a block grows too large, its items are read
    from there.
    """
    if not (removed or added):
        return
    taken, put = _sums_of(removed), _sums_of(added)
    firsts = _firsts_of(connection, group, {**taken, **put})
    before = _read(connection, group, set(firsts.values()))
    shares = {first: (list[Sum](), list[Sum]()) for first in before}
    for key, one in taken.items():
        shares[firsts[key]][0].append(one)
    for key, one in put.items():
        shares[firsts[key]][1].append(one)
    after = {
        first: before[first].minus(_together(out)).plus(_together(into))
        for first, (out, into) in shares.items()
    }
    _write(connection, group, after)
    _write_total(connection, group, _together(taken.values()), _together(put.values()))
    _reshape(connection, group, before, after, put)


def find(connection: Connection, group: GroupId, rank: int) -> tuple[bytes, int]:
    """Where the block begins that has the item of this rank, and how many items stand before it.

    Blocks are of about one size, so a few steps from a guess lead there; to add up what stands
    before the guess costs SQLite about 1 ms for a million items.
    """
    guessed = fetch(connection, _GUESS, (group, rank, group, group, group))
    first, before = guessed[0] if guessed else (b"", 0)
    if before > rank:
        return _find_back(connection, group, rank, first, before)
    behind = before
    for start, count in fetch_each(connection, _ON, (group, first)):
        if behind > rank:
            break
        first, before, behind = start, behind, behind + count
    return first, before


def _find_back(
    connection: Connection, group: GroupId, rank: int, first: bytes, before: int
) -> tuple[bytes, int]:
    for start, count in fetch_each(connection, _BACK, (group, first)):
        first, before = start, before - count
        if before <= rank:
            break
    return first, before


def _sums_of(items: Iterable[Item]) -> dict[bytes, Sum]:
    """The sum of each item alone, by key."""
    return {item.key: Sum.of(item) for item in items}


def _together(sums: Collection[Sum]) -> Sum:
    """All of these; not reduced to 256 bits, which adding it to another does."""
    return Sum(sum(one.count for one in sums), sum(one.total for one in sums))


def _firsts_of(connection: Connection, group: GroupId, keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """For each key, where its block begins."""
    found: dict[bytes, bytes] = {}
    for chunk in chunks(sorted(keys)):
        wanted = ", ".join(["(?)"] * len(chunk))
        rows = fetch(
            connection,
            f"WITH wanted(key) AS (VALUES {wanted}) SELECT key, "  # noqa: S608 -- places
            "(SELECT max(first_key) FROM blocks WHERE group_id = ? AND first_key <= key) "
            "FROM wanted",
            (*chunk, group),
        )
        found.update(map(tuple, rows))
    return found


def _read(connection: Connection, group: GroupId, firsts: Iterable[bytes]) -> dict[bytes, Sum]:
    """The sums of the blocks that begin there."""
    found: dict[bytes, Sum] = {}
    for chunk in chunks(sorted(firsts)):
        rows = fetch(
            connection,
            "SELECT first_key, count, sum FROM blocks WHERE group_id = ? "  # noqa: S608 -- places
            f"AND first_key IN ({marks(len(chunk))})",
            (group, *chunk),
        )
        found.update({first: Sum.load(count, total) for first, count, total in rows})
    return found


def _write(connection: Connection, group: GroupId, sums: Mapping[bytes, Sum]) -> None:
    rows = [(total.count, total.dump(), group, first) for first, total in sums.items()]
    run_many(connection, _UPDATE, rows)


def _write_total(connection: Connection, group: GroupId, taken: Sum, put: Sum) -> None:
    ((count, total),) = fetch(connection, "SELECT count, sum FROM groups WHERE id = ?", (group,))
    after = Sum.load(count, total).minus(taken).plus(put)
    run_many(
        connection,
        "UPDATE groups SET count = ?, sum = ? WHERE id = ?",
        [(after.count, after.dump(), group)],
    )


def _reshape(
    connection: Connection,
    group: GroupId,
    before: Mapping[bytes, Sum],
    after: Mapping[bytes, Sum],
    put: Mapping[bytes, Sum],
) -> None:
    for first, total in sorted(after.items(), key=lambda block: block[0]):
        if total.count > BLOCK_ITEMS:
            _cut(connection, group, first, put)
        elif total.count < min(BLOCK_ITEMS_MIN, before[first].count):
            _join(connection, group, first, total)


def _cut(connection: Connection, group: GroupId, first: bytes, known: Mapping[bytes, Sum]) -> None:
    """Replace a block that holds too much by the pieces of it."""
    ((upper,),) = fetch(
        connection,
        "SELECT min(first_key) FROM blocks WHERE group_id = ? AND first_key > ?",
        (group, first),
    )
    pieces = cut(first, read_items(connection, group, Span(first, upper)), known)
    run_many(connection, _DELETE, [(group, first)])
    rows = [(group, start, total.count, total.dump()) for start, total in pieces]
    run_many(connection, _INSERT, rows)


def _join(connection: Connection, group: GroupId, first: bytes, total: Sum) -> None:
    """Let a block that has become small join the one before it, if there is room."""
    rows = fetch(
        connection,
        "SELECT first_key, count, sum FROM blocks WHERE group_id = ? AND first_key < ? "
        "ORDER BY first_key DESC LIMIT 1",
        (group, first),
    )
    for before, count, dumped in rows:
        both = Sum.load(count, dumped).plus(total)
        if both.count <= BLOCK_ITEMS - BLOCK_ITEMS_MIN:
            run_many(connection, _DELETE, [(group, first)])
            _write(connection, group, {before: both})


def cut(first: bytes, items: Sequence[Item], known: Mapping[bytes, Sum]) -> list[tuple[bytes, Sum]]:
    """The blocks that `items` fall into, the first of which begins at `first`.

    `known` has the sums of items that have been hashed already, by key.

    Cuts stand where the items' own hashes say (content-defined chunking), so that devices with the
    same records tend to cut alike, whatever they received when, and compare whole blocks.
    """
    pieces, start, total = [], first, Sum()
    for place, item in enumerate(items):
        one = known.get(item.key) or Sum.of(item)
        if total.count >= BLOCK_ITEMS or (
            total.count >= BLOCK_ITEMS_MIN and one.total % _BOUNDARY == 0
        ):
            pieces.append((start, total))
            start, total = shortest_bound(items[place - 1].key, item.key), Sum()
        total = total.plus(one)
    return [*pieces, (start, total)]


def read_items(
    connection: Connection, group: GroupId, span: Span, limit: int | None = None
) -> list[Item]:
    """The live items in a span, ascending; the first `limit` of them, or all."""
    where, parameters = within(span)
    rows = fetch(
        connection,
        f"SELECT modified, id, hash FROM records WHERE group_id = ? AND {where} "  # noqa: S608 -- places
        "ORDER BY modified, id LIMIT ?",
        (group, *parameters, -1 if limit is None else limit),
    )
    return [Item(key_of(modified, record_id), digest) for modified, record_id, digest in rows]


def within(span: Span) -> tuple[str, tuple[int | str, ...]]:
    """The condition on `records` that the key lies in a span, and its parameters."""
    lower = _place(span.lower)
    if span.upper is None:
        return "(modified, id) >= (?, ?)", lower
    return "(modified, id) >= (?, ?) AND (modified, id) < (?, ?)", (*lower, *_place(span.upper))


def _place(bound: bytes) -> tuple[int, str]:
    """Where a bound, which may come from a peer and need not be a key, stands among keys.

    Ids are ASCII below DEL, so DEL stands for a first byte that is none, and all behind it.
    """
    modified = int.from_bytes(bound[:6].ljust(6, b"\0"), "big")
    text = bound[6:]
    if not text.isascii():
        text = text[: next(place for place, byte in enumerate(text) if byte > 0x7F)] + b"\x7f"
    return modified, text.decode("ascii")

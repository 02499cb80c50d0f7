"""Large groups for tests that count, made once and copied."""

from __future__ import annotations

import base64
import random
import sqlite3
from collections.abc import Sequence
from typing import Any

from peerstack import limits
from peerstack.ids import GroupId
from peerstack.reconcile import Item
from peerstack.record import Record
from peerstack.store import Store, blocks, key_of
from peerstack.store.rows import run_many
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import family_of


def large_family(count: int) -> tuple[World, GroupId, Device, Device]:
    """Two offline devices that have the same `count` notes of about 300 bytes of value."""
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.go_offline()
    ben.go_offline()
    for start in range(0, count, limits.PUT_MANY_RECORDS):
        numbers = range(start, min(start + limits.PUT_MANY_RECORDS, count))
        # Not all at one time, as nobody writes.
        world.run(60_000)
        ana.put_many(family, "note", [note(number) for number in numbers])
    give_all(ana.store, ben.store, family)
    return world, family, ana, ben


def note(number: int) -> dict[str, Any]:
    """About 300 bytes, most of them of no use to a compressor."""
    text = random.Random(number).randbytes(200)
    return {"title": f"Note {number}", "text": base64.b64encode(text).decode()}


def give_all(source: Store, target: Store, group: GroupId) -> None:
    """Make `target` hold the live records of a group that `source` has, with their sums."""
    here, there = _driver(source), _driver(target)
    there.execute("BEGIN")
    for table in ("records", "blocks"):
        rows = here.execute(f"SELECT * FROM {table} WHERE group_id = ?", (group,)).fetchall()  # noqa: S608 -- one of two names
        there.execute(f"DELETE FROM {table} WHERE group_id = ?", (group,))  # noqa: S608 -- one of two names
        marks = ", ".join("?" * len(rows[0]))
        there.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 -- one of two names
    sums = here.execute("SELECT count, sum FROM groups WHERE id = ?", (group,)).fetchone()
    there.execute("UPDATE groups SET count = ?, sum = ? WHERE id = ?", (*sums, group))
    there.execute("COMMIT")


def take_away(store: Store, group: GroupId, records: Sequence[Record]) -> None:
    """Make a store lack some live records, as if it had never had them."""
    with store.transaction() as transaction:
        connection = transaction._connection
        lost = [(group, record.id) for record in records]
        run_many(connection, "DELETE FROM records WHERE group_id = ? AND id = ?", lost)
        items = [Item(key_of(record.modified, record.id), record.hash) for record in records]
        blocks.move(connection, group, items, [])


def _driver(store: Store) -> sqlite3.Connection:
    driver = store._writer.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect

from peerstack.store import Store, migrations, schema
from tests.store.samples import GROUP, NOW, fresh, put, record


def shape(build: Callable[[Connection], object]) -> dict[str, object]:
    """Tables, columns, keys and indexes of a new database, as SQLite sees them."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        build(connection)
        found = inspect(connection)
        tables = {
            name: (
                [str(sorted(map(str, column.items()))) for column in found.get_columns(name)],
                found.get_pk_constraint(name),
                found.get_foreign_keys(name),
                found.get_unique_constraints(name),
                sorted(map(str, found.get_indexes(name))),
            )
            for name in found.get_table_names()
        }
        options = connection.exec_driver_sql("PRAGMA table_list").fetchall()
        counted = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"
        ).fetchall()
    engine.dispose()
    return {"tables": tables, "options": sorted(options), "counted": sorted(counted)}


def test_an_upgraded_schema_equals_a_fresh_one() -> None:
    upgraded, fresh_one = shape(migrations.upgrade), shape(schema.metadata.create_all)
    for each in (upgraded, fresh_one):
        # Alembic makes its own table with a width that SQLite does not mind.
        del each["tables"]["alembic_version"]  # type: ignore[attr-defined]

    assert upgraded == fresh_one


def test_the_last_step_leads_to_the_present_schema() -> None:
    assert migrations.head() == schema.REVISION


def test_an_older_schema_is_known_and_a_newer_one_is_not() -> None:
    assert migrations.is_known("0001")
    assert not migrations.is_known("9999")


def test_an_upgrade_of_the_present_schema_changes_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "ana.db")
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
    put(store, *fresh(record(1)))
    with store.transaction() as transaction:
        migrations.upgrade(transaction._connection)

    with store.snapshot() as snapshot:
        assert snapshot.get(GROUP, record(1).id) == record(1)
    store.close()


@pytest.mark.parametrize("folder", ["100%", "%(here)s"])
def test_the_steps_are_found_in_any_folder(folder: str, tmp_path: Path) -> None:
    assert migrations._config(tmp_path / folder).get_main_option("script_location") == str(
        tmp_path / folder
    )

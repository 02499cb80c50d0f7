from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from peerstack.errors import StoreDamaged, StoreTooNew, UnsupportedStore
from peerstack.store import Store
from tests.store.samples import GROUP, NOW, fresh, put, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with some records, closed."""
    path = tmp_path / "ana.db"
    store = Store.open(path)
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
    put(store, *fresh(*(record(number) for number in range(200))))
    store.close()
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def alter(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_a_path_or_a_sqlite_url_opens_the_same_file(path: Path, form: str) -> None:
    store = Store.open(form.format(path))
    with store.snapshot() as snapshot:
        assert snapshot.last_seq() == 200
    store.close()


@pytest.mark.parametrize("url", [":memory:", "sqlite:///:memory:", "sqlite://"])
def test_a_database_in_memory_leaves_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store.open(url)
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
    store.close()

    assert store.is_in_memory
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql://ana@host/notes", "postgresql"),
        ("sqlite+aiosqlite:///ana.db", "sqlite\\+aiosqlite"),
        ("sqlite:///ana.db?timeout=3", "sqlite"),
        ("mysql://host", "mysql"),
        ("://", "no database URL"),
    ],
)
def test_other_urls_are_refused_by_name(url: str, named: str) -> None:
    with pytest.raises(UnsupportedStore, match=named):
        Store.open(url)


def test_a_refused_url_does_not_show_the_password_in_it() -> None:
    with pytest.raises(UnsupportedStore) as refused:
        Store.open("postgresql://ana:hunter2@host/notes")

    assert "hunter2" not in str(refused.value)


def test_missing_folders_are_made_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "100% #?ana.db"
    store = Store.open(path)
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)

    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    store.close()


def test_a_database_may_be_opened_by_two_at_once(path: Path) -> None:
    one, two = Store.open(path), Store.open(path)
    before = two.data_version()

    put(one, *fresh(record(900)))

    assert two.data_version() != before
    assert one.data_version() == one.data_version()
    with two.snapshot() as snapshot:
        assert snapshot.last_seq() == 201
    one.close()
    two.close()


REFUSED: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda sound: b"Dear diary,\n" + sound[12:],
    "a few bytes": lambda sound: sound[:40],
    "cut short": lambda sound: sound[: len(sound) // 2],
    "cut within a page": lambda sound: sound[:-100],
    "a flipped magic": lambda sound: b"sqlite" + sound[6:],
    "a flipped page size": lambda sound: sound[:16] + b"\x11" + sound[17:],
    "a flipped file format": lambda sound: sound[:18] + b"\x77" + sound[19:],
    "flipped payload fractions": lambda sound: sound[:21] + b"\xff" + sound[22:],
    "zeroes": lambda sound: bytes(len(sound)),
    "a broken schema page": lambda sound: sound[:100] + bytes(3996) + sound[4096:],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_damaged_file_is_refused_and_left_as_it_is(path: Path, kind: str) -> None:
    path.write_bytes(REFUSED[kind](path.read_bytes()))
    before = content(path.parent)

    with pytest.raises(StoreDamaged, match=r"ana\.db cannot be used") as refused:
        Store.open(path)

    assert "backup" in str(refused.value)
    assert content(path.parent) == before


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mail.db"
    alter(path, "CREATE TABLE mail (id INTEGER PRIMARY KEY)")
    before = content(tmp_path)

    with pytest.raises(StoreDamaged, match="another program"):
        Store.open(path)

    assert content(tmp_path) == before


def test_a_database_without_a_revision_is_refused_and_left_as_it_is(path: Path) -> None:
    alter(path, "DELETE FROM alembic_version")
    before = content(path.parent)

    with pytest.raises(StoreDamaged, match="which schema"):
        Store.open(path)

    assert content(path.parent) == before


def test_a_revision_that_is_gone_only_in_the_log_is_noticed(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("DELETE FROM alembic_version")
    other.commit()

    with pytest.raises(StoreDamaged, match="which schema"):
        Store.open(path)

    other.close()


def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    alter(path, "UPDATE alembic_version SET version_num = '9999'")
    before = content(path.parent)

    with pytest.raises(StoreTooNew, match=r"ana\.db .*'9999'.*Upgrade peerstack"):
        Store.open(path)

    assert content(path.parent) == before


def test_a_newer_schema_in_use_by_another_process_is_left_as_it_is(path: Path) -> None:
    alter(path, "UPDATE alembic_version SET version_num = '9999'")
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE more (id INTEGER PRIMARY KEY)")
    before = content(path.parent)

    with pytest.raises(StoreTooNew):
        Store.open(path)

    assert content(path.parent) == before
    other.close()


def test_a_newer_schema_that_is_only_in_the_log_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.commit()

    with pytest.raises(StoreTooNew):
        Store.open(path)

    other.close()


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    path.touch()

    store = Store.open(path)
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
    store.close()

    Store.open(path).close()


def test_a_file_whose_making_was_interrupted_is_made_anew(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("PRAGMA application_id = 1886614625")
    connection.execute("CREATE TABLE half (body TEXT)")
    connection.executemany("INSERT INTO half VALUES (?)", [("x" * 3000,)] * 50)
    killed = tmp_path / "killed.db"
    killed.write_bytes(copy.read_bytes())
    (tmp_path / "killed.db-journal").write_bytes((tmp_path / "copy.db-journal").read_bytes())
    connection.close()

    store = Store.open(killed)
    with store.snapshot() as snapshot:
        assert snapshot.groups() == []
    store.close()


def test_alembic_is_not_imported_for_a_present_schema(path: Path) -> None:
    program = (
        "import sys; from peerstack.store import Store; "
        f"Store.open({str(path)!r}).close(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

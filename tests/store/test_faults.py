from __future__ import annotations

from pathlib import Path

import pytest

from peerstack.errors import StoreDamaged, StoreError, StoreFull
from peerstack.store import Store
from tests.store.samples import GROUP, NOW, fresh, put, record, record_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ana.db"
    store = Store.open(path)
    with store.transaction() as transaction:
        transaction.add_group(GROUP, NOW)
    store.close()
    return path


def test_a_full_disk_says_so_and_keeps_what_was_there(path: Path) -> None:
    store = Store.open(path)
    put(store, *fresh(record(1)))
    limited = store._writer.connection.cursor()
    limited.execute("PRAGMA max_page_count = 1")

    with pytest.raises(StoreFull, match=r"no room to write to .*ana\.db; free some space"):
        put(store, *fresh(*(record(number, {"t": "x" * 9000}) for number in range(2, 40))))

    limited.execute("PRAGMA max_page_count = 1000000")
    limited.close()
    put(store, *fresh(record(2)))
    with store.snapshot() as snapshot:
        assert snapshot.last_seq() == 2
    store.close()


def test_a_folder_that_cannot_be_made_says_so(path: Path) -> None:
    with pytest.raises(StoreFull, match="check that the folder exists"):
        Store.open(path / "below-a-file" / "ben.db")


def test_a_folder_in_place_of_the_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreFull, match="cannot be opened"):
        Store.open(tmp_path)


def test_a_database_that_may_not_be_written_says_so(path: Path) -> None:
    store = Store.open(path)
    setting = store._writer.connection.cursor()
    setting.execute("PRAGMA query_only = ON")
    setting.close()

    with pytest.raises(StoreFull, match="give your user write access"):
        put(store, *fresh(record(1)))
    store.close()


def test_damage_found_while_reading_says_so(path: Path) -> None:
    store = Store.open(path)
    put(store, *fresh(*(record(number, {"t": "x" * 3000}) for number in range(200))))
    store.close()
    sound = path.read_bytes()
    path.write_bytes(sound[: 40 * 4096] + b"\xff" * 4096 * 130 + sound[170 * 4096 :])

    store = Store.open(path)
    with pytest.raises(StoreDamaged, match="backup"), store.snapshot() as snapshot:
        snapshot.live(GROUP, [record_id(number) for number in range(200)])
    store.close()


def test_another_writer_that_does_not_end_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peerstack.store.opening.BUSY_MS", 20)
    one, two = Store.open(path), Store.open(path)
    with one.transaction() as transaction:
        transaction.profile_set("busy", True)
        with (
            pytest.raises(StoreError, match="another process"),
            two.transaction() as blocked,
        ):
            blocked.profile_set("busy", False)
    one.close()
    two.close()

"""A profile backed up to one file, and restored as a new device."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nacl import bindings
from nacl.pwhash import argon2id

import peerstack
from peerstack.engine.joining import pending_joins
from peerstack.errors import StoreError
from peerstack.node import backup as backup_module
from peerstack.node import sealed_file, whole
from peerstack.node.backup import Content, coming_database
from peerstack.node.keyfile import KeyFile, path_of
from peerstack.node.ports import SystemEntropy
from peerstack.record import decode_untrusted
from tests.searching import found_in

PASSWORD = "correct horse"
SEARCH = {"note": ["title"]}
HEAD_BYTES = 16 + 1 + 16
STREAM_BYTES = 24


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A backup of a profile with some records in two groups, and an edit in one."""
    (tmp_path / "home").mkdir()
    path = tmp_path / "home/ana.db"
    with peerstack.open_sync(
        path, "Ana", "http://127.0.0.1:1", network=False, search=SEARCH
    ) as node:
        family = node.create_group("Family")
        notes = family.put_many("note", [{"title": f"milk {n}"} for n in range(300)])
        family.update(notes[0].id, {"title": "bread"})
        family.delete(notes[1].id)
        node.personal.put("note", {"title": "mine"})
        node.backup(tmp_path / "ana.backup", PASSWORD)
    return tmp_path / "ana.backup"


def original(made: Path) -> Path:
    return made.parent / "home/ana.db"


def files_in(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


# --- What comes back. ---------------------------------------------------------------------------


def test_a_restored_profile_is_the_same_user_with_all_that_there_was(made: Path) -> None:
    new = made.parent / "new/ana.db"

    peerstack.restore(made, PASSWORD, new, device_name="new phone")

    with (
        peerstack.open_sync(original(made), network=False) as old,
        peerstack.open_sync(new, network=False) as node,
    ):
        assert (node.user.id, node.user.name) == (old.user.id, old.user.name)
        assert node.server_urls == old.server_urls
        [family], [before] = node.groups(), old.groups()
        assert family.find("note") == before.find("note")
        assert len(family.find("note")) == 299
        edited = family.find("note", where={"title": "bread"})[0]
        assert family.history(edited.id) == before.history(edited.id)
        assert family.search("milk 7") == before.search("milk 7")
        assert [each.value for each in node.personal.find("note")] == [{"title": "mine"}]
        assert node.status().problems == []
        assert node.check() == []
        assert node.recovery_phrase() == old.recovery_phrase()


def test_it_is_a_new_device_and_the_old_one_goes_on(made: Path) -> None:
    new = made.parent / "new.db"

    peerstack.restore(made, PASSWORD, new, device_name="new phone")

    with (
        peerstack.open_sync(original(made), network=False) as old,
        peerstack.open_sync(new, network=False) as node,
    ):
        assert node.user.device != old.user.device
        assert node.user.device_key.public != old.user.device_key.public
        assert [(each.id, each.active) for each in node.devices()] == [
            (old.user.device, True),
            (node.user.device, True),
        ]
        assert node.devices()[1].name == "new phone"
        [family] = node.groups()
        note = family.put("note", {"title": "from the new one"})
        assert note.device == node.user.device
        old.personal.put("note", {"title": "from the old one"})


def test_two_restores_are_two_devices(made: Path) -> None:
    devices = set()
    for name in ("one.db", "two.db"):
        peerstack.restore(made, PASSWORD, made.parent / name)
        with peerstack.open_sync(made.parent / name, network=False) as node:
            devices.add((node.user.device, node.user.device_key.public))

    assert len(devices) == 2


def test_a_join_that_waited_is_asked_for_by_the_new_device(tmp_path: Path) -> None:
    with peerstack.open_sync(tmp_path / "ben.db", "Ben", network=False) as ben:
        link = ben.create_group("Ben's").invite()
    with peerstack.open_sync(tmp_path / "ana.db", "Ana", network=False) as ana:
        with pytest.raises(peerstack.JoinPending):
            ana.join(link)
        ana.backup(tmp_path / "backup", PASSWORD)
    peerstack.restore(tmp_path / "backup", PASSWORD, tmp_path / "new.db")

    async def asked_by() -> tuple[str, list[str]]:
        async with peerstack.open(tmp_path / "new.db", network=False) as node:
            joins = await node.perform(pending_joins)
            signed = [
                decode_untrusted(each.body.encode(), bytes.fromhex(each.signature))
                for each in joins.values()
            ]
            return node.user.device, [each.device for each in signed]

    device, signers = asyncio.run(asked_by())
    assert signers == [device]


def test_keys_are_sealed_under_a_passphrase_where_one_is_given(made: Path) -> None:
    new = made.parent / "new.db"

    peerstack.restore(made, PASSWORD, new, passphrase="another one")

    with pytest.raises(peerstack.ProfileLocked), peerstack.open_sync(new, network=False):
        pass
    with peerstack.open_sync(new, passphrase="another one", network=False) as node:
        assert len(node.groups()) == 1


def test_a_sealed_profile_is_backed_up_and_opens_with_the_backups_password(tmp_path: Path) -> None:
    with peerstack.open_sync(
        tmp_path / "ana.db", "Ana", passphrase="for this device", network=False
    ) as node:
        node.backup(tmp_path / "backup", PASSWORD)

    peerstack.restore(tmp_path / "backup", PASSWORD, tmp_path / "new.db")

    with peerstack.open_sync(tmp_path / "new.db", network=False) as node:
        assert node.user.name == "Ana"


# --- Backing up. --------------------------------------------------------------------------------


async def test_a_backup_is_of_one_moment_while_the_node_writes(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        await node.personal.put_many("note", [{"n": n, "text": "x" * 900} for n in range(5_000)])

        async def write() -> int:
            written = 0
            while not done.is_set():
                # Both or neither.
                await node.personal.put_many("pair", [{"n": written}, {"n": written}])
                written += 1
            return written

        done = asyncio.Event()
        writing = asyncio.create_task(write())
        await node.backup(tmp_path / "backup", PASSWORD)
        done.set()
        assert await writing > 0

    await asyncio.to_thread(peerstack.restore, tmp_path / "backup", PASSWORD, tmp_path / "new.db")
    async with peerstack.open(tmp_path / "new.db", network=False) as node:
        pairs = [each.value["n"] for each in await node.personal.find("pair", order_by="n")]
        assert await node.check() == []
        assert len(await node.personal.find("note")) == 5_000
    assert pairs == [n for n in range(len(pairs) // 2) for _ in range(2)]


async def test_progress_is_told_up_to_all(tmp_path: Path) -> None:
    backing_up: list[tuple[int, int]] = []
    restoring: list[tuple[int, int]] = []
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        await node.personal.put_many("note", [{"text": "x" * 900} for _ in range(500)])
        await node.backup(
            tmp_path / "backup", PASSWORD, on_progress=lambda *told: backing_up.append(told)
        )
        await asyncio.sleep(0)

    def tell(done: int, total: int) -> None:
        restoring.append((done, total))

    await asyncio.to_thread(
        peerstack.restore, tmp_path / "backup", PASSWORD, tmp_path / "new.db", on_progress=tell
    )
    for told in (backing_up, restoring):
        assert len(told) > 3
        assert told == sorted(told)
        assert len({total for _, total in told}) == 1
        assert told[-1][0] == told[-1][1]


def test_nothing_of_it_can_be_read_without_the_password(made: Path) -> None:
    with peerstack.open_sync(original(made), network=False) as node:
        user = node.user
    assert user.root is not None
    assert user.recovery is not None
    data = made.read_bytes()

    for secret in (user.root.seed, user.device_key.seed, user.recovery):
        assert found_in(made.parent / "home", secret)
        (made.parent / "alone").mkdir(exist_ok=True)
        (made.parent / "alone/backup").write_bytes(data)
        assert not found_in(made.parent / "alone", secret)
    for plain in (b"milk", b"SQLite format", b"Family", b"Ana", b"note"):
        assert plain not in data
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_a_backup_leaves_nothing_beside_itself_or_the_profile(made: Path) -> None:
    assert files_in(made.parent) == ["ana.backup", "home/ana.db", "home/ana.db.keys"]


def test_the_copy_of_the_database_has_no_name_while_it_is_encrypted(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    seal = sealed_file.seal

    def look(*given: Any) -> None:
        found.extend(files_in(made.parent / "home"))
        seal(*given)

    monkeypatch.setattr(sealed_file, "seal", look)
    with peerstack.open_sync(original(made), network=False) as node:
        node.backup(made, PASSWORD)

    assert "ana.db" in found
    assert not [name for name in found if name.endswith(".tmp")]


def test_an_older_backup_is_replaced_and_nothing_else_is(made: Path) -> None:
    before = made.read_bytes()
    other = made.parent / "photo.jpg"
    other.write_bytes(b"a photo")
    with peerstack.open_sync(original(made), network=False) as node:
        node.backup(made, PASSWORD)
        with pytest.raises(peerstack.InvalidValue, match="no backup"):
            node.backup(other, PASSWORD)
        with pytest.raises(peerstack.InvalidValue, match="no backup"):
            node.backup(original(made), PASSWORD)
        with pytest.raises(peerstack.InvalidValue, match="no folder"):
            node.backup(made.parent / "nowhere/backup", PASSWORD)
        with pytest.raises(peerstack.InvalidValue, match="password"):
            node.backup(made, "")

    assert made.read_bytes() != before
    assert other.read_bytes() == b"a photo"
    peerstack.restore(made, PASSWORD, made.parent / "new.db")


def test_a_backup_that_fails_leaves_the_one_before(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = made.read_bytes(), files_in(made.parent)

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with peerstack.open_sync(original(made), network=False) as node:
        monkeypatch.setattr(sealed_file, "seal", no_room)
        with pytest.raises(peerstack.StoreFull, match="No space"):
            node.backup(made, PASSWORD)

    assert made.read_bytes() == before
    assert files_in(made.parent) == files


def test_a_copy_that_a_killed_backup_left_goes_with_the_next_and_with_a_wipe(made: Path) -> None:
    left = original(made).with_name("ana.db.abcd1234.tmp")
    left.write_bytes(b"a copy of the database")
    with peerstack.open_sync(original(made), network=False) as node:
        node.backup(made, PASSWORD)
    assert not left.exists()

    left.write_bytes(b"a copy of the database")
    peerstack.wipe(original(made))
    assert files_in(made.parent / "home") == []


async def test_a_device_without_the_root_key_is_told_why_it_cannot(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        node._engine.me.user = replace(node.user, root=None)
        with pytest.raises(peerstack.NotAllowed, match="root key"):
            await node.backup(tmp_path / "backup", PASSWORD)
    assert not (tmp_path / "backup").exists()


# --- What cannot be restored. ---------------------------------------------------------------------


def refused(made: Path, data: bytes | None = None, password: str = PASSWORD) -> str:
    """What restoring says, of which nothing may be left."""
    folder = made.parent / "new"
    if data is not None:
        made.write_bytes(data)
    with pytest.raises(peerstack.InvalidBackup) as error:
        peerstack.restore(made, password, folder / "ana.db")
    assert files_in(folder) == []
    return str(error.value)


def test_another_password_is_told_apart_from_a_damaged_file(made: Path) -> None:
    assert "password is another one" in refused(made, password="correct horsf")
    assert "password is another one" in refused(made, password="")


@pytest.mark.parametrize(
    "place",
    [0, 16, 17, HEAD_BYTES, HEAD_BYTES + STREAM_BYTES, HEAD_BYTES + STREAM_BYTES + 17, 70_000, -1],
)
def test_a_flipped_bit_is_noticed_wherever_it_is(made: Path, place: int) -> None:
    data = bytearray(made.read_bytes())
    data[place] ^= 1

    said = refused(made, bytes(data))

    assert "backup" in said


@pytest.mark.parametrize("cut", [0, 1, 10, 20, HEAD_BYTES, 50, 60, 73, 74, 500, 65_640, 70_000, -1])
def test_a_cut_file_is_noticed_wherever_it_ends(made: Path, cut: int) -> None:
    refused(made, made.read_bytes()[:cut])


def test_a_file_that_ends_behind_a_whole_chunk_is_cut_short(made: Path) -> None:
    begin = HEAD_BYTES + STREAM_BYTES + 17
    data = made.read_bytes()[: begin + sealed_file.CHUNK_BYTES + 17]

    assert "cut short" in refused(made, data)


def test_chunks_that_change_places_are_noticed(made: Path) -> None:
    data = made.read_bytes()
    begin, size = HEAD_BYTES + STREAM_BYTES + 17, sealed_file.CHUNK_BYTES + 17
    first, second = data[begin : begin + size], data[begin + size : begin + 2 * size]

    refused(made, data[:begin] + second + first + data[begin + 2 * size :])


@pytest.mark.parametrize("size", [10, sealed_file.CHUNK_BYTES])
def test_what_stands_behind_the_end_is_noticed(made: Path, size: int) -> None:
    sealed(made, bytes(size))
    with made.open("ab") as file:
        file.write(b"x")

    with made.open("rb") as file, pytest.raises(peerstack.InvalidBackup, match="damaged"):
        list(sealed_file.open_untrusted(file, PASSWORD))
    refused(made)


def test_the_file_is_what_the_protocol_says(made: Path) -> None:
    """Worked out once more, from docs/protocol.md alone."""
    content = bytes(range(256)) * 300
    sealed(made, content)
    data = made.read_bytes()
    head, stream, rest = data[:33], data[33:57], data[57:]
    assert head[:17] == b"peerstack backup\1"
    slow = argon2id.kdf(32, PASSWORD.encode(), head[17:], opslimit=3, memlimit=64 * 1024 * 1024)
    label = b"peerstack/1 backup\0"
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(
        state, stream, hmac.digest(slow, label, "sha256")
    )

    sizes = [17, 65_536 + 17, len(content) - 65_536 + 17]
    pulled = []
    for size in sizes:
        pull = bindings.crypto_secretstream_xchacha20poly1305_pull
        pulled.append(pull(state, rest[:size], ad=head))
        rest = rest[size:]
    assert [tag for _, tag in pulled] == [0, 0, 3]
    assert [chunk for chunk, _ in pulled] == [b"", content[:65_536], content[65_536:]]
    assert rest == b""


@pytest.mark.parametrize("pieces", [[b""], [b"x"] * 100, [bytes(65_536)], [bytes(200_001), b"x"]])
def test_what_was_sealed_comes_back_however_it_was_cut(made: Path, pieces: list[bytes]) -> None:
    sealed(made, *pieces)

    with made.open("rb") as file:
        chunks = list(sealed_file.open_untrusted(file, PASSWORD))
    assert b"".join(chunks) == b"".join(pieces)
    assert max(map(len, chunks)) <= sealed_file.CHUNK_BYTES


def test_a_newer_backup_and_what_is_none_are_told_apart(made: Path) -> None:
    data = made.read_bytes()

    assert "newer peerstack" in refused(made, data[:16] + b"\x02" + data[17:])
    assert "no backup" in refused(made, b"PK\x03\x04 and so on")
    assert "no backup" in refused(made, b"")
    made.unlink()
    assert "cannot read" in refused(made)


def sealed(path: Path, *content: bytes) -> None:
    with path.open("wb") as file:
        sealed_file.seal(file, PASSWORD, content, SystemEntropy())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0",
        b"\xff\xff\xff\xff{}",
        b"\0\0\0\x09{}",
        b"\0\0\0\x02{}",
        b"\0\0\0\x02[]",
        b'\0\0\0\x24{"keys":"e30=","database_bytes":100}' + b"x" * 99,
        b'\0\0\0\x24{"keys":"e30=","database_bytes":100}' + b"x" * 100,
        b'\0\0\0\x24{"keys":"e30=","database_bytes":100}' + b"x" * 101,
    ],
)
def test_content_that_no_backup_holds_is_refused(made: Path, content: bytes) -> None:
    sealed(made, content)

    refused(made)


def test_no_more_is_read_of_a_beginning_than_it_may_have(tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        yield b"\xff\xff\xff\xff"
        pytest.fail("it reads on")

    with pytest.raises(peerstack.InvalidBackup):
        Content(endless(), None).write_database_untrusted(tmp_path / "ana.db")


def contents(made: Path) -> tuple[bytes, bytes]:
    """What stands before the database in a backup, and that."""
    with made.open("rb") as file:
        whole_content = b"".join(sealed_file.open_untrusted(file, PASSWORD))
    length = int.from_bytes(whole_content[:4], "big") + 4
    return whole_content[:length], whole_content[length:]


@pytest.mark.parametrize("why", ["damaged", "no database", "of another length", "of another user"])
def test_a_database_that_does_not_go_with_its_keys_is_refused(made: Path, why: str) -> None:
    first, database = contents(made)
    match why:
        case "damaged":
            database = database[:100] + bytes(len(database) - 100)
        case "no database":
            database = bytes(len(database))
        case "of another length":
            said = f'"database_bytes":{len(database)}'.encode()
            first = first.replace(said, f'"database_bytes":{len(database) - 1}'.encode())
        case "of another user":
            other = made.parent / "other.db"
            with peerstack.open_sync(other, "Ben", network=False):
                pass
            size = f'"database_bytes":{len(database)}'.encode()
            database = other.read_bytes()
            text = first[4:].replace(size, f'"database_bytes":{len(database)}'.encode())
            first = len(text).to_bytes(4, "big") + text
    sealed(made, first, database)

    refused(made)


def test_a_database_of_a_newer_peerstack_says_to_update(made: Path) -> None:
    first, database = contents(made)
    copy = made.parent / "copy.db"
    copy.write_bytes(database)
    with closing(sqlite3.connect(copy, isolation_level=None)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.execute("PRAGMA journal_mode = DELETE")
    sealed(made, first, copy.read_bytes())

    with pytest.raises(peerstack.StoreTooNew, match="newer peerstack"):
        peerstack.restore(made, PASSWORD, made.parent / "new/ana.db")

    assert files_in(made.parent / "new") == []


def test_no_profile_is_taken_the_place_of(made: Path) -> None:
    before = original(made).read_bytes()
    with pytest.raises(peerstack.InvalidValue, match="another profile"):
        peerstack.restore(made, PASSWORD, original(made))
    assert original(made).read_bytes() == before

    keys = path_of(original(made))
    kept = keys.read_bytes()
    keys.unlink()
    with pytest.raises(peerstack.InvalidValue, match="another profile"):
        peerstack.restore(made, PASSWORD, original(made))
    assert original(made).read_bytes() == before

    keys.write_bytes(kept)
    original(made).unlink()
    with pytest.raises(peerstack.InvalidValue, match="another profile"):
        peerstack.restore(made, PASSWORD, original(made))
    assert keys.read_bytes() == kept


# --- Cut short. ----------------------------------------------------------------------------------


class Killed(BaseException):
    """As if the process had been."""


STEPS: list[tuple[object, str]] = [
    (backup_module, "_as_new_device"),
    (KeyFile, "write_new"),
    (Path, "rename"),
    (whole, "sync_folder"),
]


@pytest.mark.parametrize(("home", "step"), STEPS[:3])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StoreError("it failed")])
def test_what_fails_at_any_step_leaves_nothing(
    made: Path, home: object, step: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(home, step, fail)
    with pytest.raises(StoreError):
        peerstack.restore(made, PASSWORD, made.parent / "new/ana.db")

    assert files_in(made.parent / "new") == []


@pytest.mark.parametrize(("home", "step"), STEPS[:3])
def test_a_restore_that_was_killed_is_no_profile_and_can_be_repeated(
    made: Path, home: object, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = made.parent / "new/ana.db"
    cleaning = backup_module._remove

    def kill(*_: object, **__: object) -> None:
        monkeypatch.setattr(backup_module, "_remove", lambda *_: None)
        raise Killed

    real: Callable[..., object] = getattr(home, step)
    monkeypatch.setattr(home, step, kill)
    with pytest.raises(Killed):
        peerstack.restore(made, PASSWORD, new)
    monkeypatch.setattr(home, step, real)
    monkeypatch.setattr(backup_module, "_remove", cleaning)
    assert coming_database(new).exists()
    if path_of(new).exists():
        with pytest.raises(peerstack.StoreDamaged), peerstack.open_sync(new, network=False):
            pass

    peerstack.restore(made, PASSWORD, new)

    assert not coming_database(new).exists()
    with peerstack.open_sync(new, network=False) as node:
        assert len(node.groups()[0].find("note")) == 299


def test_what_a_killed_restore_left_can_be_wiped(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = made.parent / "new/ana.db"

    def kill(*_: object, **__: object) -> None:
        monkeypatch.setattr(backup_module, "_remove", lambda *_: None)
        raise Killed

    monkeypatch.setattr(KeyFile, "write_new", kill)
    with pytest.raises(Killed):
        peerstack.restore(made, PASSWORD, new)
    assert coming_database(new).exists()

    peerstack.wipe(new)

    assert files_in(made.parent / "new") == []

"""Files of a profile that may not be read or written, or are not the right ones."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import peerstack
from peerstack.node.keyfile import path_of
from peerstack.store.files import database_files
from tests.cli.person import Person
from tests.crashes.inspection import Database
from tests.crashes.reading import Values, make_profile, read_all
from tests.server_process import ROOT
from tests.unprivileged import unprivileged

COMMANDS = [("ls",), ("put", "note", "title=Milk"), ("sync", "--timeout", "1")]


@pytest.fixture
def owner(tmp_path: Path) -> Person:
    person = Person(tmp_path / "folder" / "ana.db")
    person.json("init", "--name", "Ana", "--server", "http://127.0.0.1:9")
    person.json("put", "note", "title=Bread")
    return person


def run(person: Person, *words: str) -> subprocess.CompletedProcess[str]:
    """A command that may do no more than the modes of files say."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("", "server"))
    return subprocess.run(
        [*unprivileged(), sys.executable, "-m", "peerstack", *words],
        env={**os.environ, "PYTHONPATH": path, "PEERSTACK_PROFILE": str(person.profile)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("which", "words"),
    [("database", COMMANDS[1]), *(("folder", words) for words in COMMANDS)],
)
def test_what_may_not_be_written_is_named_with_the_cure(
    owner: Person, which: str, words: tuple[str, ...]
) -> None:
    path = owner.profile if which == "database" else owner.profile.parent
    before = owner.profile.read_bytes()
    path.chmod(0o400 if which == "database" else 0o500)
    done = run(owner, *words)
    path.chmod(0o700)

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert str(owner.profile) in line
    assert "write" in line
    assert owner.profile.read_bytes() == before
    owner.json("put", "note", "title=Milk")
    assert len(owner.json("export")) == 2


def test_a_database_that_may_not_be_written_can_be_read(owner: Person) -> None:
    owner.profile.chmod(0o400)

    done = run(owner, "export")

    assert done.returncode == 0
    assert "Bread" in done.stdout


def test_a_key_file_that_may_not_be_written_is_enough_to_read_and_write_records(
    owner: Person,
) -> None:
    path_of(owner.profile).chmod(0o400)

    assert run(owner, "put", "note", "title=Milk").returncode == 0
    assert len(run(owner, "export").stdout.splitlines()) == 2


def test_a_key_file_that_may_not_be_read_is_named(owner: Person) -> None:
    path_of(owner.profile).chmod(0)

    done = run(owner, "ls")

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert str(path_of(owner.profile)) in line
    assert "read access" in line


def test_a_key_file_that_others_may_read_is_its_owners_alone_again(owner: Person) -> None:
    keys = path_of(owner.profile)
    keys.chmod(0o644)

    owner.json("ls")

    assert stat.S_IMODE(keys.stat().st_mode) == 0o600


BROKEN_KEYS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda sound: b"",
    "cut short": lambda sound: sound[: len(sound) // 2],
    "flipped": lambda sound: sound[:60] + bytes([sound[60] ^ 0x80]) + sound[61:],
    "no keys": lambda sound: b"{}",
}


@pytest.mark.parametrize("kind", BROKEN_KEYS)
def test_a_broken_key_file_is_named_with_the_cure(owner: Person, kind: str) -> None:
    keys = path_of(owner.profile)
    broken = BROKEN_KEYS[kind](keys.read_bytes())
    keys.write_bytes(broken)

    done = owner.run("ls")

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert str(keys) in line
    assert "backup" in line
    assert "peerstack recover" in line
    assert keys.read_bytes() == broken


def test_the_key_file_of_another_profile_is_named(owner: Person, tmp_path: Path) -> None:
    other = Person(tmp_path / "ben.db")
    other.json("init", "--name", "Ben")
    shutil.copy(path_of(other.profile), path_of(owner.profile))

    done = owner.run("ls")

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "put back the two files that belong together" in line
    assert str(owner.profile) in line


@pytest.mark.parametrize("kind", ["database", "keys"])
def test_what_a_newer_peerstack_wrote_is_refused_in_one_line(owner: Person, kind: str) -> None:
    keys = path_of(owner.profile)
    if kind == "keys":
        keys.write_text(json.dumps({**json.loads(keys.read_text()), "version": 99}))
    else:
        connection = sqlite3.connect(owner.profile)
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.close()

    done = owner.run("ls")

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "newer peerstack" in line
    assert str(keys if kind == "keys" else owner.profile) in line


def test_the_database_of_another_program_is_refused_in_one_line(owner: Person) -> None:
    owner.profile.unlink()
    connection = sqlite3.connect(owner.profile)
    connection.execute("CREATE TABLE mail (id INTEGER PRIMARY KEY)")
    connection.close()
    before = owner.profile.read_bytes()

    done = owner.run("ls")

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "another program" in line
    assert owner.profile.read_bytes() == before


class Copied:
    """The files of a device as they lay there while a process had them open."""

    def __init__(self, database: Path, values: Values) -> None:
        self.database = database
        self.log = database.with_name(database.name + "-wal")
        self.values = values


@pytest.fixture
async def copied(tmp_path: Path) -> Copied:
    """With records that are in the write-ahead log alone."""
    path = tmp_path / "running.db"
    values = await make_profile(path)
    copy = tmp_path / "copy.db"
    async with peerstack.open(path, network=False) as node:
        (family,) = await node.groups()
        for number in range(20):
            note = await family.put("note", {"late": number, "text": "x" * 500})
            values = {**values, note.id: [note.value]}
        for file, to in zip(database_files(path), database_files(copy), strict=True):
            if file.exists():
                shutil.copy(file, to)
        shutil.copy(path_of(path), path_of(copy))
    return Copied(copy, values)


async def test_the_log_of_a_process_that_was_killed_has_all_that_was_acknowledged(
    copied: Copied,
) -> None:
    assert (await read_all(copied.database)).values == copied.values


@pytest.mark.parametrize("place", range(0, 100, 7))
async def test_a_log_that_is_broken_somewhere_counts_up_to_there(
    copied: Copied, place: int
) -> None:
    log = bytearray(copied.log.read_bytes())
    log[len(log) * place // 100] ^= 1
    copied.log.write_bytes(log)

    found = (await read_all(copied.database)).values

    check_prefix(copied, found)
    Database(copied.database).check()


async def test_without_its_log_a_database_is_as_it_was_before(copied: Copied) -> None:
    """Nothing on this device can tell: so docs/api.md says that the files belong together."""
    copied.log.unlink()

    found = (await read_all(copied.database)).values

    check_prefix(copied, found)
    Database(copied.database).check()


def check_prefix(copied: Copied, found: Values) -> None:
    """What is there is unaltered, and what is missing was written behind it."""
    assert found == dict(list(copied.values.items())[: len(found)])

"""A disk that is full or read-only: one line says what to do, and it goes on once that is done."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.person import Json, Person, befriend, hashes
from tests.crashes.inspection import Database
from tests.own_disk import Disk, disk

pytestmark = pytest.mark.own_disk

MANY = 5_000
"""Records that do not fit on the disk at first, and do once it is larger."""

COMMANDS = {
    "put": ("put", "note", "title=Milk"),
    "ls": ("ls",),
    "sync": ("sync", "--timeout", "1"),
    "status": ("status",),
    "check": ("check",),
    "export": ("export",),
    "group": ("group", "create", "Family"),
}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with disk(folder, "4m") as mounted:
        yield mounted


@pytest.fixture
def owner(small: Disk) -> Person:
    """Somebody with a profile on the small disk, and a record in it."""
    person = Person(small.folder / "ana.db")
    person.json("init", "--name", "Ana", "--server", "http://127.0.0.1:9")
    person.json("put", "note", "title=Bread")
    return person


def check_is_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("error: ")
    assert any(word in line for word in words), line


def check_goes_on(person: Person) -> None:
    """Nothing that was acknowledged is missing, and more can be written."""
    person.json("put", "note", "title=Butter")
    titles = {each["value"].get("title") for each in person.json("export")}
    assert {"Bread", "Butter"} <= titles
    Database(person.profile).check()


@pytest.mark.parametrize("name", COMMANDS)
def test_on_a_full_disk_a_command_says_to_make_room(small: Disk, owner: Person, name: str) -> None:
    small.fill()

    done = owner.run(*COMMANDS[name])

    check_is_one_line(done, "free some space", "make room")
    assert str(owner.profile) in done.stderr
    small.make_room()
    check_goes_on(owner)


def test_a_profile_that_could_not_be_made_on_a_full_disk_can_be_made_with_room(
    small: Disk,
) -> None:
    person = Person(small.folder / "new" / "ben.db")
    small.fill()

    check_is_one_line(person.run("init", "--name", "Ben"), "make room")
    small.make_room()

    person.json("init", "--name", "Ben")


def test_puts_until_the_disk_is_full_lose_nothing_that_was_acknowledged(
    small: Disk, owner: Person
) -> None:
    acknowledged: list[Json] = []
    while True:
        done = owner.call("put", "note", "title=" + "Milk" * 10_000, "--json")
        if done.exit_code:
            break
        acknowledged.append(json.loads(done.stdout))
    small.remount("size=16m")

    assert "free some space" in done.stderr
    assert len(acknowledged) > 5
    assert {each["hash"] for each in acknowledged} <= hashes(owner)
    check_goes_on(owner)


def test_an_import_that_fills_the_disk_says_from_where_to_go_on(
    small: Disk, owner: Person, tmp_path: Path
) -> None:
    lines = many_lines(tmp_path)

    done = owner.run("import", str(lines), "--type", "number", "--quiet")
    check_is_one_line(done, "free some space")
    stored = int(done.stderr.partition("all up to line ")[2].partition(" is stored")[0])
    small.remount("size=64m")
    assert len(owner.json("ls", "number", "--limit", "9999")) == stored
    owner.json("import", str(lines), "--type", "number", "--skip", str(stored))

    assert len(owner.json("ls", "number", "--limit", "9999")) == MANY
    check_goes_on(owner)


def many_lines(folder: Path) -> Path:
    lines = folder / "many.jsonl"
    text = "made for filling a disk, " * 20
    lines.write_text("".join(json.dumps({"n": n, "text": text}) + "\n" for n in range(MANY)))
    return lines


def test_a_sync_that_fills_the_disk_says_so_and_ends_level_once_there_is_room(
    small: Disk, ana: Person, server: str, tmp_path: Path
) -> None:
    ben = Person(small.folder / "ben.db")
    befriend(ana, ben, server)
    ana.json("import", str(many_lines(tmp_path)), "--type", "number")
    with ana.running("sync", "--stay"), ben.running("sync", "--stay") as at_ben:
        problem = at_ben.until(lambda found: "free some space" in found.get("message", ""))
        small.remount("size=64m")
        at_ben.until_event("level")
        at_ben.end(signal.SIGINT)

    assert str(ben.profile) in problem["message"]
    assert hashes(ana) == hashes(ben)
    assert len(hashes(ben)) == MANY
    Database(ben.profile).check()


@pytest.mark.parametrize("name", COMMANDS)
def test_on_a_read_only_disk_a_command_says_to_make_it_writable(
    small: Disk, owner: Person, name: str
) -> None:
    small.remount("ro")

    done = owner.run(*COMMANDS[name])

    check_is_one_line(done, "mounted read-only")
    assert str(owner.profile) in done.stderr
    small.remount("rw")
    check_goes_on(owner)


def test_a_profile_cannot_be_made_on_a_read_only_disk(small: Disk) -> None:
    small.remount("ro")

    done = Person(small.folder / "new" / "ben.db").run("init", "--name", "Ben")

    check_is_one_line(done, "mounted read-only")


# --- Backups. -------------------------------------------------------------------------------------

PASSWORD = {"PEERSTACK_BACKUP_PASSWORD": "correct horse"}


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody with a profile that is larger than what is left of a full disk, and room for it."""
    for name, value in PASSWORD.items():
        monkeypatch.setenv(name, value)
    person = Person(tmp_path / "home/ana.db")
    person.json("init", "--name", "Ana")
    rows = "\n".join(json.dumps({"title": f"{n} " + "x" * 1000}) for n in range(1_000))
    person.json("import", "-", "--type", "note", input=rows)
    return person


def test_a_backup_onto_a_full_disk_leaves_the_one_before(small: Disk, large: Person) -> None:
    file = small.folder / "large.backup"
    large.json("backup", str(file))
    before = file.read_bytes()
    small.fill()

    check_is_one_line(large.run("backup", str(file), **PASSWORD), "cannot write the backup")

    assert file.read_bytes() == before
    assert {each.name for each in small.folder.iterdir()} == {"large.backup", "filler"}
    assert {each.suffix for each in large.profile.parent.iterdir()} == {".db", ".keys"}


def test_a_backup_of_a_profile_on_a_full_disk_says_that_it_needs_room(
    small: Disk, owner: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEERSTACK_BACKUP_PASSWORD", "correct horse")
    small.fill()

    check_is_one_line(
        owner.run("backup", str(tmp_path / "large.backup"), **PASSWORD), "room", "free some space"
    )

    assert not (tmp_path / "large.backup").exists()
    small.make_room()
    check_goes_on(owner)
    owner.json("backup", str(tmp_path / "large.backup"))


def test_restoring_onto_a_full_disk_makes_no_profile(
    small: Disk, large: Person, tmp_path: Path
) -> None:
    large.json("backup", str(tmp_path / "large.backup"))
    new = Person(small.folder / "new/large.db")
    other = small.folder / "other"
    other.write_bytes(bytes(3_000_000))

    done = new.run("restore", str(tmp_path / "large.backup"), "--quiet", **PASSWORD)

    check_is_one_line(done, "room")

    assert list(new.profile.parent.iterdir()) == []
    other.unlink()
    new.json("restore", str(tmp_path / "large.backup"))
    assert len(new.json("ls", "note")) == 1_000

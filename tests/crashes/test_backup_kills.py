"""A backup or a restore that is killed for real, at moments that a seed draws."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from peerstack.node.backup import coming_database
from tests.cli.person import Person
from tests.crashes.inspection import Database

PASSWORD = {"PEERSTACK_BACKUP_PASSWORD": "correct horse"}
MANY = 3_000
KILLS = 6


@pytest.fixture
def ana(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    for name, value in PASSWORD.items():
        monkeypatch.setenv(name, value)
    person = Person(tmp_path / "home/ana.db")
    person.json("init", "--name", "Ana")
    rows = "\n".join(f'{{"title": "{n} {"x" * 1000}"}}' for n in range(MANY))
    person.json("import", "-", "--type", "note", input=rows)
    return person


def kill_at_work(person: Person, begun: Callable[[], bool], within_s: float, *words: str) -> bool:
    """Kill a command so soon after it has begun to write; whether it was not done by then."""
    with person.running(*words, **PASSWORD) as running:
        while running.process.poll() is None and not begun():
            time.sleep(0.001)
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(within_s)
        running.process.send_signal(signal.SIGKILL)
        return running.process.wait() != 0


def test_a_killed_backup_leaves_the_one_before_or_a_new_one(ana: Person, tmp_path: Path) -> None:
    file, dice, killed = tmp_path / "sticks/ana.backup", random.Random(1), 0
    file.parent.mkdir()
    ana.json("backup", str(file))

    def copying() -> bool:
        folders = (ana.profile.parent, file.parent)
        return any(any(folder.glob("*.tmp")) for folder in folders)

    for number in range(KILLS):
        ana.json("put", "note", f"title=between {number}")
        killed += kill_at_work(ana, copying, dice.uniform(0, 0.1), "backup", str(file))
        new = Person(tmp_path / f"new{number}/ana.db")

        new.json("restore", str(file))

        assert len(new.json("ls", "note")) in range(MANY, MANY + number + 2)
    assert killed
    ana.json("backup", str(file))
    assert [each.name for each in file.parent.iterdir()] == ["ana.backup"]
    assert {each.suffix for each in ana.profile.parent.iterdir()} <= {".db", ".keys", ".lock"}


def test_a_killed_restore_leaves_no_profile_or_a_whole_one(ana: Person, tmp_path: Path) -> None:
    file, dice, killed = tmp_path / "ana.backup", random.Random(2), 0
    ana.json("backup", str(file))
    for number in range(KILLS):
        new = Person(tmp_path / f"new{number}/ana.db")
        new.profile.parent.mkdir()
        begun = coming_database(new.profile).exists
        killed += kill_at_work(new, begun, dice.uniform(0, 0.1), "restore", str(file))

        if not new.profile.exists():
            assert new.call("ls", "note").exit_code == 1
            new.json("restore", str(file))

        assert len(new.json("ls", "note")) == MANY
        Database(new.profile).check()
        assert {each.suffix for each in new.profile.parent.iterdir()} <= {".db", ".keys", ".lock"}
    assert killed

"""`backup` and `restore`: what people type, and what scripts read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.person import Person

PASSWORD = "correct horse"


@pytest.fixture
def new(tmp_path: Path) -> Person:
    return Person(tmp_path / "new" / "ana.db")


def test_a_backup_is_restored_as_a_new_device_of_the_same_user(
    ana: Person, new: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEERSTACK_BACKUP_PASSWORD", PASSWORD)
    (init,) = ana.json("init", "--name", "Ana")
    ana.json("put", "note", "title=Milk")
    file = tmp_path / "ana.backup"

    (written,) = ana.json("backup", str(file))
    (restored,) = new.json("restore", str(file), "--device-name", "new phone")

    assert written == {"backup": str(file), "bytes": file.stat().st_size}
    assert restored == {
        "name": "Ana",
        "user": init["user"],
        "device": restored["device"],
        "profile": str(new.profile),
    }
    assert restored["device"] != init["device"]
    assert [each["value"] for each in new.json("ls", "note")] == [{"title": "Milk"}]
    names = {each["id"]: each["name"] for each in new.json("devices")}
    assert names[restored["device"]] == "new phone"


def test_the_password_is_asked_for_and_twice_where_a_backup_is_made(
    ana: Person, new: Person, tmp_path: Path
) -> None:
    ana.json("init", "--name", "Ana")
    file = tmp_path / "ana.backup"

    mistyped = f"{PASSWORD}\nanother\n{PASSWORD}\n{PASSWORD}\n"
    made = ana.call("backup", str(file), input=mistyped)
    assert made.exit_code == 0, made.output
    assert "do not match" in made.output
    assert PASSWORD not in made.output

    wrong = new.call("restore", str(file), input="another\n")
    assert (wrong.exit_code, "password is another one" in wrong.output) == (1, True)
    assert not new.profile.exists()
    right = new.call("restore", str(file), input=f"{PASSWORD}\n")
    assert right.exit_code == 0, right.output
    assert "peerstack sync" in right.output


def test_keys_can_be_sealed_while_restoring(
    ana: Person, new: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEERSTACK_BACKUP_PASSWORD", PASSWORD)
    ana.json("init", "--name", "Ana")
    ana.json("backup", str(tmp_path / "ana.backup"))

    done = new.call(
        "restore", str(tmp_path / "ana.backup"), "--seal", PEERSTACK_PASSPHRASE="for this device"
    )

    assert done.exit_code == 0, done.output
    assert new.call("whoami", input="").exit_code == 1
    assert new.call("whoami", PEERSTACK_PASSPHRASE="for this device").exit_code == 0


def test_without_a_profile_there_is_nothing_to_back_up_and_no_place_is_taken(
    ana: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PEERSTACK_BACKUP_PASSWORD", PASSWORD)
    file = tmp_path / "ana.backup"
    nothing = ana.call("backup", str(file))
    assert nothing.exit_code == 1
    assert "no profile" in nothing.output
    ana.json("init", "--name", "Ana")
    ana.json("backup", str(file))

    taken = ana.call("restore", str(file))

    assert taken.exit_code == 1
    assert "another profile" in taken.output

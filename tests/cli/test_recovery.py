"""`recovery` and `recover`: what people type, and what scripts read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.person import Json, Person, befriend


@pytest.fixture
def lost(ana: Person, tmp_path: Path) -> tuple[list[str], Path]:
    """Ana's phrase, confirmed, and her kit."""
    ana.json("init", "--name", "Ana", "--server", "http://127.0.0.1:1")
    ana.json("group", "create", "Family")
    kit = tmp_path / "kit"
    asked, _ = ana.confirm("--kit", str(kit))
    return asked["phrase"], kit


@pytest.fixture
def new(tmp_path: Path) -> Person:
    return Person(tmp_path / "new" / "ana.db")


def device_of(person: Person) -> str:
    (shown,) = person.json("whoami")
    return str(shown["device"])


def advice(person: Person) -> str:
    (shown,) = person.json("status")
    return " ".join(shown["advice"])


# --- recovery. ------------------------------------------------------------------------------------


def test_the_phrase_is_shown_asked_back_and_gone(ana: Person) -> None:
    ana.json("init")
    assert "recovery phrase" in advice(ana)

    asked, done = ana.confirm()

    assert len(asked["phrase"]) == 24
    assert len(set(asked["asked"])) == 3
    assert done == {"confirmed": True, "kit": f"{ana.profile}.kit"}
    assert ana.json("recovery") == [done]
    assert advice(ana) == ""


def test_wrong_words_are_asked_for_again(ana: Person) -> None:
    ana.json("init")

    assert ana.confirm(wrong=2)[-1]["confirmed"]


def test_three_wrong_answers_leave_all_as_it_was(ana: Person) -> None:
    ana.json("init")
    done = ana.call("recovery", input="\n".join(["abandon"] * 9))

    assert done.exit_code == 1
    assert "not what the phrase has" in done.stderr
    assert "recovery phrase" in advice(ana)


def test_who_does_not_answer_keeps_the_phrase(ana: Person) -> None:
    ana.json("init")

    assert ana.call("recovery", input="").exit_code != 0
    assert len(ana.confirm()[0]["phrase"]) == 24


def test_people_read_numbered_words_and_the_next_step(ana: Person) -> None:
    ana.json("init")
    done = ana.call("recovery", input="\n".join(["abandon"] * 9))

    rows = done.stdout.splitlines()[:6]
    assert all(len(row.split()) == 8 for row in rows)
    assert rows[0].split()[0] == "1"
    assert rows[5].split()[6] == "24"
    ana.confirm()
    again = ana.call("recovery")
    assert "wrote the recovery kit" in again.stdout
    assert "next: copy" in again.stderr


def test_the_kit_is_written_where_one_says(ana: Person, tmp_path: Path) -> None:
    ana.json("init")
    stick = tmp_path / "stick"
    stick.mkdir()

    assert ana.confirm("--kit", str(stick / "kit"))[-1]["kit"] == str(stick / "kit")
    before = (stick / "kit").read_bytes()
    ana.json("recovery", "--kit", str(stick / "kit"))
    assert (stick / "kit").read_bytes() != before

    wrong = ana.call("recovery", "--kit", str(tmp_path / "none" / "kit"))
    assert wrong.exit_code == 1
    assert "no folder" in wrong.stderr


def test_a_sealed_profile_is_confirmed_too(ana: Person) -> None:
    ana.call("init", "--seal", PEERSTACK_PASSPHRASE="horse")

    assert ana.confirm(PEERSTACK_PASSPHRASE="horse")[-1]["confirmed"]
    assert ana.call("recovery", PEERSTACK_PASSPHRASE="horse").exit_code == 0
    assert ana.call("recovery").exit_code == 1


def test_a_revoked_device_is_not_advised_to_keep_its_phrase(ana: Person) -> None:
    ana.json("init")
    ana.json("revoke", device_of(ana), "--yes", "--force")

    assert advice(ana) == ""


# --- recover. -------------------------------------------------------------------------------------


def taken_back(new: Person, lost: tuple[list[str], Path], *words: str) -> Json:
    phrase, kit = lost
    (done,) = new.json(
        "recover", "--kit", str(kit), "--phrase-file", "-", "--yes", *words, input=" ".join(phrase)
    )
    return done


def test_an_empty_machine_takes_one_back(
    ana: Person, new: Person, lost: tuple[list[str], Path]
) -> None:
    done = taken_back(new, lost, "--revoke", device_of(ana), "--device-name", "new laptop")

    (before,), (after,) = ana.json("whoami"), new.json("whoami")
    assert after["user"] == before["user"] == done["user"]
    assert after["device"] != before["device"]
    assert after["servers"] == ["http://127.0.0.1:1"]
    assert done["revoked"] == [before["device"]]
    assert done["groups"] == ["Family"]
    assert len(done["phrase"]) == 24
    assert done["phrase"] != lost[0]
    assert new.confirm()[0]["phrase"] == done["phrase"]


def test_repeating_it_shows_the_same_phrase_again(
    new: Person, lost: tuple[list[str], Path]
) -> None:
    assert taken_back(new, lost) == taken_back(new, lost)


def test_the_new_phrase_and_kit_take_one_back_the_next_time(
    new: Person, lost: tuple[list[str], Path], tmp_path: Path
) -> None:
    done = taken_back(new, lost)
    third = Person(tmp_path / "third.db")

    again = taken_back(third, (done["phrase"], Path(done["kit"])))

    assert again["user"] == done["user"]
    assert again["groups"] == ["Family"]


def test_a_sync_after_it_does_not_wait_for_devices_that_are_revoked(
    ana: Person, ben: Person, new: Person, server: str, tmp_path: Path
) -> None:
    befriend(ana, ben, server)
    with ana.running("sync", "--stay") as staying:
        staying.until_event("online")
        ben.json("sync")
    kit = tmp_path / "kit"
    phrase = ana.confirm("--kit", str(kit))[0]["phrase"]
    taken_back(new, (phrase, kit), "--revoke", device_of(ana))

    with ben.running("sync", "--stay") as staying:
        staying.until_event("online")
        new.json("sync")

    assert [each["name"] for each in new.json("groups")] == ["personal", "Family"]


def test_it_asks_for_the_phrase_and_for_what_to_revoke(
    ana: Person, new: Person, lost: tuple[list[str], Path]
) -> None:
    phrase, kit = lost
    typed = [" ".join(phrase[:12]), "nonsense word", " ".join(phrase[12:]), "7", "1"]
    done = new.call("recover", "--kit", str(kit), input="\n".join([*typed, ""]))

    assert done.exit_code == 0, done.output
    assert "in no phrase: nonsense" in done.stderr
    assert "Word 13 and on" in done.stderr
    assert device_of(ana) in done.stderr
    assert "give numbers from 1 to 1" in done.stderr
    assert "your new phrase" in done.stdout
    assert "next: write the new phrase down" in done.stderr
    phrase_file = kit.with_name("phrase")
    phrase_file.write_text("\n".join(phrase))
    again = new.json("recover", "--kit", str(kit), "--phrase-file", str(phrase_file), "--yes")
    assert again[0]["user"] == ana.json("whoami")[0]["user"]


@pytest.mark.parametrize(
    ("phrase", "kind"),
    [("abandon", "InvalidPhrase"), ("abandon " * 23 + "art", "InvalidKit")],
)
def test_what_does_not_fit_together_makes_nothing(
    new: Person, lost: tuple[list[str], Path], phrase: str, kind: str
) -> None:
    done = new.call("recover", "--kit", str(lost[1]), "--phrase-file", "-", "--json", input=phrase)

    assert done.exit_code == 1
    assert json.loads(done.stderr)["error"] == kind
    assert not list(new.profile.parent.glob("*"))


def test_devices_are_named_by_their_ids(new: Person, lost: tuple[list[str], Path]) -> None:
    phrase, kit = lost
    for option in ("--revoke", "--keep"):
        done = new.call(
            "recover", "--kit", str(kit), "--phrase-file", "-", option, "phone",
            input=" ".join(phrase),
        )  # fmt: skip
        assert done.exit_code == 2
        assert "'phone' is no device's id" in done.stderr


def test_a_device_that_was_left_out_is_taken_back(
    ana: Person, new: Person, lost: tuple[list[str], Path]
) -> None:
    ana.json("put", "note", "title=Milk")
    first = taken_back(new, lost)
    third = Person(new.profile.with_name("third.db"))
    taken_back(third, (first["phrase"], Path(first["kit"])), "--keep", first["device"])
    assert device_of(ana) in advice(third)

    (kept,) = third.json("recovery", "--keep", device_of(ana))

    assert kept == {"kept": [device_of(ana)]}
    assert device_of(ana) not in advice(third)

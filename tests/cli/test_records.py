"""Records by the command line: on one device, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.person import Person

RECORD_KEYS = [
    "id",
    "group",
    "type",
    "value",
    "modified",
    "modified_at",
    "signer",
    "device",
    "hash",
    "deleted",
]


def test_the_first_put_makes_the_profile_and_says_where(ana: Person) -> None:
    done = ana.call("put", "note", "title=Milk")

    assert done.exit_code == 0
    assert ana.profile.exists()
    assert str(ana.profile) in done.stderr
    assert "next: " in done.stderr


def test_without_a_path_the_profile_lies_where_the_platform_keeps_data(
    ana: Person, tmp_path: Path
) -> None:
    made = ana.call("put", "note", "a=b", XDG_DATA_HOME=str(tmp_path), PEERSTACK_PROFILE="work")

    assert made.exit_code == 0
    assert (tmp_path / "peerstack" / "work.db").exists()


def test_fields_are_text_and_json(ana: Person) -> None:
    (record,) = ana.json("put", "note", "title=Milk = white", "done:=true", "tags:=[1, null]")

    assert record["value"] == {"title": "Milk = white", "done": True, "tags": [1, None]}


def test_a_json_object_is_a_value(ana: Person) -> None:
    (record,) = ana.json("put", "note", '{"title": "Milk"}')

    assert record["value"] == {"title": "Milk"}


def test_a_record_in_json_keeps_its_keys(ana: Person) -> None:
    (put,) = ana.json("put", "note", "title=Milk")
    (got,) = ana.json("get", put["id"])
    (listed,) = ana.json("ls")
    (exported,) = ana.json("export")

    assert list(put) == RECORD_KEYS
    assert put == got == listed == exported


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["title"], "no field"),
        (["=Milk"], "no field"),
        (["a=1", "a=2"], "twice"),
        (["a:=nonsense"], "no JSON"),
        (["{nonsense"], "no JSON"),
        (["a=b", "--over", "00"], "--id"),
    ],
)
def test_wrong_usage_is_told_and_changes_nothing(
    words: list[str], complaint: str, ana: Person
) -> None:
    done = ana.call("put", "note", *words)

    assert done.exit_code == 2
    assert complaint in done.stderr
    assert not ana.profile.exists()


def test_editing_by_id_replaces_the_fields_that_are_given(ana: Person) -> None:
    (first,) = ana.json("put", "note", "title=Milk", "done:=false")

    (second,) = ana.json("put", "note", "done:=true", "--id", first["id"])

    assert second["id"] == first["id"]
    assert second["value"] == {"title": "Milk", "done": True}
    assert len(ana.json("ls")) == 1


def test_writing_over_an_old_version_keeps_what_was_live_and_says_conflict(ana: Person) -> None:
    (first,) = ana.json("put", "note", "title=one")
    (second,) = ana.json("put", "note", "title=two", "--id", first["id"])
    (third,) = ana.json("put", "note", "title=3", "--id", first["id"], "--over", first["hash"][:9])

    versions = ana.json("get", first["id"], "--history")

    assert versions[0]["value"] == third["value"] == {"title": "3"}
    assert second["hash"] in {version["hash"] for version in versions}
    with ana.running("watch", "--since", "0") as watch:
        change = watch.until(lambda change: change["conflict"])
    assert change["record"]["hash"] == third["hash"]
    assert change["previous"]["hash"] == second["hash"]


@pytest.mark.parametrize(
    "words",
    [
        ["get", "01M7YRX7W10Y3VHVTV25XXS6G2"],
        ["put", "note", "a=b", "--id", "01M7YRX7W10Y3VHVTV25XXS6G2"],
        ["rm", "01M7YRX7W10Y3VHVTV25XXS6G2"],
        ["get", "nonsense"],
        ["ls", "--group", "Nobody"],
        ["ls", "NOTE"],
        ["ls", "note", "--where", "a b=c"],
    ],
)
def test_what_is_not_there_is_one_line_and_exit_code_1(words: list[str], ana: Person) -> None:
    ana.json("put", "note", "title=Milk")

    done = ana.call(*words)

    assert done.exit_code == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")


@pytest.mark.parametrize("words", [["ls"], ["whoami"], ["groups"], ["export"], ["status"]])
def test_reading_makes_no_profile(words: list[str], ana: Person) -> None:
    done = ana.call(*words)

    assert done.exit_code == 1
    assert "peerstack init" in done.stderr
    assert not ana.profile.exists()


@pytest.mark.parametrize("words", [["put", "note", "title=Milk"], ["import", "-"]])
def test_writing_into_a_group_that_cannot_be_there_makes_no_profile(
    words: list[str], ana: Person
) -> None:
    done = ana.call(*words, "--group", "Family")

    assert done.exit_code == 1
    assert "peerstack init" in done.stderr
    assert not ana.profile.exists()
    assert ana.call("put", "note", "title=Milk", "--group", "personal").exit_code == 0


def test_with_json_an_error_is_json(ana: Person) -> None:
    done = ana.call("ls", "--json")

    assert list(json.loads(done.stderr)) == ["error", "message"]
    assert json.loads(done.stderr)["error"] == "NotFound"


def test_ls_picks_sorts_and_bounds(ana: Person) -> None:
    for title, done in [("b", "true"), ("a", "true"), ("c", "true"), ("d", "false")]:
        ana.json("put", "note", f"title={title}", f"done:={done}")

    found = ana.json("ls", "note", "--where", "done:=true", "--order-by", "-title", "--limit", "2")

    assert [record["value"]["title"] for record in found] == ["c", "b"]


def test_ls_reads_more_than_one_page(ana: Person, tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("".join(f'{{"n": {n}}}\n' for n in range(1_100)))
    ana.json("import", str(file), "--type", "number")

    found = ana.json("ls", "number", "--order-by", "n")

    assert [record["value"]["n"] for record in found] == list(range(1_100))


def test_rm_deletes(ana: Person) -> None:
    (record,) = ana.json("put", "note", "title=Milk")

    ana.json("rm", record["id"])

    assert ana.json("ls") == []
    assert [each["deleted"] for each in ana.json("get", record["id"], "--history")] == [True, False]


def test_what_others_wrote_is_not_obeyed_by_the_terminal(ana: Person) -> None:
    (record,) = ana.json("put", "note", json.dumps({"a\x1b[2J": "\x1b]0;x\x07\x9b\u202e\n"}))

    shown = [ana.call(*words).output for words in (["ls"], ["get", record["id"]])]

    assert all(char.isprintable() for char in "".join(shown).replace("\n", ""))


def test_quiet_says_the_result_alone(ana: Person) -> None:
    done = ana.call("put", "note", "title=Milk", "--quiet")

    assert done.stdout
    assert done.stderr == ""


def test_the_only_shared_group_is_meant_and_otherwise_the_personal_one(ana: Person) -> None:
    (alone,) = ana.json("put", "note", "n:=1")
    (family,) = ana.json("group", "create", "Family")
    (shared,) = ana.json("put", "note", "n:=2")
    ana.json("group", "create", "Work")
    (again,) = ana.json("put", "note", "n:=3")
    (named,) = ana.json("put", "note", "n:=4", "--group", "Family")

    assert shared["group"] == named["group"] == family["id"]
    assert alone["group"] == again["group"] == alone["signer"]
    assert len(ana.json("ls", "--group", "personal")) == 2


def test_which_devices_have_a_record_is_shown_a_line_each(ana: Person) -> None:
    (note,) = ana.json("put", "note", "title=Milk")

    shown = ana.call("reached", note["id"])
    (told,) = ana.json("reached", note["id"])

    assert shown.stdout.splitlines()[0].split() == ["NAME", "DEVICE", "HAS", "IT", "USER"]
    assert " yes " in shown.stdout.splitlines()[1]
    assert list(told) == ["user", "name", "has", "device"]
    assert (told["user"], told["has"]) == (note["signer"], True)
    assert (told["device"]["id"], told["device"]["this"]) == (note["device"], True)
    ana.call("rm", note["id"])
    gone = ana.call("reached", note["id"])
    assert gone.exit_code == 1
    assert note["id"] in gone.stderr

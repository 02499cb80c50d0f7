"""Import and export: everything before a bad line is stored, and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerstack.cli.transfer_commands import LINE_BYTES
from tests.cli.person import Person


def numbers(person: Person) -> list[int]:
    return sorted(record["value"]["n"] for record in person.json("ls", "number"))


def test_what_is_exported_can_be_imported(ana: Person, ben: Person, tmp_path: Path) -> None:
    ana.json("put", "note", r'{"title": "M\u00fcsli \ud83e\udd63"}')
    ana.json("put", "task", "done:=false")
    file = tmp_path / "all.jsonl"

    assert ana.call("export", str(file)).exit_code == 0
    (done,) = ben.json("import", str(file))

    assert done["imported"] == 2
    assert [(each["type"], each["value"]) for each in ben.json("ls")] == [
        (each["type"], each["value"]) for each in ana.json("ls")
    ]


def test_export_of_one_type(ana: Person) -> None:
    ana.json("put", "note", "n:=1")
    ana.json("put", "task", "n:=2")

    assert [each["value"] for each in ana.json("export", "--type", "task")] == [{"n": 2}]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{nonsense", "no JSON"),
        (b"[1]", "type"),
        (b'{"value": {}}', "type"),
        (b'{"type": "number", "value": 3}', "no JSON object"),
        (b'{"type": "$secret", "value": {}}', ""),
        (b'{"type": "number", "value": {"big": "' + b"x" * 61_440 + b'"}}', ""),
        (b'"' + b"x" * LINE_BYTES + b'"', "bytes"),
        (b"\xff", "no JSON"),
    ],
    ids=["torn", "list", "no-type", "no-object", "reserved", "too-big", "too-long", "no-utf8"],
)
def test_a_bad_line_is_named_all_before_it_is_stored_and_skip_goes_on(
    line: bytes, complaint: str, ana: Person, tmp_path: Path
) -> None:
    good = [json.dumps({"type": "number", "value": {"n": n}}).encode() for n in range(7)]
    file = tmp_path / "file.jsonl"
    file.write_bytes(b"\n".join([*good[:5], line, *good[5:]]))

    done = ana.call("import", str(file))

    assert done.exit_code == 1
    assert "line 6: " in done.stderr
    assert complaint in done.stderr
    assert "--skip 5" in done.stderr
    assert numbers(ana) == [0, 1, 2, 3, 4]

    file.write_bytes(b"\n".join([*good[:5], b"", *good[5:]]))
    (mended,) = ana.json("import", str(file), "--skip", "5")

    assert mended["imported"] == 2
    assert numbers(ana) == list(range(7))


def test_standard_input_can_be_imported(ana: Person) -> None:
    (done,) = ana.json("import", "-", "--type", "number", input='{"n": 1}\n{"n": 2}\n')

    assert done["imported"] == 2
    assert numbers(ana) == [1, 2]


def test_import_shows_a_bar_to_people(ana: Person, tmp_path: Path) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text('{"n": 1}\n')

    done = ana.call("import", str(file), "--type", "number")

    assert "importing" in done.stderr
    assert "100%" in done.stderr

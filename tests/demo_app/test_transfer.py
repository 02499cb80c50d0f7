"""Notes come from other programs and go to them, and nothing of them is lost without a word."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from family_notes.model import BODY_CHARS, Draft, Place
from family_notes.transfer import documents, files, markdown
from family_notes.transfer.form import LeftOut, Line, Parcel
from tests.demo_app.visitor import Visitor, ana

words = st.text(alphabet="ab .,-#[]é", min_size=1, max_size=12).map(str.strip).filter(bool)
parcels = st.builds(
    Parcel,
    st.builds(Draft, words, st.just("") | st.just("two\n\nlines"), st.just(()) | st.just(("a",))),
    st.lists(st.builds(Line, words, st.booleans()), max_size=3),
    st.booleans(),
    st.sampled_from(Place),
)

KEEP = {
    "title": "Shopping",
    "textContent": "",
    "listContent": [{"text": "Milk", "isChecked": True}, {"text": "Bread", "isChecked": False}],
    "labels": [{"name": "shop"}],
    "isPinned": True,
    "isArchived": False,
    "isTrashed": False,
    "color": "DEFAULT",
}


def zipped(entries: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return written.getvalue()


def read(name: str, content: bytes) -> Sequence[Parcel | LeftOut]:
    return list(files.read(name, io.BytesIO(content)))


@given(parcels)
def test_a_note_comes_back_from_json_as_it_went(parcel: Parcel) -> None:
    assert documents.read_line(documents.write_line(parcel), "it") == parcel


@given(parcels)
def test_a_note_comes_back_from_markdown_as_it_went(parcel: Parcel) -> None:
    assert markdown.read(markdown.write(parcel), "it") == parcel


def test_a_file_of_somebody_elses_markdown_is_read_as_it_stands() -> None:
    text = "\ufeff---\nauthor: Ben\n---\r\nSome text\r\n\r\n* [X] done\r\n  - [ ] indented\r\n"

    parcel = markdown.read(text, "Cake")

    assert parcel.draft == Draft("Cake", "---\nauthor: Ben\n---\nSome text\n\n  - [ ] indented")
    assert parcel.lines == [Line("done", True)]


def test_google_keeps_notes_are_read_with_their_lists_and_labels() -> None:
    [parcel] = read("Shopping.json", json.dumps(KEEP).encode())

    assert parcel == Parcel(
        Draft("Shopping", "", ("shop",)), [Line("Milk", True), Line("Bread")], True
    )


def test_an_export_of_google_keep_is_read_as_the_zip_that_it_is() -> None:
    archive = zipped(
        {
            "Takeout/Keep/Shopping.json": json.dumps(KEEP).encode(),
            "Takeout/Keep/Old.json": json.dumps(KEEP | {"isArchived": True}).encode(),
            "Takeout/Keep/Gone.json": json.dumps(KEEP | {"isTrashed": True}).encode(),
            "Takeout/Keep/Shopping.html": b"<html>",
            "Takeout/Keep/picture.png": b"\x89PNG",
            "Takeout/Keep/Labels.txt": b"shop",
        }
    )

    found = read("takeout.zip", archive)

    places = [each.place for each in found if isinstance(each, Parcel)]
    assert places == [Place.DESK, Place.ARCHIVE, Place.BIN]
    assert len(found) == 3


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"[]"),
        ("a.json", b'{"other": 1}'),
        ("a.json", b"[" * 100_000),
        ("a.jsonl", b"1\n"),
        ("a.zip", b"no zip"),
        ("a.zip", zipped({"a.md": b"x"})[:-30]),
        ("a.exe", b"MZ"),
        ("a.md", b"x" * (files.FILE_BYTES + 1)),
        ("a.zip", zipped({"a.md": bytes(files.FILE_BYTES + 1)})),
    ],
    ids=lambda value: value if isinstance(value, str) else len(value),
)
def test_what_cannot_be_read_is_left_out_and_named(name: str, content: bytes) -> None:
    [found] = read(name, content)

    assert isinstance(found, LeftOut)
    assert "a" in found.why


def test_values_of_other_kinds_do_no_harm() -> None:
    strange = {"title": 1, "textContent": None, "listContent": [1, {"text": 2}], "labels": "x"}

    [parcel] = read("a.json", json.dumps(strange).encode())

    assert parcel == Parcel(Draft(), [Line("")])


def test_half_a_character_becomes_a_mark_for_one() -> None:
    """JSON can say half a character; nothing can store it, and no page can show it."""
    for half in ("\ud83d", "\ude00", "\ude00\ud83d"):
        whole = "\ufffd" * len(half)
        keep = KEEP | {"title": half, "textContent": half, "labels": [{"name": half}]}
        line = {"title": half, "body": half, "labels": [half, 1], "items": [{"text": half}]}

        [kept] = read("a.json", json.dumps(keep).encode())
        [written] = read("a.jsonl", json.dumps(line).encode())

        draft = Draft(whole, whole, (whole,))
        assert isinstance(kept, Parcel)
        assert kept.draft == draft
        assert written == Parcel(draft, [Line(whole)])


def test_no_file_of_an_export_has_a_path_or_anothers_name() -> None:
    titles = ["../../etc/passwd", "a/b", "A/B", "con: x", "..", "\x00", "x" * 500]

    archive = zipfile.ZipFile(io.BytesIO(files.write_zip(Parcel(Draft(each)) for each in titles)))

    names = archive.namelist()
    assert len({name.casefold() for name in names}) == len(titles)
    assert not any("/" in name or "\\" in name or name.startswith(".") for name in names)
    assert max(map(len, names)) < 100


async def imported(visitor: Visitor, files: dict[str, bytes]) -> str:
    await visitor.bring("private", files)
    while True:
        await asyncio.sleep(0.01)  # nothing in this page waits, so nothing else would go on
        await visitor.go("transfer/job")
        if " now." in visitor.text:
            return visitor.text


async def test_files_are_imported_and_exported_again(tmp_path: Path) -> None:
    async with ana(tmp_path) as visitor:
        said = await imported(
            visitor,
            {
                "Cake.md": b"# Cake\n\nMix.\n\n- [ ] eggs\n- [x] milk\n",
                "keep.json": json.dumps(KEEP).encode(),
                "long.md": b"x" * (BODY_CHARS + 1),
                "smile.md": "\N{GRINNING FACE}".encode() * BODY_CHARS,
            },
        )
        assert "2 notes are in “Private” now." in said
        assert "“long” is too long" in said
        assert "“smile” cannot be stored" in said

        await visitor.go("s/private/")
        assert visitor.text.index("Shopping") < visitor.text.index("Others")
        assert "Cake" in visitor.page
        assert ">shop<" in visitor.page

        answer = await visitor.client.get(f"{visitor.door.path}transfer/export?space=private&as=x")
        assert answer.headers["content-disposition"] == 'attachment; filename="notes.zip"'
        assert answer.headers["content-type"] == "application/octet-stream"
        assert sorted(zipfile.ZipFile(io.BytesIO(answer.content)).namelist()) == [
            "Cake.md",
            "Shopping.md",
        ]

        answer = await visitor.client.get(
            f"{visitor.door.path}transfer/export?space=private&as=jsonl"
        )
        back = [documents.read_line(line, "it") for line in answer.text.splitlines()]
        assert Parcel(Draft("Cake", "Mix."), [Line("eggs"), Line("milk", True)]) in back


async def test_a_form_may_not_be_as_large_as_an_import(tmp_path: Path) -> None:
    big = {"big.md": bytes(2 * 1024 * 1024)}
    async with ana(tmp_path) as visitor:
        await visitor.bring("private", big)
        assert visitor.status == 200

        answer = await visitor.client.post(
            f"{visitor.door.path}s/private/notes",
            files={"body": big["big.md"]},
            headers={"Origin": visitor.door.origin},
        )
        assert answer.status_code == 413

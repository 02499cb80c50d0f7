"""A zip may hold anything: what of it cannot be read is named, and takes nothing else along."""

from __future__ import annotations

import io
import random
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from family_notes.transfer import files
from family_notes.transfer.form import LeftOut, Parcel
from tests.demo_app.visitor import ana

NOTES = {
    "é.md": "# Cake\n" + "Mix, and let rest. " * 50,
    "milk.json": '{"textContent": "Milk"}',
    "many.jsonl": '{"title": "a"}\n{"title": "b"}\n',
}
ENTRY, NAME_OF_ENTRY = b"PK\1\2", 46
"""What an entry of the list of contents begins with, and where its name stands in it."""
END = b"PK\5\6"


def zipped(notes: Mapping[str, str] = NOTES, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, text in notes.items():
            archive.writestr(name, text)
    return written.getvalue()


def with_long_numbers(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A zip as those are that hold more than 4 GiB, whose places have 64 bits."""
    with monkeypatch.context() as short:
        short.setattr(zipfile, "ZIP64_LIMIT", 8)
        return zipped()


def changed(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def read(content: bytes) -> list[Parcel | LeftOut]:
    return list(files.read("notes.zip", io.BytesIO(content)))


def titles(found: list[Parcel | LeftOut]) -> list[str]:
    return [each.draft.title for each in found if isinstance(each, Parcel)]


def reasons(found: list[Parcel | LeftOut]) -> list[str]:
    return [each.why for each in found if isinstance(each, LeftOut)]


@pytest.mark.parametrize("kind", ["packed", "stored", "long numbers", "on disk"])
def test_of_thousands_of_damaged_zips_none_raises(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zips = {
        "packed": zipped(),
        "stored": zipped(method=zipfile.ZIP_STORED),
        "long numbers": with_long_numbers(monkeypatch),
        "on disk": zipped(),
    }
    whole = zips[kind]
    assert titles(read(whole)) == ["Cake", "", "a", "b"]
    drawn = random.Random(kind)

    for _ in range(2_000):
        damaged = bytearray(whole)
        for _ in range(drawn.randint(1, 3)):
            damaged[drawn.randrange(len(damaged))] = drawn.randrange(256)
        if drawn.random() < 0.1:
            del damaged[drawn.randrange(len(damaged)) :]
        # A file on disk has other words for a place that is not in it than one in memory.
        with tempfile.TemporaryFile() if kind == "on disk" else io.BytesIO() as file:
            file.write(damaged)
            assert all(isinstance(each, Parcel | LeftOut) for each in files.read("a.zip", file))


def test_a_file_that_is_damaged_is_left_out_and_the_others_are_read() -> None:
    content = zipped()
    packed = content.index("é.md".encode()) + len("é.md".encode())

    found = read(changed(content, packed, b"\xff\xff\xff"))

    assert titles(found) == ["", "a", "b"]
    assert reasons(found) == ["é.md in notes.zip cannot be read: it is damaged"]


def test_a_file_whose_place_is_nowhere_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    content = with_long_numbers(monkeypatch)
    second = content.index(ENTRY, content.index(ENTRY) + 4)
    place = content.index(b"milk.json", second) + len("milk.json") + 4 + 16

    for nowhere in (b"\xff" * 8, b"\xff" * 7 + b"\x7f", bytes(7) + b"\x70"):
        found = read(changed(content, place, nowhere))

        assert titles(found) == ["Cake", "a", "b"]
        assert reasons(found) == ["milk.json in notes.zip cannot be read: it is damaged"]


def test_a_file_with_a_password_or_packed_in_another_way_is_named_with_the_reason() -> None:
    content = zipped()
    second = content.index(ENTRY, content.index(ENTRY) + 4)

    assert reasons(read(changed(content, second + 8, b"\1"))) == [
        "milk.json in notes.zip cannot be read: it has a password"
    ]
    assert reasons(read(changed(content, second + 10, b"\x63"))) == [
        "milk.json in notes.zip cannot be read: it is packed in a way that is not known here"
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_could_unpack_to_any_size_at_once_is_not_unpacked(method: int) -> None:
    """zipfile bounds what it unpacks at once for deflate alone."""
    [found] = read(zipped({"a.md": "x"}, method))

    assert isinstance(found, LeftOut)
    assert "not known here" in found.why


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        zipped()[:-30],
        changed(zipped(), zipped().index(ENTRY), b"PK\1\3"),
        changed(zipped(), zipped().index(ENTRY) + NAME_OF_ENTRY, b"\xff"),
        changed(zipped(), zipped().index(ENTRY) + 6, b"\xff"),
    ],
    ids=["empty", "text", "cut off", "no entry", "a name that is no text", "of a later version"],
)
def test_a_zip_that_cannot_be_opened_is_named(content: bytes) -> None:
    assert reasons(read(content)) == ["notes.zip cannot be unpacked: it is damaged, or no zip"]


def test_an_entry_without_a_name_is_nothing() -> None:
    content = zipped({"a.md": "x"})
    for mark in (b"PK\3\4", ENTRY):
        content = changed(content, content.index(b"a.md", content.index(mark)), bytes(4))

    assert read(content) == []


def test_what_says_of_itself_that_it_is_too_large_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = zipped({"a.md": "x" * (files.FILE_BYTES + 1), "b.md": "# b"})
    opened: list[str] = []
    really = zipfile.ZipFile.open

    def open_(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> object:
        opened.append(entry.filename)
        return really(archive, entry)

    monkeypatch.setattr(zipfile.ZipFile, "open", open_)

    found = read(content)

    assert reasons(found) == ["a.md is larger than 1,024 KiB"]
    assert (opened, titles(found)) == (["b.md"], ["b"])


def test_of_what_is_larger_than_it_says_no_more_is_unpacked_than_it_says() -> None:
    content = zipped({"a.md": "x" * (files.FILE_BYTES + 1)})

    found = read(changed(content, content.index(ENTRY) + 24, b"\x09\0\0\0"))

    assert reasons(found) == ["a.md in notes.zip cannot be read: it is damaged"]


def test_a_small_zip_that_unpacks_to_a_great_deal_is_read_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "UNPACKED_BYTES", 2_000)
    content = zipped({f"{n}.md": "x" * 900 for n in range(5)})

    found = read(content)

    assert titles(found) == ["0", "1"]
    assert reasons(found) == ["2.md and what follows it in notes.zip are too large to be unpacked"]


def test_files_beyond_those_that_are_taken_are_not_passed_over_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "ENTRIES", 2)
    texts = {f"{n}.md": "x" for n in range(2)}

    assert reasons(read(zipped(texts | {"a.png": ""}))) == []
    found = read(zipped(texts | {"2.md": "x"}))

    assert titles(found) == ["0", "1"]
    assert reasons(found) == ["notes.zip has more than 2 files; 2.md and what follows is left out"]


async def test_the_page_says_what_of_a_zip_was_left_out(tmp_path: Path) -> None:
    content = zipped()
    packed = content.index("é.md".encode()) + len("é.md".encode())
    damaged = changed(content, packed, b"\xff\xff\xff")
    async with ana(tmp_path) as visitor:
        await visitor.bring(
            "private", {"one.zip": damaged, "two.zip": content[: len(content) // 2]}
        )
        await visitor.go("transfer/job")

        assert visitor.status == 200
        assert "é.md in one.zip cannot be read: it is damaged" in visitor.text
        assert "two.zip cannot be unpacked: it is damaged, or no zip" in visitor.text

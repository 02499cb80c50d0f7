"""The files that somebody brings or takes away. All is bounded: a zip may hold anything."""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Final

from family_notes.transfer import documents, markdown
from family_notes.transfer.form import LeftOut, Parcel

FILE_BYTES: Final = 1024 * 1024
LINES_BYTES: Final = 64 * 1024 * 1024
"""A file with many notes, a line each."""

ENTRIES: Final = 50_000
_TEXTS: Final = frozenset({".md", ".markdown", ".txt"})
_UNFIT: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


def read(name: str, file: IO[bytes]) -> Iterator[Parcel | LeftOut]:
    """The notes in one file, by what its name ends with."""
    if PurePosixPath(name).suffix.lower() == ".zip":
        yield from _unpacked(name, file)
    else:
        yield from _read_one(name, file)


def _unpacked(name: str, file: IO[bytes]) -> Iterator[Parcel | LeftOut]:
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist()[:ENTRIES]:
                if not entry.is_dir() and _is_wanted(entry.filename):
                    with archive.open(entry) as inside:
                        yield from _read_one(entry.filename, inside)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        yield LeftOut(f"{name} cannot be unpacked: {error}")


def _is_wanted(name: str) -> bool:
    """Whether it may hold a note: an export has pictures and pages beside them."""
    path = PurePosixPath(name)
    return path.suffix.lower() in _TEXTS | {".json", ".jsonl"} and path.name != "Labels.txt"


def _read_one(name: str, file: IO[bytes]) -> Iterator[Parcel | LeftOut]:
    path = PurePosixPath(name)
    kind = path.suffix.lower()
    limit = LINES_BYTES if kind == ".jsonl" else FILE_BYTES
    content = file.read(limit + 1)
    if len(content) > limit:
        yield LeftOut(f"{path.name} is larger than {limit // 1024:,} KiB")
        return
    text = content.decode("utf-8", "replace")
    if kind in _TEXTS:
        yield markdown.read(text, path.stem)
    elif kind == ".json":
        yield documents.read_keep(text, path.name)
    elif kind == ".jsonl":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield documents.read_line(line, f"line {number} of {path.name}")
    else:
        yield LeftOut(f"{path.name} is none of the kinds of files that can be read")


def write_zip(parcels: Iterable[Parcel]) -> bytes:
    """A zip with a Markdown file for each note, none of which has another's name."""
    written = io.BytesIO()
    names = Counter[str]()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for parcel in parcels:
            name = _UNFIT.sub(" ", parcel.draft.title).strip(" .")[:80] or "Note"
            names[name.casefold()] += 1
            number = names[name.casefold()]
            text = markdown.write(parcel)
            archive.writestr(f"{name}{f' ({number})' if number > 1 else ''}.md", text)
    return written.getvalue()


def write_lines(parcels: Iterable[Parcel]) -> bytes:
    """A line of JSON for each note."""
    return "".join(f"{documents.write_line(each)}\n" for each in parcels).encode()

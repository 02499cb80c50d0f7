"""The files that somebody brings or takes away. All is bounded: a zip may hold anything."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Final

from family_notes.transfer import documents, markdown
from family_notes.transfer.form import LeftOut, Parcel

FILE_BYTES: Final = 1024 * 1024
LINES_BYTES: Final = 64 * 1024 * 1024
"""A file with many notes, a line each."""

UNPACKED_BYTES: Final = 256 * 1024 * 1024
"""All that is read of one zip: as much as may be brought without one."""

ENTRIES: Final = 50_000
_TEXTS: Final = frozenset({".md", ".markdown", ".txt"})
_UNFIT: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_ENCRYPTED: Final = 1
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""What exports are packed with. Others are not bounded by zipfile in what they unpack at once."""

# What zipfile raises of a damaged file is not BadZipFile alone. Packed data that makes no sense is
# an error of zlib, and EOFError where it ends too early. A version or a patch that zipfile does not
# know is NotImplementedError; a name that is no UTF-8, ValueError. A place before the beginning is
# ValueError too, of a file on a disk OSError, and one of more than 63 bits OverflowError.
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    ValueError,
    OSError,
    OverflowError,
)


class _Unreadable(Exception):
    """Why one file of an archive is left out."""


def read(name: str, file: IO[bytes]) -> Iterator[Parcel | LeftOut]:
    """The notes in one file, by what its name ends with; what is wrong with it raises nothing."""
    if _kind_of(name) == ".zip":
        yield from _unpacked(name, file)
    else:
        yield from _understood(name, file.read(_most(name) + 1))


def _unpacked(name: str, file: IO[bytes]) -> Iterator[Parcel | LeftOut]:
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGED:
        yield LeftOut(f"{name} cannot be unpacked: it is damaged, or no zip")
        return
    with archive:
        yield from _members(name, archive)


def _members(name: str, archive: zipfile.ZipFile) -> Iterator[Parcel | LeftOut]:
    wanted = [each for each in archive.infolist() if _is_wanted(each.filename)]
    room = UNPACKED_BYTES
    for entry in wanted[:ENTRIES]:
        called = PurePosixPath(entry.filename).name
        if entry.file_size > _most(entry.filename):
            yield _too_large(entry.filename)
            continue
        # Entries may lie over each other, so that a small file unpacks to any number of large ones.
        room -= entry.file_size
        if room < 0:
            yield LeftOut(f"{called} and what follows it in {name} are too large to be unpacked")
            return
        try:
            content = _content(archive, entry)
        except _Unreadable as why:
            yield LeftOut(f"{called} in {name} cannot be read: {why}")
        else:
            yield from _understood(entry.filename, content)
    if len(wanted) > ENTRIES:
        called = PurePosixPath(wanted[ENTRIES].filename).name
        yield LeftOut(
            f"{name} has more than {ENTRIES:,} files; {called} and what follows is left out"
        )


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """What is in one file of an archive: no more than it says of itself. Raises `_Unreadable`."""
    if entry.flag_bits & _ENCRYPTED:
        raise _Unreadable("it has a password")
    if entry.compress_type not in _METHODS:
        raise _Unreadable("it is packed in a way that is not known here")
    try:
        with archive.open(entry) as inside:
            # One byte more has even what says that it is empty compared with its checksum.
            return inside.read(entry.file_size + 1)
    except _DAMAGED as error:
        raise _Unreadable("it is damaged") from error


def _is_wanted(name: str) -> bool:
    """Whether it may hold a note: an export has pictures and pages beside them, and folders.

    Zip files end the names of folders with a slash. Names may be empty, which `ZipInfo.is_dir` of
    Python 3.11 cannot bear.
    """
    if name.endswith("/") or PurePosixPath(name).name == "Labels.txt":
        return False
    return _kind_of(name) in _TEXTS | {".json", ".jsonl"}


def _understood(name: str, content: bytes) -> Iterator[Parcel | LeftOut]:
    path = PurePosixPath(name)
    kind = _kind_of(name)
    if len(content) > _most(name):
        yield _too_large(name)
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


def _kind_of(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _most(name: str) -> int:
    """How many bytes a file of that name may have."""
    return LINES_BYTES if _kind_of(name) == ".jsonl" else FILE_BYTES


def _too_large(name: str) -> LeftOut:
    return LeftOut(f"{PurePosixPath(name).name} is larger than {_most(name) // 1024:,} KiB")


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

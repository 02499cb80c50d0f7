"""A file that Family notes is to import: each note in it can be written and read again."""

from __future__ import annotations

import io
from typing import Final

from family_notes.transfer import documents, files
from family_notes.transfer.form import LeftOut
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

KINDS: Final = ("zip", "md", "json", "jsonl")


def run(data: bytes) -> None:
    """What the name of the file ends with; the rest is the file."""
    reader = Reader(data)
    name = f"notes.{reader.pick(KINDS)}"
    for found in files.read(name, io.BytesIO(reader.rest())):
        if isinstance(found, LeftOut):
            # It is to stand on a page, which half a character cannot.
            assert found.why.encode()
        else:
            line = documents.write_line(found).encode().decode()
            assert documents.read_line(line, name) == found


TARGET = Target("notes-file", run, ())

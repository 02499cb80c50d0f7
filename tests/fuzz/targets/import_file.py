"""A file to import: rows that can be stored or are refused by name, and the line that is none."""

from __future__ import annotations

import io
from typing import Final

from msgspec import UNSET

from peerstack.cli.transfer_commands import BadLine, _batches
from peerstack.errors import InvalidValue
from peerstack.ids import RecordId
from peerstack.record import Body, compose
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.people import NOW, person
from tests.raw_bodies import GROUP

_ANA: Final = person("ana").user


def run(data: bytes) -> None:
    """Whether lines are bare values, how many are skipped; the rest is the file."""
    reader = Reader(data)
    type_name, skip = ("note" if reader.flag() else None), reader.number() % 4
    file = io.BytesIO(reader.rest())
    before = skip
    for batch in _batches(file, type_name, skip):
        if isinstance(batch, BadLine):
            assert "\n" not in str(batch)
            return
        for row in batch:
            assert row.number > before
            before = row.number
            _store(row.type, row.value)


def _store(type_name: str, value: dict[str, object]) -> None:
    body = Body(RecordId(_ANA.id), GROUP, type_name, NOW, _ANA.id, _ANA.device, value, UNSET, UNSET)
    try:
        signed = compose(_ANA.device_key, body)
    except InvalidValue:
        return
    assert signed.value == value


TARGET = Target("import-file", run, ())

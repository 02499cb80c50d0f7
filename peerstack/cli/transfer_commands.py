"""`import` and `export`: records from and to JSON Lines, as many as there are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, Final, NamedTuple, TextIO

import click

import peerstack
from peerstack.cli.call import (
    Call,
    Command,
    chosen_group,
    group_label,
    group_option,
    makes_profile,
    run,
)
from peerstack.cli.output import Output, plural, record_document
from peerstack.cli.record_commands import find_all

LINE_BYTES: Final = 512 * 1024
"""More than a record can hold, with every character of it escaped."""

_BATCH: Final = 2_000


class Row(NamedTuple):
    """A line of the file, understood."""

    number: int
    type: str
    value: dict[str, Any]


class BadLine(peerstack.InvalidValue):
    """A line that is no record. Everything before it is stored, nothing from it on."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(
            f"line {number}: {why}. All before it is stored: mend it, and go on with "
            f"`--skip {number - 1}`"
        )


@click.command("import", cls=Command)
@click.argument("file", type=click.File("rb"))
@click.option(
    "--type",
    "type_name",
    metavar="TYPE",
    help="Each line is a bare value of this type.  [default: lines as `export` writes them]",
)
@click.option(
    "--skip",
    type=click.IntRange(min=0),
    default=0,
    metavar="LINES",
    help="Leave out the first lines: those that an import which stopped has stored.",
)
@group_option
def import_(
    call: Call, file: BinaryIO, type_name: str | None, skip: int, group: str | None
) -> None:
    """Store each line of FILE (JSON Lines; - is standard input) as a new record.

    A line is an object with `type` and `value`; other keys, such as those of `export`, do not
    matter. Lines are stored in order, in transactions of many, so an import that stops has stored
    all lines up to the one that it names, and goes on behind it with --skip. Importing a file again
    makes copies.
    """

    async def store() -> tuple[int, str]:
        async with call.open(create=makes_profile(group)) as node:
            into = await chosen_group(node, group)
            with _bar(call.output, file) as moved:
                return await _store_all(into, file, type_name, skip, moved), group_label(into)

    count, where = run(store())
    call.output.result(
        f"imported {plural(count, 'record')} into {where!r}", {"imported": count, "group": where}
    )
    call.output.next_step("`peerstack ls`, or `peerstack sync` to share them")


async def _store_all(
    group: peerstack.Group,
    file: BinaryIO,
    type_name: str | None,
    skip: int,
    moved: Callable[[int], None],
) -> int:
    line, stored = skip, 0
    try:
        for batch in _batches(file, type_name, skip):
            if isinstance(batch, BadLine):
                raise batch
            await _store(group, batch)
            line, stored = batch[-1].number, stored + len(batch)
            moved(file.tell() if file.seekable() else 0)
    except (peerstack.StoreError, peerstack.NotAllowed) as error:
        raise type(error)(f"{error}; all up to line {line} is stored") from error
    return stored


async def _store(group: peerstack.Group, batch: list[Row]) -> None:
    """Store a batch in one go; where a row of it cannot be stored, all before that row."""
    try:
        await group.put_many(batch[0].type, [row.value for row in batch])
    except peerstack.InvalidValue as error:
        if len(batch) == 1:
            raise BadLine(batch[0].number, str(error)) from error
        half = len(batch) // 2
        await _store(group, batch[:half])
        await _store(group, batch[half:])


def _batches(file: BinaryIO, type_name: str | None, skip: int) -> Iterator[list[Row] | BadLine]:
    """Runs of rows of one type; where a line makes no sense, why, behind all before it."""
    batch: list[Row] = []
    row: Row | BadLine | None = None
    for row in _rows(file, type_name, skip):
        if isinstance(row, BadLine):
            break
        if batch and (row.type != batch[0].type or len(batch) == _BATCH):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
    if isinstance(row, BadLine):
        yield row


def _rows(file: BinaryIO, type_name: str | None, skip: int) -> Iterator[Row | BadLine]:
    number = 0
    while line := file.readline(LINE_BYTES + 1):
        number += 1
        if len(line) > LINE_BYTES:
            yield BadLine(number, f"it has more than {LINE_BYTES} bytes")
            return
        if number > skip and not line.isspace():
            yield _row(number, line, type_name)


def _row(number: int, line: bytes, type_name: str | None) -> Row | BadLine:
    import orjson

    try:
        found = orjson.loads(line)
    except ValueError as error:
        return BadLine(number, f"it is no JSON ({error})")
    if type_name is not None:
        found = {"type": type_name, "value": found}
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        return BadLine(number, 'it is no object with a "type"; for bare values give --type')
    if not isinstance(found.get("value"), dict):
        return BadLine(number, "its value is no JSON object")
    return Row(number, found["type"], found["value"])


def _bar(output: Output, file: BinaryIO) -> AbstractContextManager[Callable[[int], None]]:
    if not output.talks or not file.seekable():
        return nullcontext(lambda _bytes: None)
    from peerstack.cli.progress import byte_bar

    return byte_bar("importing", os.fstat(file.fileno()).st_size)


@click.command(cls=Command)
@click.argument("file", type=click.File("w", encoding="utf-8", atomic=True), default="-")
@click.option("--type", "type_name", metavar="TYPE", help="Only records of this type.")
@group_option
def export(call: Call, file: TextIO, type_name: str | None, group: str | None) -> None:
    """Write the live records of a group to FILE (by default standard output), as JSON Lines."""

    async def write() -> int:
        count = 0
        async with call.open() as node:
            inside = await chosen_group(node, group)
            for each in [type_name] if type_name else await inside.types():
                async for record in find_all(inside, each, {}, "id"):
                    file.write(json.dumps(record_document(record)) + "\n")
                    count += 1
        return count

    count = run(write())
    call.output.note(f"exported {plural(count, 'record')}")
    call.output.next_step("`peerstack import FILE` stores them again, as new records")


COMMANDS = (import_, export)

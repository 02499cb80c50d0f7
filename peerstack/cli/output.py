"""What a command prints: results on standard output, all else on standard error.

What other people wrote is shown, and never obeyed by the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from peerstack import Record


@dataclass(frozen=True, slots=True)
class Output:
    """How this call of a command speaks."""

    json: bool
    """Results are JSON objects, one a line, and nothing else is said but errors."""
    quiet: bool
    """Nothing is said but results and errors."""

    @property
    def talks(self) -> bool:
        """Whether progress, notes and next steps are wanted."""
        return not (self.json or self.quiet)

    def result(self, text: str, document: dict[str, Any]) -> None:
        """One result, as text or as JSON."""
        click.echo(json.dumps(document) if self.json else text)

    def table(self, heads: Sequence[str], rows: Sequence[tuple[Sequence[str], Any]]) -> None:
        """Results as a table; each row is its cells, and its JSON document."""
        if self.json:
            for _, document in rows:
                click.echo(json.dumps(document))
            return
        for line in aligned([heads, *(cells for cells, _ in rows)]):
            click.echo(line)

    def note(self, text: str) -> None:
        """Something worth knowing that is no result."""
        if self.talks:
            click.echo(printable(text), err=True)

    def next_step(self, text: str) -> None:
        """What is useful to do now."""
        if self.talks:
            click.secho(f"next: {printable(text)}", err=True, dim=True)

    def error(self, kind: str, message: str) -> None:
        """Why it could not be done, in one line."""
        if self.json:
            click.echo(json.dumps({"error": kind, "message": message}), err=True)
        else:
            click.echo(f"error: {printable(message)}", err=True)


def printable(text: str) -> str:
    """The text on one line, with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines, with their columns below each other."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]


def record_document(record: Record) -> dict[str, Any]:
    """A record as all commands print it with `--json`."""
    return {
        "id": record.id,
        "group": record.group,
        "type": record.type,
        "value": record.value,
        "modified": record.modified,
        "modified_at": record.modified_at.isoformat(timespec="milliseconds"),
        "signer": record.signer,
        "device": record.device,
        "hash": record.hash.hex(),
        "deleted": record.deleted,
    }


def record_line(record: Record) -> str:
    """A record on one line: id, when it was modified, type and value."""
    return f"{record.id}  {_minute(record)}  {printable(record.type)}  {value_text(record)}"


def record_page(record: Record) -> str:
    """A record with all that is known of it."""
    value = json.dumps(record.value, ensure_ascii=False, indent=2)
    lines = [
        f"id        {record.id}",
        f"type      {record.type}",
        f"modified  {record.modified_at.isoformat(timespec='milliseconds')}",
        f"signer    {record.signer}, device {record.device}",
        f"hash      {record.hash.hex()}",
        *("(deleted)" if record.deleted else value).splitlines(),
    ]
    return "\n".join(map(printable, lines))


def value_text(record: Record) -> str:
    """A record's value, in short: its fields on one line."""
    if record.deleted:
        return "(deleted)"
    fields = (f"{key}={json.dumps(each, ensure_ascii=False)}" for key, each in record.value.items())
    return printable(" ".join(fields))


def plural(count: int, word: str) -> str:
    """Such as "1 record" and "2,000 records"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def size_text(size_bytes: int) -> str:
    """A number of bytes for people."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    kib = size_bytes / 1024
    return f"{kib:,.1f} KiB" if kib < 1024 else f"{kib / 1024:,.1f} MiB"


def _minute(record: Record) -> str:
    return record.modified_at.astimezone().strftime("%Y-%m-%d %H:%M")

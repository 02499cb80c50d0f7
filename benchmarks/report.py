"""The figures as a table for people, as Markdown for the documents and as JSON for programs."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.figures import Figure, Measured, Size

_HEADINGS = ("figure", "median", "min-max", "unit", "aim", "reached", "command")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were measured on."""

    processor: str
    cores: int
    load: float
    system: str
    python: str
    sqlite: str
    loop: str
    libraries: str

    def sentence(self) -> str:
        """All of it, in a line."""
        return (
            f"{self.cores} cores of {self.processor}, load {self.load:.1f} at the start; "
            f"{self.system}; Python {self.python}; SQLite {self.sqlite}; loop {self.loop}; "
            f"{self.libraries}"
        )


def this_machine() -> Machine:
    """The machine as it is now."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "pynacl", "zstandard"))
    return Machine(
        _processor(),
        os.cpu_count() or 1,
        os.getloadavg()[0],
        f"{platform.system()} {platform.release()}",
        platform.python_version(),
        sqlite3.sqlite_version,
        f"uvloop {version('uvloop')}",
        libraries,
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(measured: Sequence[Measured]) -> Table:
    """For a terminal."""
    shown = Table(title="peerstack benchmarks")
    for place, heading in enumerate(_HEADINGS):
        number = 0 < place < len(_HEADINGS) - 1 and heading != "unit"
        shown.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in map(_row, measured):
        shown.add_row(*row)
    return shown


def markdown(measured: Sequence[Measured], machine: Machine) -> str:
    """For the documents."""
    return "\n".join(_markdown_lines(measured, machine))


def _markdown_lines(measured: Sequence[Measured], machine: Machine) -> Iterator[str]:
    yield f"Measured on {machine.sentence()}."
    yield ""
    yield "| " + " | ".join(_HEADINGS) + " |"
    yield "|---" + "|---:" * 2 + "|---" + "|---:" * 2 + "|---|"
    for *cells, command in map(_row, measured):
        yield "| " + " | ".join(cells) + f" | `{command}` |"


def as_json(measured: Sequence[Measured], machine: Machine, size: Size) -> dict[str, Any]:
    """For programs."""
    figures = [
        {
            "key": each.figure.key,
            "title": each.title,
            "unit": each.figure.unit,
            "median": each.median,
            "values": each.values,
            "aim": each.figure.aim,
            "reached": each.reached,
            "command": each.figure.command,
        }
        for each in measured
    ]
    return {"machine": asdict(machine), "size": asdict(size), "figures": figures}


def _row(each: Measured) -> tuple[str, ...]:
    figure, reached = each.figure, each.reached
    return (
        each.title,
        _number(each.median),
        f"{_number(min(each.values))}-{_number(max(each.values))}",
        figure.unit,
        _aim(figure),
        "" if reached is None else f"{reached:.2f}x",
        figure.command,
    )


def _aim(figure: Figure) -> str:
    return "" if figure.aim is None else f"{figure.better.value} {_number(figure.aim)}"


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"

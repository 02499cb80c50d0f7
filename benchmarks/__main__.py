"""The command: `python -m benchmarks [NAMES]` measures, and prints what came of it."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import click
import orjson
from rich.console import Console

from benchmarks import report
from benchmarks.figures import FIGURES, QUICK, RIVALS, Measured, Size
from benchmarks.scenarios import SCENARIOS, Values, iroh


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SCENARIOS)))
@click.option("--quick", is_flag=True, help="Small counts: only shows that everything works.")
@click.option("--repeat", type=click.IntRange(1), help="Repetitions of each figure (3).")
@click.option("--records", type=click.IntRange(100), help="Records of the large group (100,000).")
@click.option(
    "--rivals", is_flag=True, help="Measure others' programs too, which uv and npm then install."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write a file.")
@click.option("--markdown", is_flag=True, help="Print the table as it stands in the documents.")
def main(
    names: tuple[str, ...],
    quick: bool,
    repeat: int | None,
    records: int | None,
    rivals: bool,
    json_file: Path | None,
    markdown: bool,
) -> None:
    """Measure what NAMES say, or everything: each figure's median of a few repetitions."""
    size = QUICK if quick else Size(repeat=3)
    size = replace(size, repeat=repeat or size.repeat, large=records or size.large, rivals=rivals)
    chosen = {name: SCENARIOS[name] for name in names or SCENARIOS}
    machine = report.this_machine()
    measured = _measure(chosen | ({"rivals": iroh} if rivals and "sync" in chosen else {}), size)
    if markdown:
        click.echo(report.markdown(measured, machine))
    else:
        # A table that is cut to the width of a pipe helps nobody.
        console = Console(width=None if sys.stdout.isatty() else 160)
        console.print(report.table(measured))
        console.print(machine.sentence(), highlight=False)
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(report.as_json(measured, machine, size)))


def _measure(chosen: dict[str, Callable[[Size], Values]], size: Size) -> list[Measured]:
    values = defaultdict[str, list[float]](list)
    for name, scenario in chosen.items():
        for key, value in scenario(size):
            click.echo(f"{name}: {key} {value:,.2f}", err=True)
            values[key].append(value)
    return list(_in_order(values, size))


def _in_order(values: dict[str, list[float]], size: Size) -> Iterable[Measured]:
    counts = {name: getattr(size, name) for name in Size.__slots__}
    for figure in (*FIGURES, *RIVALS):
        if figure.key in values:
            yield Measured(figure, figure.title.format(**counts), tuple(values[figure.key]))


if __name__ == "__main__":
    main()

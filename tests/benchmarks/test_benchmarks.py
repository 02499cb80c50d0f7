"""The benchmarks work: every figure is measured, and shown in each of the three forms.

Real processes and a real server; how fast anything was is asserted nowhere.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.figures import FIGURES, QUICK, Better, Figure, Measured
from benchmarks.notes import make_notes
from benchmarks.report import markdown, this_machine

ROOT = Path(__file__).resolve().parents[2]


def quick_run(folder: Path) -> tuple[str, dict[str, Any]]:
    """What the command prints, and the file that it writes."""
    file = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, orjson.loads(file.read_bytes())


def test_a_quick_run_measures_every_figure(tmp_path: Path) -> None:
    shown, written = quick_run(tmp_path)

    figures = {each["key"]: each for each in written["figures"]}
    assert list(figures) == [figure.key for figure in FIGURES]
    assert all(each["median"] > 0 and len(each["values"]) == 1 for each in figures.values())
    assert all(each["title"] in shown and each["command"] in shown for each in figures.values())
    assert written["size"]["large"] == QUICK.large
    assert written["machine"]["python"] in shown


def test_a_figure_that_met_its_aim_has_reached_one_in_either_direction() -> None:
    rate = Figure("a", "a rate", "1/s", Better.MORE, aim=100)
    latency = Figure("b", "a latency", "ms", Better.LESS, aim=5)

    assert rate.reached(200) == 2
    assert latency.reached(10) == 0.5
    assert Figure("c", "a limit", "1/s").reached(7) is None


def test_the_median_of_the_repetitions_is_what_counts() -> None:
    measured = Measured(FIGURES[0], "a title", (1.0, 50.0, 2.0))

    assert measured.median == 2.0


def test_every_row_of_the_markdown_has_all_columns() -> None:
    measured = [Measured(figure, figure.key, (1.5,)) for figure in FIGURES]

    rows = [line for line in markdown(measured, this_machine()).splitlines() if line[:1] == "|"]

    assert len(rows) == len(FIGURES) + 2
    assert {row.count("|") for row in rows} == {8}


def test_notes_are_the_same_each_time_and_about_300_bytes() -> None:
    notes = make_notes(200, first=1_000)

    assert notes == make_notes(200, first=1_000)
    assert [note["number"] for note in notes] == list(range(1_000, 1_200))
    assert sum(len(orjson.dumps(note)) for note in notes) / 200 == pytest.approx(300, rel=0.1)


def test_the_documents_explain_every_figure() -> None:
    explained = (ROOT / "docs/performance.md").read_text(encoding="utf-8")

    assert [name for name in {f.key.split(".")[0] for f in FIGURES} if name not in explained] == []

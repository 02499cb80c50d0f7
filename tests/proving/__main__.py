"""Thousands of random lives, on all cores: `python -m tests.proving --seeds 2000`.

A story that fails is cut down to what it takes, shown with the end of its trace, and written where
`tests/proving/found` can take it up as a test.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tests.proving.lives import WHAT, Step, story_of
from tests.proving.proof import Outcome, prove, written
from tests.proving.shrinking import shrunk

FOUND: Final = Path(".proving")
SHOWN_FAILURES: Final = 10


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seeds", default=200, show_default=True, help="How many stories to tell.")
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--keep-going", is_flag=True, help="Go on behind the first story that fails.")
@click.option("--shrink/--no-shrink", default=True, help="Cut a failing story down.")
def main(seeds: int, first: int, jobs: int, keep_going: bool, shrink: bool) -> None:
    """Tell random stories of users, devices and groups, and check all that must hold."""
    console = Console(stderr=True)
    failed: list[Outcome] = []
    counts: Counter[str] = Counter()
    with _progress(console) as progress, ProcessPoolExecutor(jobs) as pool:
        task = progress.add_task("stories", total=seeds)
        running = [pool.submit(_told, seed) for seed in range(first, first + seeds)]
        for outcome in _finished(running):
            counts += outcome.counts
            progress.advance(task)
            if outcome.failure is not None:
                failed.append(outcome)
                progress.console.print(f"[red]seed {outcome.story.seed}[/]: {outcome.failure}")
                if not keep_going:
                    # Without waiting, the end of the block would take the cancelling back.
                    pool.shutdown(cancel_futures=True)
                    break
    _show_counts(console, counts)
    for outcome in failed[:SHOWN_FAILURES]:
        _show(console, _smaller(outcome) if shrink else outcome)
    if failed:
        sys.exit(1)
    console.print(f"{seeds} stories, from seed {first} on: all that must hold does.")


def _told(seed: int) -> Outcome:
    return prove(story_of(seed))


def _finished(running: Sequence[Future[Outcome]]) -> Iterator[Outcome]:
    for future in as_completed(running):
        yield future.result()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _smaller(outcome: Outcome) -> Outcome:
    """The same failure by fewer steps."""
    story = outcome.story

    def fails(steps: Sequence[Step]) -> bool:
        return prove(story._replace(steps=steps)).kind == outcome.kind

    return prove(story._replace(steps=shrunk(story.steps, fails)))


def _show(console: Console, outcome: Outcome) -> None:
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"seed-{outcome.story.seed}.json"
    path.write_text(written(outcome.story) + "\n")
    console.print(f"\n[bold red]seed {outcome.story.seed}[/]: {outcome.failure}", highlight=False)
    for step in outcome.story.steps:
        console.print(f"    {step.what} {list(step.numbers)}", highlight=False)
    console.print("the end of its trace:", outcome.trace, sep="\n", highlight=False, markup=False)
    console.print(f"kept as {path}; `cp {path} tests/proving/found/` makes it a test", markup=False)


def _show_counts(console: Console, counts: Counter[str]) -> None:
    shown = ", ".join(f"{what} {count}" for what, count in counts.most_common())
    never = sorted(set(WHAT) - set(counts))
    console.print(f"done: {shown}", highlight=False)
    if never:
        console.print(f"[yellow]never came about[/]: {', '.join(never)}")


if __name__ == "__main__":
    main()

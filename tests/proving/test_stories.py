"""A few dozen stories by their seeds, and those that once found something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proving.lives import WHAT, story_of
from tests.proving.proof import prove, read, written

SEEDS = range(20)
FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
TWICE = """
from tests.proving.lives import story_of
from tests.proving.proof import prove
print(prove(story_of(7)).digest)
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_must_hold_holds_in_a_random_story(seed: int) -> None:
    outcome = prove(story_of(seed))
    assert outcome.failure is None, f"{outcome.failure}\n{outcome.trace}"


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_a_story_that_found_something_finds_it_no_more(path: Path) -> None:
    outcome = prove(read(path.read_text()))
    assert outcome.failure is None, f"{outcome.failure}\n{outcome.trace}"


def test_one_seed_tells_one_story_whatever_the_order_of_sets() -> None:
    digests = [_digest_with(hash_seed) for hash_seed in ("0", "1", "random")]
    assert len(set(digests)) == 1


def _digest_with(hash_seed: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", TWICE],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout


def test_the_stories_tell_of_everything_that_may_happen() -> None:
    """What is never drawn is never shown to hold."""
    drawn = {step.what for seed in SEEDS for step in story_of(seed).steps}
    assert drawn == set(WHAT)


def test_a_story_is_the_same_when_it_was_written_down() -> None:
    story = story_of(3)
    again = read(written(story))
    assert (again.people, again.seed) == (story.people, story.seed)
    assert [(s.what, list(s.numbers)) for s in again.steps] == [
        (s.what, list(s.numbers)) for s in story.steps
    ]

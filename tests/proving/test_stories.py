"""A few dozen stories by their seeds, and those that once found something."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.proving.lives import WHAT, Story, story_of
from tests.proving.proof import prove, read, written

EVERYTHING = (17, 57, 66, 72)
"""In these, taken together, everything comes about that may happen. One test tells them all, so
that no story is told twice, however tests are dealt out to processes."""

SEEDS = [seed for seed in range(20) if seed not in EVERYTHING]
FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
TWICE = """
from tests.proving.lives import story_of
from tests.proving.proof import prove
print(prove(story_of(7)).digest)
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_must_hold_holds_in_a_random_story(seed: int) -> None:
    _proven(story_of(seed))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_a_story_that_found_something_finds_it_no_more(path: Path) -> None:
    _proven(read(path.read_text()))


def _proven(story: Story) -> Counter[str]:
    """What came about in a story in which all that must hold does."""
    outcome = prove(story)
    assert outcome.failure is None, f"{outcome.failure}\n{outcome.trace}"
    return outcome.counts


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
    """What never comes to anything shows nothing, however often it is drawn."""
    done = sum((_proven(story_of(seed)) for seed in EVERYTHING), Counter[str]())
    never = sorted(set(WHAT) - set(done))
    assert not never, f"never came about: {', '.join(never)}"


def test_a_story_is_the_same_when_it_was_written_down() -> None:
    story = story_of(3)
    again = read(written(story))
    assert (again.people, again.seed) == (story.people, story.seed)
    assert [(s.what, list(s.numbers)) for s in again.steps] == [
        (s.what, list(s.numbers)) for s in story.steps
    ]

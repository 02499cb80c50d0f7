"""One story from its beginning to its end, and all that must hold of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from peerstack.testing.world import World
from tests.proving.checks import (
    check_agreement,
    check_claims,
    check_cost,
    check_level,
    check_reached,
    check_secrets,
)
from tests.proving.lives import Lives, Step, Story, heal, live_in, tell

SHOWN = 60


class Outcome(NamedTuple):
    """What came of a story."""

    story: Story
    failure: str | None
    """What did not hold; None where all did."""
    kind: str
    """The failure's type and where it was raised: two that share it are taken for one."""
    trace: str
    """The last that happened, a line each."""
    digest: str
    """SHA-256 over all that happened, in hex: the same in every run of the story."""
    counts: Counter[str]
    """How often each step was taken, and each invariant checked."""


def prove(story: Story) -> Outcome:
    """Tell a story, heal its world, and check it. Never raises but for interrupts."""
    world = World(story.seed)
    lives = live_in(world, story)
    failure, kind = None, ""
    try:
        _tell_and_check(lives, story)
    except Exception as error:
        failure = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        notes = getattr(error, "__notes__", [])
        failure = "\n".join([failure, *notes])
        kind = f"{type(error).__name__} {_place(error)}"
    trace = world.trace
    digest = hashlib.sha256("\n".join(trace).encode()).hexdigest()
    counts = lives.done + Counter({f"check: {k}": n for k, n in world.invariants.checked.items()})
    return Outcome(story, failure, kind, "\n".join(trace[-SHOWN:]), digest, counts)


def _tell_and_check(lives: Lives, story: Story) -> None:
    tell(lives, story)
    check_agreement(lives)
    check_claims(lives)
    before = heal(lives)
    check_agreement(lives)
    check_level(lives)
    check_claims(lives)
    check_reached(lives)
    check_secrets(lives)
    check_cost(lives, before)


def _place(error: Exception) -> str:
    """Where in the code it was raised, so that a shorter story fails for the same reason."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return "" if traceback is None else Path(traceback.tb_frame.f_code.co_filename).name


def written(story: Story) -> str:
    """A story as JSON, to keep."""
    steps = [[step.what, *step.numbers] for step in story.steps]
    return json.dumps({"people": story.people, "seed": story.seed, "steps": steps})


def read(text: str) -> Story:
    """The story that was `written`."""
    stored = json.loads(text)
    steps = [Step(what, numbers) for what, *numbers in stored["steps"]]
    return Story(stored["people"], stored["seed"], steps)

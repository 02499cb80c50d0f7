"""What is written is sent at once to who is connected, as long as their windows have room."""

from __future__ import annotations

import base64
import random

import pytest

from peerstack import limits
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of


@pytest.mark.parametrize(("count", "chars", "at_once"), [(400, 100, True), (400, 9_000, False)])
def test_what_is_written_at_once_is_news_as_far_as_a_window_has_room(
    count: int, chars: int, at_once: bool
) -> None:
    world = World(1)
    family, (ana, ben) = family_of(world, "ana", "ben")
    since = len(world.sent)
    ana.put_many(family, "note", [{"text": text_of(chars, number)} for number in range(count)])
    batches = [sent for sent in world.sent[since:] if sent.kind == "Batch"]

    assert bool(batches) is at_once
    assert len(batches) <= 2 * limits.WINDOW_BATCHES
    world.settle()
    assert_level(family, [ana, ben])
    assert ben.engine.refusals() == {}


def text_of(chars: int, seed: int) -> str:
    """Text that no compressor makes much shorter."""
    return base64.b85encode(random.Random(seed).randbytes(chars)).decode()[:chars]

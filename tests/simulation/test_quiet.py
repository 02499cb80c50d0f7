"""What everybody else has refused is neither asked for nor sent again and again."""

from __future__ import annotations

import pytest

from peerstack.ids import RecordId
from tests.simulation.test_same_everywhere import Story, check_quiet


@pytest.mark.parametrize("rogue_is_elder", [True, False])
def test_a_loser_that_all_others_refused_is_not_asked_for_again(*, rogue_is_elder: bool) -> None:
    story = Story(1, rogue_is_elder=rogue_is_elder)
    line = story.lines[0]
    story.write_without_right(line, story.rogue.now().wall_ms)
    story.world.run(60_000)
    edited = story.devices[0].get(story.family, line)
    assert edited is not None
    story.devices[0].put(story.family, "note", {"by": "ana"}, over=edited)
    story.world.settle()
    assert len(story.rogue.read(lambda snapshot: snapshot.unseen_hashes(story.family))) == 1
    check_quiet(story.world, [*story.devices, story.rogue])


@pytest.mark.parametrize("rogue_is_elder", [True, False])
def test_records_that_all_others_refused_are_not_asked_for_again(*, rogue_is_elder: bool) -> None:
    """So many that a comparison comes upon ranges where the others have nothing."""
    story = Story(1, rogue_is_elder=rogue_is_elder)
    story.devices[0].put_many(story.family, "note", [{"n": n} for n in range(500)])
    story.world.settle()
    later_ms = story.rogue.now().wall_ms
    for number in range(100):
        story.write_without_right(RecordId(f"{number:026}"), later_ms + number)
    story.world.settle()
    check_quiet(story.world, [*story.devices, story.rogue])

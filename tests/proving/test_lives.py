"""Random lives, drawn and cut down by Hypothesis: whoever knows the same judges the same."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.proving.lives import NAMES, NUMBERS, WHAT, Step, Story
from tests.proving.proof import prove

STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(WHAT),
        st.lists(st.integers(0, 999), min_size=NUMBERS, max_size=NUMBERS),
    ),
    min_size=5,
    max_size=30,
)


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # What fails is cut down by `python -m tests.proving`.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.integers(2, len(NAMES)), STEPS, st.integers(0, 2**16))
def test_whoever_knows_the_same_judges_the_same_and_members_end_level(
    people: int, steps: list[Step], seed: int
) -> None:
    outcome = prove(Story(people, str(seed), steps))
    assert outcome.failure is None, f"{outcome.failure}\n{outcome.trace}"


def test_a_step_that_finds_nothing_to_do_does_not_count_as_done() -> None:
    """Else a report would say that something came about that never did."""
    nobody_wrote = [Step("edit", [0]), Step("delete", [0]), Step("recover", [0])]
    outcome = prove(Story(2, "nothing", [*nobody_wrote, *[Step("confirm_phrase", [0])] * 2]))
    assert outcome.failure is None
    assert {what: outcome.counts[what] for what in WHAT if outcome.counts[what]} == {
        "confirm_phrase": 1
    }

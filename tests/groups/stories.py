"""Random lives in a group, for Hypothesis: it shortens one that fails, step by step."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.groups.teller import GROUP, Step, Story, Teller

__all__ = ["GROUP", "Story", "stories"]

BACK_MS = (0, 0, 0, 0, 15, 60, 200, 10_000, -500)
"""How far back something is dated."""

KINDS = (
    *("invite", "join", "admit", "grant", "write") * 2,
    *("close", "seal", "remove") * 2,
    *("leave", "revoke", "seal_device", "rotate") * 2,
    *("close_invite", "give_up", "certify_again", "spoil"),
    *("say_something_later", "forge"),
)

_steps = st.builds(
    Step,
    st.sampled_from(KINDS),
    st.integers(0, 11),
    st.integers(0, 23),
    st.integers(0, 5),
    st.sampled_from(BACK_MS),
)


@st.composite
def stories(draw: st.DrawFn, most_steps: int = 30) -> Story:
    """A story of any length."""
    teller = Teller()
    for step in draw(st.lists(_steps, max_size=most_steps)):
        teller.tell(step)
    return teller.end()

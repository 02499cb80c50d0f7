"""Random lives in a group: every order gives the same, and the same as the rules on their page."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from peerstack.groups.membership import GroupState
from peerstack.groups.rules import (
    Admitted,
    Held,
    Quarantined,
    RecordVerdict,
    judge_record,
)
from peerstack.groups.seals import End
from peerstack.identity import is_identity_type
from tests.groups.device_model import Ended
from tests.groups.effect_model import Model
from tests.groups.folding import Fold, fold
from tests.groups.stories import GROUP, Story, stories
from tests.people import NOW, T0


def outcome(known: Fold, story: Story) -> tuple[object, ...]:
    state = known.state
    verdicts = [judge_record(state, record, NOW) for record in story.records]
    return (known.admitted.keys(), known.held.keys(), known.refused, state.effect, verdicts)


@settings(max_examples=40)
@given(stories(), st.lists(st.integers(0, 2**32), min_size=2, max_size=2))
def test_the_order_in_which_anything_arrives_does_not_matter(
    story: Story, seeds: list[int]
) -> None:
    expected = outcome(fold(GROUP, story.statements), story)

    for seed in seeds:
        assert outcome(fold(GROUP, story.arriving(seed)), story) == expected


@settings(max_examples=40)
@given(stories(), st.integers(0, 2**32), st.integers(0, 100))
def test_a_state_that_is_read_from_an_earlier_one_is_the_same(
    story: Story, seed: int, percent: int
) -> None:
    admitted = list(fold(GROUP, story.statements).admitted.values())
    random.Random(seed).shuffle(admitted)
    own = [each for each in admitted if each.type == "$group" or is_identity_type(each.type)]
    ready = fold(GROUP, [*own, *admitted[: len(admitted) * percent // 100]])

    earlier = GroupState.of(GROUP, ready.admitted.values())
    rights = {user: earlier.rights(user) for user in earlier.identities}
    later, anew = GroupState.of(GROUP, admitted, earlier), GroupState.of(GROUP, admitted)

    assert (later, later.effect) == (anew, anew.effect)
    for record in story.records:
        if rights.get(record.signer) == later.rights(record.signer):
            assert judge_record(earlier, record, NOW) == judge_record(later, record, NOW)


def verdict_text(verdict: RecordVerdict) -> str:
    match verdict:
        case Admitted():
            return "admitted"
        case Held():
            return "held"
        case Quarantined():
            return "quarantined"
        case _:
            return verdict.reason.value


def end_text(end: End | Ended | None) -> object:
    if isinstance(end, End):
        named = frozenset(each.hex() for each in end.named)
        return (end.at_ms, end.by.hex(), end.sealed, named)
    return end and (end.at, end.by, end.sealed, end.named)


def ends_of(state: GroupState) -> dict[str, object]:
    return {
        each.grant.hash.hex(): (end_text(each.end), end_text(each.records_end))
        for of_user in state.effect.standing.values()
        for each in of_user
    }


@settings(max_examples=80)
@given(stories())
def test_what_has_effect_is_what_the_page_of_the_rules_says(story: Story) -> None:
    known = fold(GROUP, story.statements)
    state, model = known.state, Model(GROUP, known.admitted.values())

    standing = [grant for grant in model.grants().values() if model.stands(grant)]
    assert ends_of(state) == {
        grant.name: (end_text(model.end(grant, False)), end_text(model.end(grant, True)))
        for grant in standing
    }
    assert {user: role.label for user, role in state.members().items()} == model.members()
    for user in state.identities:
        for at_ms in range(T0 + 100, T0 + 500, 45):
            role = state.role_at(user, at_ms)
            assert (role and role.label) == model.role_at(user, at_ms)
    for record in story.records:
        assert verdict_text(judge_record(state, record, NOW)) == model.verdict(record, NOW)

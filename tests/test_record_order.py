"""Of all versions the same one wins on every device, and who had seen which is remembered."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from peerstack import limits
from peerstack.keys import Hash
from peerstack.record import Signed, decode_untrusted, had_seen, merge_seen, unseen_losers
from tests.people import NOW, T0
from tests.raw_bodies import DEVICES, GROUP, SIGNATURE, encoded


def version(modified: int, text: str = "", **changes: Any) -> Signed:
    return decode_untrusted(encoded(modified=modified, value={"text": text}, **changes), SIGNATURE)


# --- The winner. ----------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), min_size=1, max_size=5),
    st.randoms(),
)
def test_the_winner_is_the_same_in_whatever_order_versions_arrive(
    drafts: list[tuple[int, str]],
    shuffler: Any,
) -> None:
    """In the original, on equal `modified` each device kept its own version for ever."""
    versions = [version(T0 + modified, text) for modified, text in drafts]
    arriving = list(versions)
    shuffler.shuffle(arriving)

    live: Signed | None = None
    for candidate in arriving:
        live = candidate if live is None or candidate.order > live.order else live

    assert live is not None
    assert live.hash == max(versions, key=lambda each: (each.modified, each.hash)).hash


def test_later_beats_earlier() -> None:
    assert version(5).order > version(4).order


def test_versions_made_at_the_same_time_are_told_apart_by_their_hash() -> None:
    """In the original, hashes over (id, modified) alone never noticed a difference."""
    assert version(5, "one").hash != version(5, "other").hash
    assert version(5, "one").order != version(5, "other").order


# --- What an author had seen. ---------------------------------------------------------------------


def test_an_author_has_seen_what_they_replaced_and_what_that_had_seen() -> None:
    first = version(10, device=DEVICES[0])
    second = version(20, device=DEVICES[1], seen=merge_seen(first))
    third = version(30, device=DEVICES[2], seen=merge_seen(second))

    assert merge_seen() is UNSET
    assert had_seen(second, first)
    assert had_seen(third, first)
    assert had_seen(third, second)


def test_an_author_who_looked_at_several_versions_has_seen_them_all() -> None:
    first = version(10, device=DEVICES[0])
    one = version(20, device=DEVICES[1], seen=merge_seen(first))
    other = version(21, device=DEVICES[2], seen={DEVICES[0]: 5, DEVICES[3]: 7})
    for replaced in ((one, other), (other, one)):
        both = version(30, device=DEVICES[4], seen=merge_seen(*replaced))

        assert both.seen == {
            DEVICES[0]: 10,
            DEVICES[1]: 20,
            DEVICES[2]: 21,
            DEVICES[3]: 7,
        }
        assert unseen_losers(both, [first, one, other]) == []


def test_two_who_wrote_without_seeing_each_other_are_in_conflict() -> None:
    first = version(10, device=DEVICES[0])
    one = version(20, device=DEVICES[1], seen=merge_seen(first))
    other = version(21, device=DEVICES[2], seen=merge_seen(first))

    assert not had_seen(other, one)
    assert had_seen(other, first)


def test_an_earlier_version_of_a_device_that_was_seen_later_counts_as_seen() -> None:
    edited = version(30, device=DEVICES[1], seen={DEVICES[0]: 20})

    assert had_seen(edited, version(20, device=DEVICES[0]))
    assert had_seen(edited, version(19, device=DEVICES[0]))
    assert not had_seen(edited, version(21, device=DEVICES[0]))


def test_beyond_the_bound_the_authors_not_heard_of_for_longest_are_forgotten() -> None:
    versions = [version(0, device=DEVICES[0])]
    for number, device in enumerate(DEVICES[1:], start=1):
        versions.append(version(number, device=device, seen=merge_seen(versions[-1])))

    seen = merge_seen(versions[-1])

    assert seen == {device: at for at, device in list(enumerate(DEVICES))[-limits.SEEN_ENTRIES :]}


@given(
    st.dictionaries(
        st.sampled_from(DEVICES),
        st.integers(0, limits.TIME_MS_MAX) | st.sampled_from([NOW - 1, NOW, NOW + 1]),
        min_size=1,
        max_size=limits.SEEN_ENTRIES,
    )
)
def test_nothing_that_a_version_claims_keeps_its_successor_from_having_seen_it(
    claimed: dict[str, int],
) -> None:
    """Times ahead of the version itself, which no honest line has, would push it out."""
    replaced = version(NOW, seen=claimed)

    successor = version(NOW + 1, device=DEVICES[39], seen=merge_seen(replaced))

    assert had_seen(successor, replaced)
    assert all(at <= NOW for at in successor.seen.values())


def test_the_conflicts_of_a_line_are_the_losers_that_nobody_has_seen() -> None:
    mine = version(10, "mine", device=DEVICES[0])
    edited = version(20, "edited", device=DEVICES[0], seen=merge_seen(mine))
    other = version(15, "other", device=DEVICES[1])
    winner = version(30, "winner", device=DEVICES[2])
    settled = version(40, "settled", device=DEVICES[2], seen={DEVICES[0]: 20, DEVICES[1]: 15})

    assert unseen_losers(winner, [mine, edited, other]) == [edited, other]
    assert unseen_losers(settled, [mine, edited, other]) == []


def test_what_only_a_version_has_seen_that_is_no_conflict_is_one() -> None:
    """Else a device that never had that version would have a conflict that others do not."""
    lost = version(10, "lost", device=DEVICES[0])
    seen_since = version(20, "seen since", device=DEVICES[1], seen=merge_seen(lost))
    winner = version(30, "winner", device=DEVICES[2], seen={DEVICES[1]: 20})

    assert unseen_losers(winner, [lost, seen_since]) == [lost]
    assert unseen_losers(winner, [lost]) == [lost]


def test_of_each_signer_the_latest_conflicts_count() -> None:
    many = [version(n, device=DEVICES[n]) for n in range(1, 26)]
    other = version(0, device=DEVICES[0], signer=GROUP)
    winner = version(30, device=DEVICES[39])

    latest = many[: -1 - limits.CONFLICTS_PER_SIGNER : -1]
    assert unseen_losers(winner, [*many, other]) == [*latest, other]


claims = st.dictionaries(st.sampled_from(DEVICES[:3]), st.integers(0, 6), min_size=1, max_size=2)
losers = st.lists(
    st.builds(
        lambda modified, device, **claimed: version(modified, device=device, **claimed),
        st.integers(0, 6),
        st.sampled_from(DEVICES[:3]),
        signer=st.sampled_from([GROUP, DEVICES[0]]),
        seen=st.just(UNSET) | claims,
    ),
    max_size=8,
    unique_by=lambda each: each.hash,
)


@settings(max_examples=500)
@given(losers, st.just(UNSET) | claims, st.randoms(use_true_random=False))
def test_devices_that_show_each_other_their_conflicts_end_with_the_same(
    versions: list[Signed], seen: Any, chance: Any
) -> None:
    """Whatever versions claim to have seen, and whatever else each device keeps or lets go of."""
    winner = version(7, device=DEVICES[3], seen=seen)
    devices = [{each.hash for each in versions if chance.random() < 0.6} for _ in range(3)]
    forgetful = devices[0]

    def conflicts(kept: set[Hash]) -> set[Hash]:
        lost = [each for each in versions if each.hash in kept]
        return {each.hash for each in unseen_losers(winner, lost)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "CONFLICTS_PER_SIGNER", 3)
        # In each round, the latest version that devices differ in comes to those that lack it.
        for _ in versions:
            for kept, other in permutations(devices, 2):
                kept |= conflicts(other)
                if kept is forgetful:
                    kept &= conflicts(kept)

        first, *rest = map(conflicts, devices)
    assert rest == [first, first]

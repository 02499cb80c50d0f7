"""Ids: one spelling, sorted by creation, and none of the library's repairs."""

from __future__ import annotations

import pytest
import ulid
from hypothesis import given
from hypothesis import strategies as st

from peerstack import ids, limits
from peerstack.errors import InvalidValue
from peerstack.testing.ports import SeededEntropy

ULID = "01HF7YAT00W6WP18ZQ04S9JE0W"
TIMES = st.integers(0, limits.TIME_MS_MAX)
TAILS = st.binary(min_size=ids.TAIL_BYTES, max_size=ids.TAIL_BYTES)


class AllOnes:
    """The highest bytes that entropy can draw."""

    def draw(self, size_bytes: int) -> bytes:
        return b"\xff" * size_bytes


@given(TIMES, TAILS)
def test_an_id_holds_its_time_and_is_canonical(time_ms: int, tail: bytes) -> None:
    made = ids.compose(time_ms, tail)

    assert ids.is_ulid(made)
    assert ids.is_record_id(made)
    assert ids.time_ms_of(made) == time_ms
    assert ids.time_ms_of(f"{made}:suffix") == time_ms


@given(st.tuples(TIMES, TAILS), st.tuples(TIMES, TAILS))
def test_ids_sort_as_text_by_time_and_then_by_the_other_bits(
    one: tuple[int, bytes], other: tuple[int, bytes]
) -> None:
    assert (ids.compose(*one) < ids.compose(*other)) == (one < other)


def test_a_known_id_is_spelled_as_the_ulid_specification_says() -> None:
    """The time of https://github.com/ulid/spec, "Components"."""
    assert ids.compose(1_469_918_176_385, bytes(10)) == "01ARYZ6S410000000000000000"
    assert ids.compose(limits.TIME_MS_MAX, b"\xff" * 10) == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"


@pytest.mark.parametrize(
    ("spelling", "why"),
    [
        (ULID.lower(), "lower case"),
        (ULID.replace("0", "O"), "O for 0"),
        (ULID.replace("1", "I"), "I for 1"),
        (ULID.replace("1", "L"), "L for 1"),
        (ULID.replace("W", "U"), "U is no letter of Crockford's"),
        ("8" + ULID[1:], "129 bits"),
        (ULID[:-1], "short"),
        (ULID + "0", "long"),
        (ULID + "\n", "a newline behind it"),
        ("\n" + ULID, "a newline before it"),
        (ULID[:-1] + "٣", "a digit of another script"),
        ("", "empty"),
        (ULID[:8] + "-" + ULID[8:], "a hyphen, as Crockford allows"),
    ],
)
def test_another_spelling_is_refused_not_repaired(spelling: str, why: str) -> None:
    assert not ids.is_ulid(spelling), why
    assert not ids.is_record_id(spelling), why
    assert not ids.is_record_id(f"{spelling}:x"), why


@pytest.mark.parametrize("suffix", ["a", "photo.1", "a:b", "A_b-C", "x" * 101])
def test_an_id_may_carry_a_suffix(suffix: str) -> None:
    assert ids.is_record_id(f"{ULID}:{suffix}")
    assert not ids.is_ulid(f"{ULID}:{suffix}")


@pytest.mark.parametrize(
    "suffix", ["", "a b", "é", "a/b", "x" * 102, "a\n", "a\0", "__proto__]", "$a"]
)
def test_a_suffix_has_few_letters_and_a_bound(suffix: str) -> None:
    assert not ids.is_record_id(f"{ULID}:{suffix}")


def test_the_longest_id_has_the_length_that_the_protocol_says() -> None:
    longest = ULID + ":" + "x" * 101

    assert len(longest) == limits.ID_CHARS
    assert ids.is_record_id(longest)


@given(st.text(max_size=40))
def test_whatever_passes_our_pattern_the_library_reads_without_repair(text: str) -> None:
    if ids.is_ulid(text):
        assert ulid.from_str(text).str == text


@given(st.integers(0, 2**130 - 1))
def test_of_all_26_letters_exactly_those_of_128_bits_pass(number: int) -> None:
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = "".join(letters[number >> shift & 31] for shift in range(125, -1, -5))

    assert ids.is_ulid(text) == (number < 2**128)


def test_the_library_still_has_the_traps_that_our_pattern_is_for() -> None:
    """Should one of these fail, the library has changed, and the reasons in `ids` with it."""
    assert ulid.parse(ULID.lower()).str == ULID
    assert ulid.from_str("0" * 25 + "O").int == 0


def test_ids_of_one_millisecond_ascend() -> None:
    factory = ids.IdFactory(SeededEntropy("ascending"))

    made = [factory.new(now_ms) for now_ms in (5, 5, 5, 6, 6, 7)]

    assert made == sorted(set(made))


def test_ids_of_one_millisecond_ascend_even_from_the_highest_draw() -> None:
    factory = ids.IdFactory(AllOnes())

    made = [factory.new(5) for _ in range(1_000)]

    assert made == sorted(set(made))
    assert {ids.time_ms_of(each) for each in made} == {5}


def test_ids_of_two_devices_differ() -> None:
    one, other = (ids.IdFactory(SeededEntropy(name)) for name in ("one", "other"))

    assert one.new(5) != other.new(5)


def test_an_id_draws_nothing_but_the_entropy_that_it_was_given() -> None:
    assert ids.IdFactory(SeededEntropy("s")).new(9) == ids.IdFactory(SeededEntropy("s")).new(9)


@pytest.mark.parametrize("time_ms", [-1, limits.TIME_MS_MAX + 1])
def test_a_time_outside_48_bits_makes_no_id(time_ms: int) -> None:
    with pytest.raises(InvalidValue, match="check the clock"):
        ids.compose(time_ms, bytes(10))


@pytest.mark.parametrize("size", [0, 9, 11])
def test_the_tail_is_never_padded_or_cut(size: int) -> None:
    with pytest.raises(InvalidValue):
        ids.compose(0, bytes(size))

"""A phrase is its seed, in words that survive paper; what is wrong with one is told plainly."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack.errors import InvalidPhrase
from peerstack.identity.phrase import check_words, decode_untrusted_phrase, words_of
from peerstack.keys import Secret

SEED = Secret(bytes(range(32)))
WORDS = words_of(SEED)

# From BIP-39's own list of known answers.
KNOWN = {
    "00" * 32: "abandon " * 23 + "art",
    "7f" * 32: "legal winner thank year wave sausage worth useful " * 2
    + "legal winner thank year wave sausage worth title",
    "80" * 32: "letter advice cage absurd amount doctor acoustic avoid " * 2
    + "letter advice cage absurd amount doctor acoustic bless",
    "ff" * 32: "zoo " * 23 + "vote",
}


@pytest.mark.parametrize("seed", KNOWN, ids=lambda seed: seed[:2])
def test_a_phrase_is_that_of_bip_39(seed: str) -> None:
    assert " ".join(words_of(Secret(bytes.fromhex(seed)))) == KNOWN[seed]
    assert decode_untrusted_phrase(KNOWN[seed]) == bytes.fromhex(seed)


@given(st.binary(min_size=32, max_size=32))
def test_every_seed_comes_back_from_its_words(seed: bytes) -> None:
    words = words_of(Secret(seed))

    assert len(words) == 24
    assert decode_untrusted_phrase(words) == decode_untrusted_phrase(" ".join(words)) == seed


@pytest.mark.parametrize("between", ["\n", "  \t ", "\u3000", " \r\n"])
def test_capitals_and_space_do_not_matter(between: str) -> None:
    assert decode_untrusted_phrase(between + between.join(WORDS).upper() + between) == SEED


@pytest.mark.parametrize("count", [0, 1, 12, 23, 25, 48])
def test_another_number_of_words_is_told(count: int) -> None:
    with pytest.raises(InvalidPhrase, match=rf"24 words, not {count}$"):
        decode_untrusted_phrase((WORDS * 2)[:count])


@pytest.mark.parametrize("wrong", ["abandone", "0", "Anger2", "x" * 10_000, "abandon,"])
def test_a_word_of_no_phrase_is_named_with_its_place(wrong: str) -> None:
    words = [*WORDS[:6], wrong, *WORDS[7:]]

    with pytest.raises(InvalidPhrase, match=r"^word 7 is in no recovery phrase: '") as refused:
        decode_untrusted_phrase(words)

    assert wrong.casefold()[:5] in str(refused.value)
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize("place", range(23))
def test_words_that_are_wrong_together_are_told_without_showing_one(place: int) -> None:
    words = [*WORDS]
    words[place], words[place + 1] = words[place + 1], words[place]

    with pytest.raises(InvalidPhrase, match="belong to no phrase together") as refused:
        decode_untrusted_phrase(words)

    assert not shown(refused.value)
    assert refused.value.__cause__ is None


def test_some_words_show_that_the_phrase_is_written_down() -> None:
    check_words(SEED, {1: WORDS[0], 12: f" {WORDS[11].upper()}", 24: WORDS[23]})
    check_words(SEED, dict(enumerate(WORDS, start=1)))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({}, "at least 3"),
        ({1: WORDS[0], 2: WORDS[1]}, "at least 3"),
        ({0: WORDS[0], 1: WORDS[0], 2: WORDS[1]}, "no word 0"),
        ({25: WORDS[0], 1: WORDS[0], 2: WORDS[1]}, "no word 25"),
        ({1: WORDS[0], 2: WORDS[2], 9: WORDS[8]}, "word 2;"),
        ({1: WORDS[0], 2: "", 9: WORDS[9]}, "word 2, 9;"),
        ({1: WORDS[0], 2: " ".join(WORDS[1:3]), 9: WORDS[8]}, "word 2;"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words_that_do_not_show_it_are_told_by_their_places(
    words: dict[int, str], told: str
) -> None:
    with pytest.raises(InvalidPhrase, match=re.escape(told)) as refused:
        check_words(SEED, words)

    assert not shown(refused.value)


def shown(error: Exception) -> set[str]:
    """Words of the phrase that an error shows, but for those that any sentence has."""
    return {word for word in WORDS if re.search(rf"\b{word}\b", str(error))} - {"word"}

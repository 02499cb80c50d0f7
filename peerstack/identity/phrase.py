"""The recovery phrase: the seed of the next root key as 24 words for paper (BIP-39, English list).

The words carry the 32 bytes themselves and a checksum, and no passphrase; BIP-39's own stretching
to a wallet's seed has no part in it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from peerstack.errors import InvalidPhrase
from peerstack.keys import Secret

if TYPE_CHECKING:
    from mnemonic import Mnemonic

WORDS: Final = 24
ASKED_WORDS: Final = 3
"""How many words show, at the least, that somebody has written the phrase down."""

_WORD_CHARS: Final = 32


def words_of(seed: Secret) -> list[str]:
    """The 24 words of a seed."""
    return _list().to_mnemonic(seed).split(" ")


def decode_untrusted_phrase(phrase: str | Sequence[str]) -> Secret:
    """The seed that a phrase stands for; spaces, line breaks and capitals do not matter.

    Raises `InvalidPhrase`, which names a word that is in no phrase, and none that may be.
    """
    words = _plain(phrase if isinstance(phrase, str) else " ".join(phrase))
    known = _known()
    for place, word in enumerate(words[:WORDS], start=1):
        if word not in known:
            raise InvalidPhrase(f"word {place} is in no recovery phrase: {word[:_WORD_CHARS]!r}")
    if len(words) != WORDS:
        raise InvalidPhrase(f"a recovery phrase has {WORDS} words, not {len(words)}")
    try:
        return Secret(bytes(_list().to_entropy(words)))
    except ValueError:
        # Not chained: the library's error is about the words.
        raise InvalidPhrase(
            "these words belong to no phrase together: one of them is wrong, or two changed places"
        ) from None


def is_word(word: str) -> bool:
    """Whether a word can stand in a phrase."""
    return _plain(word) != [] and _known().issuperset(_plain(word))


def check_words(seed: Secret, words: Mapping[int, str]) -> None:
    """Raise `InvalidPhrase` unless these are words of the seed's phrase, by their places from 1.

    At least `ASKED_WORDS` are needed. The error says which places are wrong and shows no word.
    """
    right = words_of(seed)
    unknown = sorted(place for place in words if not 1 <= place <= WORDS)
    if unknown:
        raise InvalidPhrase(f"a phrase has words 1 to {WORDS}, and no word {unknown[0]}")
    if len(words) < ASKED_WORDS:
        raise InvalidPhrase(f"give at least {ASKED_WORDS} words of the phrase, not {len(words)}")
    wrong = [place for place in sorted(words) if _plain(words[place]) != [right[place - 1]]]
    if wrong:
        places = ", ".join(map(str, wrong))
        raise InvalidPhrase(f"not what the phrase has: word {places}; look at what you wrote down")


def _plain(text: str) -> list[str]:
    return unicodedata.normalize("NFKD", text).casefold().split()


@cache
def _list() -> Mnemonic:
    # Reads a file: only for who has to do with words.
    from mnemonic import Mnemonic

    return Mnemonic("english")


@cache
def _known() -> frozenset[str]:
    return frozenset(_list().wordlist)

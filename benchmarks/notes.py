"""Notes that look like people's: about 300 bytes of JSON, the same for the same seed.

Words are drawn as rarely as in real text (Zipf's law), so that they compress as text does.
"""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Any, Final

_SEED: Final = 2024
_VOCABULARY: Final = 8_000
_ONSETS: Final = ("b", "br", "c", "ch", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "st", "t")
_RIMES: Final = ("a", "ad", "ain", "e", "ed", "er", "i", "ing", "ion", "o", "on", "or", "u", "y")
_TEXT_CHARS: Final = (160, 260)
_TAGS: Final = ("home", "work", "garden", "school", "travel", "music", "money", "health")


def _vocabulary(rng: random.Random) -> list[str]:
    """Words, the frequent ones short."""
    words = dict[str, None]()
    while len(words) < _VOCABULARY:
        syllables = 1 + (len(words) > 100) + (len(words) > 3_000)
        words["".join(rng.choice(_ONSETS) + rng.choice(_RIMES) for _ in range(syllables))] = None
    return list(words)


def make_notes(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """`count` notes, numbered from `first` in their field `number`."""
    words = _vocabulary(random.Random(_SEED))
    weights = list(accumulate(1 / place for place in range(1, len(words) + 1)))
    rng = random.Random(_SEED + first)
    return [_note(number, words, weights, rng) for number in range(first, first + count)]


def _note(
    number: int, words: list[str], weights: list[float], rng: random.Random
) -> dict[str, Any]:
    text = " ".join(rng.choices(words, cum_weights=weights, k=60))
    return {
        "number": number,
        "title": " ".join(rng.choices(words, cum_weights=weights, k=4)),
        "text": text[: rng.randint(*_TEXT_CHARS)],
        "tags": rng.sample(_TAGS, rng.randint(0, 2)),
        "due": f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        "done": rng.random() < 0.3,
    }

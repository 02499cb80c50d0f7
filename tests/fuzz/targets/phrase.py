"""Words that somebody typed: a seed whose words they are, or none."""

from __future__ import annotations

import unicodedata

from peerstack.errors import InvalidPhrase
from peerstack.identity.phrase import decode_untrusted_phrase, words_of
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        seed = decode_untrusted_phrase(text)
    except InvalidPhrase:
        return
    assert words_of(seed) == unicodedata.normalize("NFKD", text).casefold().split()


TARGET = Target("phrase", run, ("peerstack.identity.phrase.decode_untrusted_phrase",))

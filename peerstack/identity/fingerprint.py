"""The fingerprint of a user: a few words or digits that two people compare with each other.

It stands for the user id and the present root key, so it changes with every rotation. Both forms
show about 99 bits of one slow hash. Whoever wants to pass for somebody else has to find keys of
their own with that very fingerprint: 2^99 tries of 16 MiB of memory each (`docs/protocol.md`,
"Fingerprints", says why that is enough).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Final

from peerstack.ids import UserId
from peerstack.keys import Label, PublicKey, framed, slow_hash

WORDS: Final = 9
"""11 bits each. No recovery phrase has as many, so that neither is taken for the other."""

DIGIT_GROUPS: Final = 6
"""Five digits each: 16.6 bits."""

_WORD_BITS: Final = 11
_GROUP_BYTES: Final = 5
_GROUP_VALUES: Final = 10**5


@dataclass(frozen=True)
class Fingerprint:
    """A user id and the root key that it goes with; `words` and `digits` are for people.

    Two are equal where user and key are. The first use of a form takes about 10 ms.
    """

    user: UserId
    root: PublicKey = field(repr=False)

    @property
    def words(self) -> str:
        """Nine English words (BIP-39's list), with spaces between them."""
        number = int.from_bytes(self._tag, "big") >> len(self._tag) * 8 - WORDS * _WORD_BITS
        chosen = (number >> place * _WORD_BITS for place in reversed(range(WORDS)))
        return " ".join(_word_list()[each % 2**_WORD_BITS] for each in chosen)

    @property
    def digits(self) -> str:
        """Thirty digits in groups of five, with spaces between them."""
        starts = range(0, DIGIT_GROUPS * _GROUP_BYTES, _GROUP_BYTES)
        groups = (self._tag[start : start + _GROUP_BYTES] for start in starts)
        return " ".join(f"{int.from_bytes(each, 'big') % _GROUP_VALUES:05}" for each in groups)

    @cached_property
    def _tag(self) -> bytes:
        user = self.user.encode()
        return slow_hash(Label.FINGERPRINT, framed(user, self.root), user)


@cache
def _word_list() -> list[str]:
    # Reads a file: only for who looks at words.
    from mnemonic import Mnemonic

    return Mnemonic("english").wordlist

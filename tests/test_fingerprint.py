"""Fingerprints: what two people compare stands for one user and one key, and for nothing else."""

from __future__ import annotations

import re

from mnemonic import Mnemonic

from peerstack.identity import ROTATE_TYPE, Fingerprint, Rotation, next_key_hash, read_identity
from peerstack.ids import UserId
from peerstack.keys import PublicKey, Signer
from peerstack.record import Signed
from tests.people import T0, Person, person, signer

ANA, BEN = person("ana"), person("ben")
KEY, OTHER_KEY = signer("key").public, signer("other key").public
WORD_LIST = Mnemonic("english").wordlist


def of(user: UserId, key: PublicKey) -> tuple[str, str]:
    fingerprint = Fingerprint(user, key)
    return fingerprint.words, fingerprint.digits


def rotation(ana: Person) -> tuple[Signer, Signed]:
    key = Signer(ana.recovery)
    inception = ana.user.statements[0].hash.hex()
    form = Rotation(inception, key.public.hex(), next_key_hash(OTHER_KEY).hex(), [])
    return key, ana.states_as_root(ROTATE_TYPE, T0 + 10, form, root=key)


def test_it_is_nine_words_or_thirty_digits() -> None:
    words, digits = of(ANA.id, KEY)

    assert len(words.split(" ")) == 9
    assert set(words.split(" ")) <= set(WORD_LIST)
    assert re.fullmatch(r"\d{5}( \d{5}){5}", digits)


def test_another_user_or_another_key_has_another_one_in_both_forms() -> None:
    found = [of(ANA.id, KEY), of(BEN.id, KEY), of(ANA.id, OTHER_KEY)]

    assert len({words for words, _ in found}) == len({digits for _, digits in found}) == 3


def test_a_rotation_changes_it() -> None:
    key, rotated = rotation(ANA)
    before = read_identity(ANA.user.statements)
    after = read_identity([*ANA.user.statements, rotated])

    assert before is not None
    assert after is not None
    assert after.root == key.public
    assert of(ANA.id, before.root) != of(ANA.id, after.root)


def test_two_are_equal_where_user_and_key_are() -> None:
    assert Fingerprint(ANA.id, KEY) == Fingerprint(ANA.id, KEY)
    assert Fingerprint(ANA.id, KEY) != Fingerprint(ANA.id, OTHER_KEY)
    assert Fingerprint(ANA.id, KEY) != Fingerprint(BEN.id, KEY)

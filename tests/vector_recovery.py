"""Cleo loses her laptop, recovers from a kit that knew her phone, and takes her tablet back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peerstack.errors import InvalidPhrase
from peerstack.identity import (
    REVOKE_TYPE,
    Identity,
    KnownGroup,
    Revocation,
    Whereabouts,
    kit_key_of,
    next_key_hash,
    read_identity,
    recovered,
    seal_kit,
)
from peerstack.identity.phrase import decode_untrusted_phrase, words_of
from peerstack.ids import DeviceId
from peerstack.keys import Secret, Signer
from peerstack.ports import Entropy
from peerstack.record import Signed
from peerstack.testing.ports import SeededEntropy
from tests.people import NOW, T0, person

Vector = dict[str, Any]


class Recovery:
    """Every statement about one user, before and after a recovery; and the kit that it took."""

    def __init__(self) -> None:
        self.cleo = person("cleo")
        self.phone = self.cleo.at_new_device("phone", T0 + 20)
        self.lost_phone = self._revokes(self.phone.user.device, T0 + 40)
        self.known = [*self.phone.user.statements, self.lost_phone]
        self.tablet = self.cleo.at_new_device("tablet", T0 + 60)
        self.evil = self.cleo.at_new_device("evil", NOW + 50)
        self.evil_end = self._revokes(self.tablet.user.device, T0 + 70)
        self.user = recovered(
            self.cleo.recovery,
            self.known,
            "new laptop",
            NOW,
            SeededEntropy("vector recovery"),
            revoke=[self.cleo.user.device],
        )
        self.root = Signer(self.cleo.recovery)
        self.kept = self._kept()

    def _revokes(self, device: DeviceId, modified: int) -> Signed:
        under = self.cleo.user.statements[0].hash
        form = Revocation(under.hex(), device)
        return self.cleo.states_as_root(REVOKE_TYPE, modified, form)

    def _kept(self) -> Signed:
        identity = self.identity(*self.user.statements)
        tablet = self.tablet.user
        return self.user.sign_certificate(
            identity, tablet.device_key.public, "tablet", T0 + 60, SeededEntropy("vector keep")
        )

    def kit(self, secret: Secret, entropy: Entropy) -> bytes:
        """The kit that Cleo wrote while she had the phone no more."""
        group = KnownGroup(self.cleo.founds(T0 + 100).group, "Family", secret)
        where = Whereabouts(("https://meet.example.org",), (group,))
        return seal_kit(kit_key_of(self.cleo.recovery), self.known, where, entropy)

    def told(self) -> Iterator[tuple[str, Signed, Signer]]:
        """Every statement, with the key that signs it."""
        old, new = self.cleo.root, self.root
        names = ["Cleo", "Cleo's laptop", "the phone", "the end of the phone"]
        for name, each in zip(names, self.known, strict=True):
            yield name, each, old
        yield "the tablet, which the kit does not know", self.tablet.user.statements[-1], old
        names = ["the rotation", "the new laptop", "the end of the laptop"]
        names.append("the end of the phone again, at its old time")
        for name, each in zip(names, self.user.statements[len(self.known) :], strict=True):
            yield name, each, new
        yield "the thief's own device", self.evil.user.statements[-1], old
        yield "the thief ends the tablet", self.evil_end, old
        yield "the tablet is kept after all", self.kept, new

    def identity(self, *statements: Signed) -> Identity:
        """What statements say of Cleo."""
        identity = read_identity(statements)
        assert identity is not None
        return identity


def phrases(*seeds: bytes) -> Vector:
    """Phrases, the keys of their kits, and what is no phrase."""
    good = words_of(Secret(seeds[-1]))
    refused = {
        "another checksum": [*good[:-1], "zoo"],
        "two words have changed places": [good[1], good[0], *good[2:]],
        "a word that is in no list": ["peerstack", *good[1:]],
        "12 words": ["abandon"] * 11 + ["about"],
        "25 words": [*good, good[0]],
    }
    for words in refused.values():
        _check_refused(words)
    return {
        "accept": [
            {
                "seed": seed.hex(),
                "words": " ".join(words_of(Secret(seed))),
                "kit_key": kit_key_of(Secret(seed)).hex(),
                "next": next_key_hash(Signer(seed).public).hex(),
            }
            for seed in seeds
        ],
        "refuse": [{"comment": why, "words": " ".join(each)} for why, each in refused.items()],
    }


def _check_refused(words: list[str]) -> None:
    try:
        decode_untrusted_phrase(words)
    except InvalidPhrase:
        return
    raise AssertionError("a vector that is no phrase is one")


def recovery(secret: bytes, nonce: bytes, entropy: Entropy) -> Vector:
    """A kit, what a recovery from it signs, and what all of it says."""
    story = Recovery()
    told = list(story.told())
    identity = story.identity(*(signed for _, signed, _ in told))
    return {
        "phrase": " ".join(words_of(story.cleo.recovery)),
        "kit_nonce": nonce.hex(),
        "kit_secret": secret.hex(),
        "kit": story.kit(Secret(secret), entropy).decode(),
        "told": [
            {
                "name": name,
                "type": signed.type,
                "seed": key.seed.hex(),
                "public": key.public.hex(),
                "body": signed.body.decode(),
                "hash": signed.hash.hex(),
                "signature": signed.signature.hex(),
            }
            for name, signed, key in told
        ],
        "head": identity.head.hex(),
        "root": identity.root.hex(),
        "next": identity.next.hex(),
        "devices": [
            {"device": each.id, "key": each.key.hex(), "since": each.since_ms, "end": each.end_ms}
            for each in sorted(identity.devices.values(), key=lambda each: each.since_ms)
        ],
        "not_counting": sorted(identity.certified.keys() - identity.devices.keys()),
    }

"""A short story with one statement of each form, and records to be judged by them."""

from __future__ import annotations

from collections.abc import Iterator

from peerstack.groups.statements import CLOSE_TYPE, SEAL_TYPE, Close, Seal
from peerstack.identity import REVOKE_TYPE, ROTATE_TYPE, Revocation, Rotation, next_key_hash
from peerstack.keys import Signer, sha256
from peerstack.record import Signed
from peerstack.testing.ports import SeededEntropy
from tests.people import NOW, T0, person
from tests.vector_bodies import ULID


def some(name: str, size_bytes: int = 32) -> bytes:
    """Bytes of that name, always the same."""
    return SeededEntropy(f"vector {name}").draw(size_bytes)


class Story:
    """Ana founds a group and invites Bo; one statement of each form."""

    def __init__(self) -> None:
        self.ana, self.bo, self.mallory = (person(name) for name in ("ana", "bo", "mallory"))
        self.inception, self.certificate = self.ana.user.statements
        self.founding = self.ana.founds(T0 + 100, nonce=some("nonce", 16))
        self.invite = self.ana.invites(self.founding, T0 + 200, expires=T0 + 10**9, uses=5)
        self.join = self.bo.joins(self.invite, T0 + 300)
        self.admit = self.ana.admits(self.founding, self.join, T0 + 400)
        self.grant = self.ana.grants(self.founding, self.bo.id, "admin", self.join, T0 + 500)
        self.consent = self.mallory.consents(self.founding.group, T0 + 600)
        self.rotate, self.revoke = self._rotate(), self._revoke()
        self.close, self.seal = self._ends()

    def _rotate(self) -> Signed:
        next_key = Signer(self.ana.recovery)
        form = Rotation(
            self.inception.hash.hex(),
            next_key.public.hex(),
            next_key_hash(Signer(some("key after next")).public).hex(),
            [self.certificate.hash.hex()],
        )
        return self.ana.states_as_root(ROTATE_TYPE, T0 + 700, form, root=next_key)

    def _revoke(self) -> Signed:
        form = Revocation(self.inception.hash.hex(), self.ana.user.device)
        return self.ana.states_as_root(REVOKE_TYPE, T0 + 800, form)

    def _ends(self) -> tuple[Signed, Signed]:
        group, under = self.founding.group, self.founding.hash.hex()
        written = sorted([sha256(b"one"), sha256(b"other")])
        root = sha256(*written).hex()
        form = Close(under, self.grant.hash.hex(), len(written), root)
        close = self.ana.states(group, CLOSE_TYPE, T0 + 900, form)
        hashes = [each.hex() for each in written]
        part = Seal(under, close.hash.hex(), len(written), root, 0, hashes)
        return close, self.ana.states(group, SEAL_TYPE, T0 + 901, part)

    def told(self) -> Iterator[tuple[str, Signed, Signer]]:
        """Every statement in an order in which each is admitted, with the key that signs it."""
        ana, bo, mallory = self.ana.user, self.bo.user, self.mallory.user
        root = self.ana.root
        yield "Ana", self.inception, root
        yield "Ana's laptop", self.certificate, root
        for each_person in (self.bo, self.mallory):
            told = zip(("{}", "{}'s laptop"), each_person.user.statements, strict=True)
            for what, each in told:
                yield what.format(each_person.user.name.title()), each, each_person.root
        yield "the group, founded by Ana", self.founding, ana.device_key
        yield "an invite by Ana", self.invite, ana.device_key
        yield "Bo's consent, with the invite", self.join, bo.device_key
        yield "Ana lets Bo in", self.admit, ana.device_key
        yield "Ana makes Bo an admin", self.grant, ana.device_key
        yield "consent without an invite", self.consent, mallory.device_key
        yield "Ana's next root key", self.rotate, Signer(self.ana.recovery)
        yield "the end of Ana's laptop", self.revoke, root
        yield "the end of Bo's grant", self.close, ana.device_key
        yield "what Bo had written", self.seal, ana.device_key

    def records(self) -> Iterator[tuple[str, str, Signed]]:
        """Records, with the rule that decides each and a comment."""
        group, ana, bo, mallory = self.founding.group, self.ana, self.bo, self.mallory
        over = bo.writes(group, NOW + 1, {"text": "b"}, id=ULID, seen={ana.user.device: NOW})
        yield "R6", "by a writer", bo.writes(group, NOW, {"text": "a"})
        yield "R6", "at the very time of the grant", bo.writes(group, T0 + 400)
        yield "R6", "by no member", mallory.writes(group)
        yield "R8", "a second version", over
        yield "R7", "a profile by an admin", ana.writes(group, type_name="$profile")
        yield (
            "R7",
            "a profile before the grant of admin",
            bo.writes(group, T0 + 500, type_name="$profile"),
        )
        yield "R3", "10 minutes ahead", bo.writes(group, NOW + 600_000)
        yield "R3", "further ahead", bo.writes(group, NOW + 600_001)
        yield "R2", "of another group", bo.writes(bo.id)
        yield "R4", "by a device that nobody knows", person("stranger").writes(group)

"""A short story with one statement of each form, and records to be judged by them."""

from __future__ import annotations

from collections.abc import Iterator

from peerstack.identity import REVOKE_TYPE, ROTATE_TYPE, Revocation, Rotation, next_key_hash
from peerstack.ids import IdFactory
from peerstack.keys import Signer
from peerstack.record import Signed
from peerstack.testing.ports import SeededEntropy
from tests.groups import endings
from tests.people import NOW, T0, person
from tests.vector_bodies import ULID


def some(name: str, size_bytes: int = 32) -> bytes:
    """Bytes of that name, always the same."""
    return SeededEntropy(f"vector {name}").draw(size_bytes)


class Story:
    """Ana founds a group and invites Bo; one statement of each form."""

    def __init__(self) -> None:
        self.ana, self.bo, self.mallory = (person(name) for name in ("ana", "bo", "mallory"))
        self.cy, self.phone = person("cy"), self.bo.at_new_device("phone", T0 + 350)
        self.inception, self.certificate = self.ana.user.statements
        self.founding = self.ana.founds(T0 + 100, nonce=some("nonce", 16))
        self.invite = self.ana.invites(self.founding, T0 + 200, expires=T0 + 10**9, uses=5)
        self.join = self.bo.joins(self.invite, T0 + 300)
        self.admit = self.ana.admits(self.founding, self.join, T0 + 400)
        self.grant = self.ana.grants(self.founding, self.bo.id, "admin", self.join, T0 + 500)
        self.consent = self.mallory.consents(self.founding.group, T0 + 600)
        self.rotate, self.revoke = self._rotate(), self._revoke()
        self.close, self.seal = self._ends()
        self.coming_and_going = list(self._cy_comes_and_goes())
        self.phone_ends = list(self._phone_ends())

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
        """Bo is admin no more, and what he wrote as one stays; he is still a writer."""
        stays = [self._bos_profile()]
        close = endings.closes(self.ana, self.founding, self.grant, T0 + 900, stays)
        (seal,) = endings.seals(self.ana, self.founding, close, T0 + 901, stays)
        return close, seal

    def _bos_profile(self) -> Signed:
        return self.bo.writes(self.founding.group, T0 + 850, {"name": "b"}, type_name="$profile")

    def _cy_comes_and_goes(self) -> Iterator[tuple[str, Signed, Signer]]:
        ana, cy, under = self.ana, self.cy, self.founding
        consent = cy.consents(under.group, T0 + 1_000)
        reader = ana.grants(under, cy.id, "reader", consent, T0 + 1_010)
        writer = ana.grants(under, cy.id, "writer", consent, T0 + 1_020)
        gives_up = endings.closes(cy, reader, writer, T0 + 1_030)
        leave = endings.leaves(cy, reader, T0 + 1_040)
        parts = endings.seals_over(
            ana, under, leave, T0 + 1_050, endings.hashes([consent, gives_up]), part_hashes=1
        )
        keys = ana.user.device_key, cy.user.device_key
        yield from (
            ("Cy's consent", consent, keys[1]),
            ("Ana makes Cy a reader", reader, keys[0]),
            ("Ana makes Cy a writer", writer, keys[0]),
            ("Cy gives up being a writer", gives_up, keys[1]),
            ("Cy leaves", leave, keys[1]),
        )
        for number, part in enumerate(parts, start=1):
            yield f"what stays of Cy, part {number}", part, keys[0]
        end = endings.closes(ana, under, self.invite, T0 + 1_100)
        yield "the end of the invite", end, keys[0]

    def _phone_ends(self) -> Iterator[tuple[str, Signed, Signer]]:
        bo, named = self.bo.user, [record for _, _, record in self._of_phone()][:1]
        revoke = endings.revokes(self.bo, self.phone.user.device, T0 + 1_200)
        (seal,) = endings.seals(self.bo, self.admit, revoke, T0 + 1_201, named)
        yield "Bo's second device", self.phone.user.statements[-1], self.bo.root
        yield "its end", revoke, self.bo.root
        yield "what stays of it, by Bo's laptop", seal, bo.device_key

    def told(self) -> Iterator[tuple[str, Signed, Signer]]:
        """Every statement in an order in which each is admitted, with the key that signs it."""
        ana, bo, mallory = self.ana.user, self.bo.user, self.mallory.user
        root = self.ana.root
        yield "Ana", self.inception, root
        yield "Ana's laptop", self.certificate, root
        for each_person in (self.bo, self.mallory, self.cy):
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
        yield "what stays of what Bo did as an admin", self.seal, ana.device_key
        yield from self.coming_and_going
        yield from self.phone_ends

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
        yield "R7", "a profile by an admin of then, which a seal names", self._bos_profile()
        yield "R9", "another, which none names", bo.writes(group, T0 + 860, type_name="$profile")
        yield "R7", "after the end", bo.writes(group, T0 + 900, type_name="$profile")
        yield from self._of_phone()
        yield "R6", "after giving up being a writer", self.cy.writes(group, T0 + 1_035)
        yield "R9", "before that, but sealed and not named", self.cy.writes(group, T0 + 1_025)

    def _of_phone(self) -> Iterator[tuple[str, str, Signed]]:
        ids, group = IdFactory(SeededEntropy("of the phone")), self.founding.group
        for rule, comment, at_ms in (
            ("R8", "by a device that ended, and named, though later", T0 + 1_300),
            ("R9", "before its end, but not named", T0 + 1_150),
            ("R8", "after its end", T0 + 1_250),
        ):
            yield rule, comment, self.phone.writes(group, at_ms, id=ids.new(at_ms))

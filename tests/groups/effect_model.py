"""The rules of `docs/rules.md` once more, asked one by one, with no care for speed.

Written from that page alone. Each question is answered by asking others, and none may lead back to
itself: `asked` fails where one does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple, ParamSpec, TypeVar

from peerstack.record import Signed

P = ParamSpec("P")
T = TypeVar("T")

ROLES = ["reader", "writer", "admin"]
MINUTES_10 = 10 * 60 * 1000


class Said(NamedTuple):
    """One statement, or record."""

    name: str
    type: str
    signer: str
    device: str
    t: int
    value: dict[str, Any]

    @classmethod
    def of(cls, signed: Signed) -> Said:
        name = sha256(signed.body).hexdigest()
        return cls(name, signed.type, signed.signer, signed.device, signed.modified, signed.value)


class Given(NamedTuple):
    """One grant."""

    name: str
    user: str
    role: str
    t: int
    under: str | None
    consent: str
    invite: str | None


@dataclass(frozen=True)
class Ended:
    """Where something ends, and what that spares."""

    at: int
    by: str
    sealed: bool
    named: frozenset[str]

    def spares(self, said: Said) -> bool:
        return said.name in self.named or (not self.sealed and said.t < self.at)


def asked(question: Callable[P, T]) -> Callable[P, T]:
    """A question, answered once; it fails where it is asked in order to answer it."""

    @functools.wraps(question)
    def ask(*args: P.args, **kwargs: P.kwargs) -> T:
        model: Any = args[0]
        key = (question.__name__, args[1:])
        if key not in model.answers:
            assert key not in model.asking, f"a circle: {key}"
            model.asking.add(key)
            model.answers[key] = question(*args, **kwargs)
            model.asking.remove(key)
        answer: T = model.answers[key]
        return answer

    return ask


class Model:
    """What follows from a set of admitted statements."""

    def __init__(self, group: str, admitted: Iterable[Signed]) -> None:
        self.group = group
        self.all = {said.name: said for said in map(Said.of, admitted)}
        self.answers: dict[Any, Any] = {}
        self.asking: set[Any] = set()

    def of_type(self, *types: str) -> Iterator[Said]:
        return (said for said in self.all.values() if said.type in types)

    # --- Identities (I). ------------------------------------------------------------------------

    @asked
    def chain(self, user: str) -> tuple[list[set[str]], bool]:
        """I9, I10: what gives each root key; and whether the user is forked."""
        roots = [{said.name for said in self.of_type("$user") if said.signer == user}]
        while True:
            after = [s for s in self.of_type("$rotate") if s.value["under"] in roots[-1]]
            if len(after) != 1:
                return roots, len(after) > 1
            roots.append({after[0].name})

    def certificates(self, user: str, device: str) -> list[Said]:
        began = min((s.t for s in self.of_type("$user") if s.signer == user), default=None)
        return [
            said
            for said in self.of_type("$device")
            if said.signer == user and said.value["device"] == device
            if began is not None and said.t > began
        ]

    def after(self, user: str, under: str) -> list[Said] | None:
        """The rotations of the chain that follow a root; None where that is not in the chain."""
        roots, _ = self.chain(user)
        place = next((at for at, names in enumerate(roots) if under in names), None)
        if place is None:
            return None
        return [self.all[name] for names in roots[place + 1 :] for name in names]

    @asked
    def counts(self, user: str, device: str) -> bool:
        """I11."""
        for certificate in self.certificates(user, device):
            later = self.after(user, certificate.value["under"])
            if later is not None and all(certificate.name in r.value["keeps"] for r in later):
                return True
        return False

    def revokes(self, user: str, device: str) -> list[Said]:
        """I12: those that have effect."""
        return [
            said
            for said in self.of_type("$revoke")
            if said.signer == user and said.value["device"] == device
            if self.is_in_force(said)
        ]

    def is_in_force(self, revoke: Said) -> bool:
        later = self.after(revoke.signer, revoke.value["under"])
        if later is None:
            return False
        for rotation in later:
            for certificate in self.certificates(revoke.signer, revoke.value["device"]):
                if certificate.name in rotation.value["keeps"]:
                    return False
                if certificate.value["under"] == rotation.name:
                    return False
        return True

    # --- Devices (D). ---------------------------------------------------------------------------

    def parts(self, ends: Iterable[str]) -> list[Said]:
        wanted = set(ends)
        return [said for said in self.of_type("$seal") if said.value["ends"] in wanted]

    @asked
    def device_end(self, user: str, device: str) -> Ended | None:
        revokes = {said.name: said.t for said in self.revokes(user, device)}
        if not revokes or not self.counts(user, device):
            return None
        parts = [part for part in self.parts(revokes) if self.seals_device(part, user, device)]
        sealed = any(self.any_complete(parts, each) for each in revokes)
        at, by = min((t, name) for name, t in revokes.items())
        return Ended(at, by, sealed, names(parts))

    def seals_device(self, part: Said, user: str, device: str) -> bool:
        """D1."""
        if part.signer != user or part.device == device or not self.counts(user, part.device):
            return False
        ends = [revoke.t for revoke in self.revokes(user, part.device)]
        return all(part.t < t for t in ends) and self.device_spares(part)

    def device_spares(self, said: Said) -> bool:
        """D2."""
        if not self.counts(said.signer, said.device):
            return False
        end = self.device_end(said.signer, said.device)
        return end is None or end.spares(said)

    # --- Seals (Z). -----------------------------------------------------------------------------

    def is_complete(self, parts: list[Said], ends: str, count: int, root: str) -> bool:
        """Z5."""
        for device in {part.device for part in parts}:
            fitting = [
                part
                for part in parts
                if (part.device, part.value["ends"]) == (device, ends)
                and (part.value["count"], part.value["root"]) == (count, root)
            ]
            if fitting and (count, root) == commitment(names(fitting)):
                return True
        return False

    def any_complete(self, parts: list[Said], ends: str) -> bool:
        return any(
            self.is_complete(parts, ends, part.value["count"], part.value["root"]) for part in parts
        )

    # --- Grants (E). ----------------------------------------------------------------------------

    @asked
    def grants(self) -> dict[str, Given]:
        found = {}
        for said in self.of_type("$group"):
            found[said.name] = Given(said.name, said.signer, "admin", said.t, None, said.name, None)
        for said in self.of_type("$grant"):
            value = said.value
            found[said.name] = Given(
                said.name, value["user"], value["role"], said.t, value["under"],
                value["consent"], None,
            )  # fmt: skip
        for said in self.of_type("$admit"):
            join = self.all[said.value["join"]]
            invite = self.all[join.value["invite"]]
            found[said.name] = Given(
                said.name, join.signer, invite.value["role"], said.t, said.value["under"],
                join.name, invite.name,
            )  # fmt: skip
        return found

    def is_above(self, upper: Given, lower: Given) -> bool:
        if lower.under is None:
            return False
        return lower.under == upper.name or self.is_above(upper, self.grants()[lower.under])

    def may_end(self, holding: Given, other: Given) -> bool:
        return holding.role == "admin" and (other.role != "admin" or self.is_above(holding, other))

    def has_effect(self, said: Said) -> bool:
        """E1, under the grant that it is made under."""
        grant = self.grants()[said.value["under"]]
        if not self.stands(grant):
            return False
        end = self.end(grant, False)
        if end is not None and said.name in end.named:
            return True
        return (end is None or end.spares(said)) and self.device_spares(said)

    @asked
    def stands(self, grant: Given) -> bool:
        """E2 to E5."""
        if grant.under is None:
            return True
        if not self.has_effect(self.all[grant.name]):
            return False
        consent, end = self.all[grant.consent], self.end(grant, False)
        is_sealed = end is not None and end.sealed
        if consent.type != "$group" and not is_sealed and not self.device_spares(consent):
            return False
        return grant.invite is None or self.is_let_in(grant, self.all[grant.invite])

    def is_let_in(self, grant: Given, invite: Said) -> bool:
        if not self.has_effect(invite):
            return False
        maker_end = self.end(self.grants()[invite.value["under"]], False)
        if maker_end is not None and maker_end.at < grant.t:
            return False
        earlier = [said for said in self.of_type("$close") if said.t < grant.t]
        if any(c.value["target"] == invite.name and self.has_effect(c) for c in earlier):
            return False
        return not any(self.keeps_out(close, grant, invite) for close in earlier)

    def keeps_out(self, close: Said, grant: Given, invite: Said) -> bool:
        """E5, of an earlier close."""
        target = self.grants().get(close.value["target"])
        if target is None or target.user != grant.user or close.signer == grant.user:
            return False
        if target.consent != grant.consent and close.t <= invite.t:
            return False
        by = self.grants()[close.value["under"]]
        return self.may_end(by, grant) and self.has_effect(close)

    def removes_by_consent(self, close: Said, consent: str) -> bool:
        target = self.grants().get(close.value["target"])
        return target is not None and target.user != close.signer and target.consent == consent

    def removals(self, grant: Given) -> list[Said]:
        """E6."""
        found = []
        for close in self.of_type("$close"):
            if not self.removes_by_consent(close, grant.consent):
                continue
            target = self.grants()[close.value["target"]]
            no_higher = ROLES.index(target.role) <= ROLES.index(grant.role)
            if target != grant and not (no_higher and grant.t < close.t):
                continue
            by = self.grants()[close.value["under"]]
            if self.may_end(by, grant) and self.has_effect(close):
                found.append(close)
        return found

    def partings(self, grant: Given) -> list[Said]:
        """Those that could end it by E7."""
        consent_t = self.all[grant.consent].t
        return [
            close
            for close in self.of_type("$close")
            if close.signer == grant.user and close.value["target"] in self.grants()
            if self.grants()[close.value["target"]].user == close.signer
            if (
                consent_t <= close.t
                if close.value["under"] == close.value["target"]
                else close.value["target"] == grant.name
            )
        ]

    @asked
    def end(self, grant: Given, for_records: bool) -> Ended | None:
        """E6 to E10."""
        if for_records and self.end(grant, False) is None:
            return None
        removals, partings = self.removals(grant), self.partings(grant)
        if not removals and not partings:
            return None
        parts = [
            part
            for part in self.parts(said.name for said in (*removals, *partings))
            if self.may_seal(self.grants()[part.value["under"]], grant, for_records)
            and self.has_effect(part)
        ]
        named = names(parts)
        sealed_removals = [close for close in removals if self.is_fulfilled(close, parts)]
        sealed_partings = [each for each in partings if self.any_complete(parts, each.name)]
        partings = [
            each for each in partings if each in sealed_partings or self.device_spares(each)
        ]
        if sealed_removals:
            partings = [each for each in partings if each.name in named]
        elif sealed_partings:
            partings = [p for p in partings if p in sealed_partings or p.name in named]
        if not removals and not partings:
            return None
        at, by = min((close.t, close.name) for close in (*removals, *partings))
        return Ended(at, by, bool(sealed_removals or sealed_partings), named)

    def may_seal(self, holding: Given, grant: Given, for_records: bool) -> bool:
        """Z7."""
        return holding.role == "admin" if for_records else self.may_end(holding, grant)

    def is_fulfilled(self, close: Said, parts: list[Said]) -> bool:
        count, root = close.value["count"], close.value["root"]
        if (count, root) == commitment(frozenset()):
            return True
        return self.is_complete(parts, close.name, count, root)

    # --- Roles (M). -----------------------------------------------------------------------------

    def standing_of(self, user: str) -> list[Given]:
        return [each for each in self.grants().values() if each.user == user and self.stands(each)]

    def role_at(self, user: str, t: int) -> str | None:
        """M1."""
        held = []
        for grant in self.standing_of(user):
            end = self.end(grant, False)
            if grant.t < t and (end is None or t < end.at):
                held.append(ROLES.index(grant.role))
        return ROLES[max(held)] if held else None

    def members(self) -> dict[str, str]:
        """M3."""
        roles: dict[str, int] = {}
        for grant in self.grants().values():
            if self.stands(grant) and self.end(grant, False) is None:
                role = ROLES.index(grant.role)
                roles[grant.user] = max(role, roles.get(grant.user, role))
        return {user: ROLES[role] for user, role in roles.items()}

    # --- Records (R). ---------------------------------------------------------------------------

    def verdict(self, record: Signed, now: int) -> str:
        """R2 to R9."""
        said = Said.of(record)
        if record.group != self.group:
            return "wrong-group"
        if said.t > now + MINUTES_10:
            return "held"
        certificates = self.certificates(said.signer, said.device)
        if not certificates:
            return "held"
        if said.t <= certificates[0].t:
            return "no-role"
        return self.verdict_by_role(said)

    def verdict_by_role(self, said: Said) -> str:
        needed = ROLES[2:] if said.type in ("$profile", "$secret") else ROLES[1:]
        giving = [g for g in self.standing_of(said.signer) if g.role in needed and g.t < said.t]
        ends = [self.end(grant, True) for grant in giving]
        if any(end is not None and said.name in end.named for end in ends):
            return "admitted"
        if not any(end is None or end.spares(said) for end in ends):
            outside = any(end is not None and end.sealed and said.t < end.at for end in ends)
            return "quarantined" if outside else "no-role"
        if self.device_spares(said):
            return "admitted"
        end = self.device_end(said.signer, said.device)
        if end is not None and end.sealed and said.t < end.at:
            return "quarantined"
        _, forked = self.chain(said.signer)
        counts = self.counts(said.signer, said.device)
        return "held" if forked and not counts else "device-ended"


def names(parts: Iterable[Said]) -> frozenset[str]:
    """Z6."""
    return frozenset(each for part in parts for each in part.value["hashes"])


def commitment(hashes: frozenset[str]) -> tuple[int, str]:
    """What a seal over some hashes has as `count` and `root`."""
    return len(hashes), sha256(b"".join(sorted(map(bytes.fromhex, hashes)))).hexdigest()

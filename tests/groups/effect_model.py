"""The rules of `docs/rules.md` for grants and records once more, with no care for speed.

Written from that page alone. Each question is answered by asking others, and none may lead back to
itself: `asked` fails where one does.
"""

from __future__ import annotations

from typing import NamedTuple

from peerstack.record import Signed
from tests.groups.device_model import DeviceModel, Ended, Said, asked, commitment, names

ROLES = ["reader", "writer", "admin"]
MINUTES_10 = 10 * 60 * 1000


class Given(NamedTuple):
    """One grant."""

    name: str
    user: str
    role: str
    t: int
    under: str | None
    consent: str
    invite: str | None


class Model(DeviceModel):
    """What follows from a set of admitted statements."""

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
        if close.t <= invite.t:
            return False
        by = self.grants()[close.value["under"]]
        return self.may_end(by, grant) and self.has_effect(close)

    def removes_by_consent(self, close: Said, consent: str) -> bool:
        target = self.grants().get(close.value["target"])
        return target is not None and target.user != close.signer and target.consent == consent

    def removals(self, grant: Given) -> list[Said]:
        """E6."""
        return self.removals_by(grant, grant)

    def removals_by(self, grant: Given, other: Given) -> list[Said]:
        """The removals of a grant by who may end another one too."""
        found = []
        for close in self.of_type("$close"):
            if not self.removes_by_consent(close, grant.consent):
                continue
            target = self.grants()[close.value["target"]]
            no_higher = ROLES.index(target.role) <= ROLES.index(grant.role)
            if target != grant and not (no_higher and grant.t < close.t):
                continue
            by = self.grants()[close.value["under"]]
            if self.may_end(by, other) and self.has_effect(close):
                found.append(close)
        return found

    def is_undone(self, leave: Said, grant: Given, for_records: bool) -> bool:
        """E8, its last sentence."""
        if leave.value["under"] != leave.value["target"] or leave.value["target"] == grant.name:
            return False
        removals = self.removals_by(self.grants()[leave.value["target"]], grant)
        parts = [
            part
            for part in self.parts([leave.name, *(close.name for close in removals)])
            if self.may_seal(self.grants()[part.value["under"]], grant, for_records)
            and self.has_effect(part)
        ]
        is_sealed = any(self.is_fulfilled(close, parts) for close in removals)
        return is_sealed and leave.name not in names(parts)

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
        partings = [each for each in partings if not self.is_undone(each, grant, for_records)]
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

"""The rules of `docs/rules.md` for devices and seals once more, with no care for speed.

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


class DeviceModel:
    """Which devices count, and what ended ones leave behind."""

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


def names(parts: Iterable[Said]) -> frozenset[str]:
    """Z6."""
    return frozenset(each for part in parts for each in part.value["hashes"])


def commitment(hashes: frozenset[str]) -> tuple[int, str]:
    """What a seal over some hashes has as `count` and `root`."""
    return len(hashes), sha256(b"".join(sorted(map(bytes.fromhex, hashes)))).hexdigest()

"""A device that takes statements one by one, as they arrive, and holds what it cannot judge yet.

The naive model of what an engine does, to show that the order of arrival is nothing to the outcome.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from peerstack.errors import Reason, RemoteError
from peerstack.groups.membership import GroupState
from peerstack.groups.rules import (
    ADMITTED,
    MISSING,
    Held,
    Refused,
    Verdict,
    judge_statement,
    statement_checks_untrusted,
)
from peerstack.identity import identity_checks_untrusted, is_identity_type
from peerstack.ids import GroupId
from peerstack.keys import Check, DerivedIdCheck, Hash, Label, SignatureCheck
from peerstack.record import Signed


@functools.cache
def holds(check: Check) -> bool:
    """Whether a check holds; what was computed once is remembered."""
    return check.holds()


def reason_of(check: Check) -> Reason:
    """Why something is refused whose check fails."""
    if isinstance(check, SignatureCheck):
        return Reason.BAD_PROOF if check.label is Label.INVITE else Reason.BAD_SIGNATURE
    assert isinstance(check, DerivedIdCheck)
    return Reason.BAD_ID


@dataclass
class Fold:
    """What one device made of the statements that reached it."""

    group: GroupId
    admitted: dict[Hash, Signed] = field(default_factory=dict)
    held: dict[tuple[Hash, bytes], Signed] = field(default_factory=dict)
    """By hash and signature: a copy whose signature fails must not push out one that is good."""
    refused: dict[Hash, Reason] = field(default_factory=dict)
    _state: GroupState | None = None

    @property
    def state(self) -> GroupState:
        if self._state is None:
            self._state = GroupState.of(self.group, self.admitted.values())
        return self._state

    def verdict(self, signed: Signed) -> str:
        """ "admitted", "held", or the reason of the refusal."""
        if signed.hash in self.refused:
            return self.refused[signed.hash].value
        return "admitted" if signed.hash in self.admitted else "held"

    def receive(self, signed: Signed) -> None:
        """Judge it, and with it whatever it was that others waited for."""
        if signed.hash in self.admitted:
            return
        self.held[signed.hash, signed.signature] = signed
        while any(self._try(each) for each in list(self.held.values())):
            pass

    def _try(self, signed: Signed) -> bool:
        if signed.hash in self.admitted:
            del self.held[signed.hash, signed.signature]
            return True
        verdict = self._judge(signed)
        if isinstance(verdict, Held):
            return False
        del self.held[signed.hash, signed.signature]
        if isinstance(verdict, Refused):
            self.refused[signed.hash] = verdict.reason
        else:
            self._admit(signed)
        return True

    def _admit(self, signed: Signed) -> None:
        self.refused.pop(signed.hash, None)
        self.admitted[signed.hash] = signed
        identity = is_identity_type(signed.type)
        self._state = None if identity else self.state.extended([signed])

    def _judge(self, signed: Signed) -> Verdict:
        try:
            checks = self._checks(signed)
        except RemoteError as refusal:
            return Refused(refusal.reason)
        if checks is None:
            return MISSING
        failed = next((check for check in checks if not holds(check)), None)
        if failed is not None:
            return Refused(reason_of(failed))
        return ADMITTED if is_identity_type(signed.type) else judge_statement(self.state, signed)

    def _checks(self, signed: Signed) -> Sequence[Check] | None:
        if is_identity_type(signed.type):
            return identity_checks_untrusted(signed, self.admitted.get)
        return statement_checks_untrusted(self.state, signed)


def fold(group: GroupId, arriving: Iterable[Signed]) -> Fold:
    """What a device makes of statements that arrive in this order."""
    device = Fold(group)
    for signed in arriving:
        device.receive(signed)
    return device

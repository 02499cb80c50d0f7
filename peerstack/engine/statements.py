"""Statements from elsewhere: checked, judged and added, in rounds.

A statement can be checked once those that it names are here, so a set that arrives in any order is
taken in rounds: check what can be checked, add what stands, and go on while that brings anything.
What is left waits, unseen by others, for what it needs, and is looked at again when that comes: so
what waits costs nothing, however much of it there is.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import UnsetType

from peerstack import limits
from peerstack.engine.turn import Turn
from peerstack.errors import Reason, RemoteError
from peerstack.groups.membership import Draft, GroupState
from peerstack.groups.rules import (
    Admitted,
    Held,
    Refused,
    judge_statement,
    statement_checks_untrusted,
    waits_for,
)
from peerstack.groups.statements import Join, group_form_untrusted
from peerstack.identity import (
    identity_checks_untrusted,
    identity_parent_untrusted,
    is_identity_type,
)
from peerstack.ids import GroupId
from peerstack.keys import Check, DerivedIdCheck, Hash, Label
from peerstack.record import Signed
from peerstack.store import Sender, Waiting


@dataclass(slots=True)
class StatementsArrival:
    """Statements on their way in: those being checked, and those that wait for them."""

    group: GroupId
    sender: Sender
    waiting: list[Signed]
    checking: list[tuple[Signed, Sequence[Check]]] = field(default_factory=list)
    to_derive: dict[Hash, Sequence[Check]] = field(default_factory=dict)
    """The ids to be derived of what is being checked, if all else about it holds: that is slow."""
    proven: list[Signed] = field(default_factory=list)
    """What holds already, while ids are derived of the rest of this round."""
    began: int = 0
    """`Self.statements_added` when this round began."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of this round, one after the other."""
        return tuple(check for _, checks in self.checking for check in checks)


def receive(
    turn: Turn, group: GroupId, items: Sequence[Signed], sender: Sender
) -> StatementsArrival | None:
    """The first round of checks for some statements; None if there is nothing to check.

    Raises `RemoteError(WRONG_GROUP)` where one is neither a statement of this group nor says who a
    user is. Identities of users who sign nothing here are passed over.
    """
    for item in items:
        own = item.is_statement and item.group == group
        if not own and not is_identity_type(item.type):
            raise RemoteError(Reason.WRONG_GROUP, f"{item.type} {item.id} among statements")
    # A copy that waits may be a forged one: what it waits for is what its signature is checked by.
    hashes = [item.hash for item in items]
    known = {item.hash for item in turn.tx.statements_by_hash(hashes, settled=True)}
    fresh = {item.hash: item for item in items if item.hash not in known}
    if not fresh:
        return None
    signing = {item.signer for item in fresh.values() if item.group == group}
    signing |= turn.tx.pending_signers(group) | turn.state(group).identities.keys()
    relevant = [item for item in fresh.values() if item.signer in signing]
    return _next_round(turn, StatementsArrival(group, sender, relevant))


def waiting(
    turn: Turn, group: GroupId, awaited: Collection[str] | None
) -> StatementsArrival | None:
    """The statements that wait for another, to be looked at again: it may have come elsewhere.

    `awaited`: what has come, where that is known.
    """
    mine = Sender(turn.me.user.device, True)
    return _next_round(
        turn, StatementsArrival(group, mine, turn.tx.pending_statements(group, awaited))
    )


def verified(
    turn: Turn, arrival: StatementsArrival, holds: Sequence[bool]
) -> StatementsArrival | None:
    """Add what holds and stands; the next round of checks, or None when this was the last."""
    answers = iter(holds)
    good: list[Signed] = []
    for item, checks in arrival.checking:
        # All are taken before they are looked at: each check has its own answer.
        mine = [next(answers) for _ in checks]
        failed = next((c for c, held in zip(checks, mine, strict=True) if not held), None)
        if failed is None:
            good.append(item)
        else:
            _refuse(turn, item, _reason_of(failed))
    if _has_to_derive(arrival, good):
        return arrival
    good += arrival.proven
    arrival.checking, arrival.proven = [], []
    # What came meanwhile on another way may be what some of these wait for.
    came_meanwhile = turn.me.statements_added != arrival.began
    identities = _add_identities(turn, arrival, good)
    standing = _add_standing(turn, arrival, good)
    if identities or standing or came_meanwhile:
        _take_up(turn, arrival, [*identities, *standing])
        return _next_round(turn, arrival)
    _leave_waiting(turn, arrival)
    return None


def _has_to_derive(arrival: StatementsArrival, good: Sequence[Signed]) -> bool:
    """Whether ids are still to be derived of what holds otherwise; then these are checked next."""
    to_derive, arrival.to_derive = arrival.to_derive, {}
    slow = [(item, to_derive[item.hash]) for item in good if item.hash in to_derive]
    if slow:
        arrival.checking = slow
        arrival.proven = [item for item in good if item.hash not in to_derive]
    return bool(slow)


def _take_up(turn: Turn, arrival: StatementsArrival, added: Sequence[Signed]) -> None:
    """Have this arrival go on with what has waited for what it added."""
    here = {item.hash for item in arrival.waiting}
    awaited = _awaited(turn.state(arrival.group), added)
    released = turn.tx.pending_statements(arrival.group, awaited)
    arrival.waiting.extend(item for item in released if item.hash not in here)


def _awaited(state: GroupState, added: Iterable[Signed]) -> set[str]:
    """All that others may have waited for of some statements, as `rules.waits_for` says it."""
    found: set[str] = set()
    for item in added:
        found.update([item.hash.hex(), item.id])
        if is_identity_type(item.type):
            found.add(item.signer)
        grant = state.log.grants.get(item.hash)
        if grant is not None:
            found.add(grant.user)
    return found


def _next_round(turn: Turn, arrival: StatementsArrival) -> StatementsArrival | None:
    """Move what can be checked now from waiting to checking."""
    arrival.began = turn.me.statements_added
    state = _state(turn, arrival.group, arrival.waiting)
    here = {item.hash: item for item in arrival.waiting}
    waiting, arrival.waiting = arrival.waiting, []
    for item in waiting:
        try:
            checks = _checks_untrusted(turn, state, here, item)
        except RemoteError as error:
            _refuse(turn, item, error.reason)
            continue
        if checks is None:
            arrival.waiting.append(item)
        else:
            _begin(arrival, item, checks)
    if arrival.checking:
        return arrival
    _leave_waiting(turn, arrival)
    return None


def _begin(arrival: StatementsArrival, item: Signed, checks: Sequence[Check]) -> None:
    slow = [check for check in checks if isinstance(check, DerivedIdCheck)]
    if slow:
        arrival.to_derive[item.hash] = slow
    quick = [check for check in checks if not isinstance(check, DerivedIdCheck)]
    arrival.checking.append((item, quick))


def _state(turn: Turn, group: GroupId, items: Sequence[Signed]) -> GroupState:
    """The group's state, with the identities of signers who have nothing else in it yet."""
    state = turn.state(group)
    about = turn.tx.identities({item.signer for item in items} - state.identities.keys())
    return GroupState.of(group, [*turn.statements(group), *about], state) if about else state


def _checks_untrusted(
    turn: Turn, state: GroupState, here: dict[Hash, Signed], item: Signed
) -> Sequence[Check] | None:
    if not is_identity_type(item.type):
        return statement_checks_untrusted(state, item)
    parents = {**here, **{each.hash: each for each in _parent_untrusted(turn, item)}}
    return identity_checks_untrusted(item, parents.get)


def _parent_untrusted(turn: Turn, item: Signed) -> Iterator[Signed]:
    parent = identity_parent_untrusted(item)
    if parent is not None:
        yield from turn.tx.statements_by_hash([parent], settled=True)


def _add_identities(
    turn: Turn, arrival: StatementsArrival, good: Sequence[Signed]
) -> Sequence[Signed]:
    """Add identity statements whose parent is added too."""
    added: dict[Hash, Signed] = {}
    waiting = [item for item in good if is_identity_type(item.type)]
    while ready := [item for item in waiting if _has_parent(turn, item, added)]:
        added.update((item.hash, item) for item in ready)
        waiting = [item for item in waiting if item.hash not in added]
    for item in waiting:
        _refuse(turn, item, Reason.DOES_NOT_STAND)
    if added:
        turn.tx.add_statements(list(added.values()))
        turn.statements_changed(arrival.group)
        _changed_elsewhere(turn, arrival.group, list(added.values()))
    return list(added.values())


def add_own_identity(turn: Turn, statements: Sequence[Signed]) -> None:
    """Add identity statements about this user that this device made, and knows to stand."""
    user = turn.me.user.id
    turn.tx.add_statements(statements)
    turn.signed.update(each.hash for each in statements)
    turn.statements_changed(user)
    _changed_elsewhere(turn, user, statements)


def _changed_elsewhere(turn: Turn, group: GroupId, added: Sequence[Signed]) -> None:
    """What says who a user is belongs to every group in which that user signs, or means to."""
    users = {item.signer for item in added}
    awaited = users | {item.hash.hex() for item in added}
    for each in turn.tx.groups_waiting_for(users) - {group}:
        turn.came_elsewhere(each, awaited)
    for each in turn.groups():
        if each != group and not users.isdisjoint(turn.state(each).identities):
            turn.identities_changed(each, awaited)


def _has_parent(turn: Turn, item: Signed, added: Mapping[Hash, Signed]) -> bool:
    parent = identity_parent_untrusted(item)
    return (
        parent is None
        or parent in added
        or bool(turn.tx.statements_by_hash([parent], settled=True))
    )


def _add_standing(
    turn: Turn, arrival: StatementsArrival, good: Sequence[Signed]
) -> Sequence[Signed]:
    """Add group statements that stand; put those back that something is missing for."""
    own = [item for item in good if not is_identity_type(item.type)]
    draft = Draft(_state(turn, arrival.group, own))
    room = _RoomForJoins(draft, limited=_is_strangers(turn, arrival))
    standing: list[Signed] = []
    held = defaultdict[str, list[Signed]](list)
    # Most name what is earlier; what does not is judged once more when what it names stands.
    ready = deque(sorted(own, key=lambda each: each.order))
    while ready:
        item = ready.popleft()
        match judge_statement(draft, item):
            case Admitted() if not room.takes(item):
                _refuse(turn, item, Reason.TOO_MANY)
            case Admitted():
                standing.append(item)
                draft.add(item)
                for each in _awaited(draft, [item]):
                    ready.extend(held.pop(each, ()))
            case Held():
                held[waits_for(draft, item)].append(item)
            case Refused(reason=reason):
                _refuse(turn, item, reason)
    arrival.waiting.extend(item for items in held.values() for item in items)
    if standing:
        turn.tx.add_statements(standing)
        turn.statements_changed(arrival.group)
    return standing


def _is_strangers(turn: Turn, arrival: StatementsArrival) -> bool:
    """Whether somebody brings statements who is no member to us, who are: a host may bring all."""
    in_it = turn.state(arrival.group).role(turn.me.user.id) is not None
    return in_it and not arrival.sender.is_member


class _RoomForJoins:
    """How many joins a stranger may still add.

    They lie with all members for good, and anybody who has an invite's link can sign any number.
    """

    def __init__(self, state: GroupState, *, limited: bool) -> None:
        self._state = state
        self._limited = limited
        self._left: dict[str | UnsetType, int] = {}

    def takes(self, item: Signed) -> bool:
        """Whether a statement that stands may be added."""
        join = group_form_untrusted(item) if self._limited else None
        if not isinstance(join, Join):
            return True
        if join.invite not in self._left:
            in_vain = self._state.joins_in_vain(join)
            self._left[join.invite] = limits.STRANGERS_JOINS - in_vain
        self._left[join.invite] -= 1
        return self._left[join.invite] >= 0


def _reason_of(failed: Check) -> Reason:
    if isinstance(failed, DerivedIdCheck):
        return Reason.BAD_ID
    return Reason.BAD_PROOF if failed.label is Label.INVITE else Reason.BAD_SIGNATURE


def _refuse(turn: Turn, item: Signed, reason: Reason) -> None:
    turn.refused(reason)
    turn.tx.drop_pending([item.hash])


def _leave_waiting(turn: Turn, arrival: StatementsArrival) -> None:
    """Nothing more can be checked: what is left waits for what it names, but for identities."""
    own = [item for item in arrival.waiting if item.group == arrival.group]
    if own:
        state = _state(turn, arrival.group, own)
        waiting = [Waiting(item, _waits_for(state, item)) for item in own]
        now_ms = turn.now.wall_ms
        dropped = turn.tx.keep_pending(arrival.group, waiting, arrival.sender, now_ms)
        turn.refused(Reason.TOO_MANY, dropped)


def _waits_for(state: GroupState, item: Signed) -> str:
    if not is_identity_type(item.type):
        return waits_for(state, item)
    parent = identity_parent_untrusted(item)
    return item.signer if parent is None else parent.hex()

"""What must hold after every event in a world, and once it has come to rest.

Looks at stores and at what crosses pipes, never at what the engine believes, but for its queues.
Each check is made from a device's own statements, since nobody can be asked to know more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from peerstack import limits
from peerstack.engine.status import Queues
from peerstack.errors import RemoteError
from peerstack.groups.membership import GroupState
from peerstack.groups.rules import ADMITTED, judge_record
from peerstack.ids import DeviceId, GroupId, RecordId, UserId
from peerstack.keys import Check
from peerstack.record import Signed
from peerstack.record import decode_untrusted as decode_untrusted_body
from peerstack.session.wire import Batch, Groups, Kind, Message, decode_untrusted
from peerstack.store import Snapshot, Store

_BATCHES: Final = 3 * limits.WINDOW_BATCHES
"""What one peer may have sent that is not dealt with."""

_SLICE: Final = 1_000_000


class Broken(AssertionError):
    """An invariant does not hold."""


class Watched(Protocol):
    """A device, as the invariants need it."""

    name: str

    @property
    def store(self) -> Store:
        """What it has."""

    @property
    def honest(self) -> bool:
        """Whether the shipping code alone decides what it has and says."""

    @property
    def queues(self) -> Queues:
        """What its engine has under way."""


class Identified(NamedTuple):
    """Who is really at the other end of a pipe."""

    user: UserId
    device: DeviceId


class Invariants:
    """Checks devices of one world. Raises `Broken` with what does not hold, and where."""

    def __init__(self) -> None:
        self.checked: Final = Counter[str]()
        """How often each check was made: one that never was shows nothing."""
        self._seen: dict[str, int] = {}
        self._put_off: dict[tuple[str, GroupId], dict[UserId, set[RecordId]]] = {}
        """Records to be looked at once their signers have been judged, as the store says it."""
        self._written: dict[str, int] = {}
        self._turns = Counter[str]()
        self._tags: dict[bytes, bytes] = {}
        self._states: dict[tuple[str, GroupId], tuple[bytes, GroupState]] = {}

    # --- After each turn of a device. -----------------------------------------------------------

    def after_turn(self, device: Watched) -> None:
        """What the turn made live verifies, is admissible, and is the latest that is."""
        written = device.store.rows_written()
        # Most turns write nothing, and so make nothing live.
        if self._written.get(device.name) != written:
            with device.store.snapshot() as snapshot:
                self._check_changes(device, snapshot)
            self._written[device.name] = written
        self._check_queues(device)

    def _check_changes(self, device: Watched, snapshot: Snapshot) -> None:
        last, since = snapshot.last_seq(), self._seen.get(device.name, 0)
        changed: dict[GroupId, set[RecordId]] = defaultdict(set)
        if last != since:
            for change in snapshot.changes(since, limit=last - since):
                changed[change.record.group].add(change.record.id)
            self._seen[device.name] = last
        waiting = {group for name, group in self._put_off if name == device.name}
        for group in sorted(changed.keys() | waiting):
            self._check_records(device, snapshot, group, changed[group])
        self._check_bounds_in_rotation(device, snapshot)

    def _check_records(
        self, device: Watched, snapshot: Snapshot, group: GroupId, ids: set[RecordId]
    ) -> None:
        """What has lost its right leaves in slices: till its signer is judged, it is put off."""
        later = snapshot.to_be_judged(group)
        put_off = self._put_off.pop((device.name, group), {})
        ids = ids.union(*(put_off.pop(signer) for signer in put_off.keys() - later))
        state = self._state(device, snapshot, group)
        live, all_lost = snapshot.live(group, ids), snapshot.lost(group, list(ids))
        for record_id in sorted(ids):
            signed, lost = live.get(record_id), all_lost.get(record_id, ())
            for signer in {each.signer for each in (signed, *lost) if each is not None} & later:
                put_off.setdefault(signer, set()).add(record_id)
            if signed is not None and signed.signer not in later:
                self._check_live(device, state, signed)
            for each in lost:
                if each.signer not in later:
                    self._check_lost(device, state, signed, each)
        if put_off:
            self._put_off[device.name, group] = put_off

    def _check_live(self, device: Watched, state: GroupState, signed: Signed) -> None:
        self.checked["live"] += 1
        certified = state.certified(signed.signer, signed.device)
        if certified is None or not holds(signed.signature_check(certified.key)):
            raise Broken(f"{device.name}: live without a valid signature: {signed}")
        verdict = judge_record(state, signed, signed.modified)
        if verdict != ADMITTED:
            raise Broken(f"{device.name}: live although {verdict}: {signed}")

    def _check_lost(
        self, device: Watched, state: GroupState, live: Signed | None, lost: Signed
    ) -> None:
        self.checked["lost"] += 1
        is_latest = live is None or lost.order > live.order
        if is_latest and judge_record(state, lost, lost.modified) == ADMITTED:
            raise Broken(f"{device.name}: {lost} is later than {live}, and not live")

    def _check_queues(self, device: Watched) -> None:
        self.checked["queues"] += 1
        queues = device.queues
        most = {
            "checks": (queues.checks, _BATCHES),
            "batches": (queues.batches, _BATCHES),
            "wants": (queues.wants, limits.WANTS_OPEN),
        }
        for what, (count, bound) in most.items():
            if count > bound:
                raise Broken(f"{device.name}: {count} {what} under way, over {bound}")

    # --- What crosses a pipe. -------------------------------------------------------------------

    def sent(
        self, sender: Watched, receiver: Identified | None, binding: bytes, data: bytes
    ) -> None:
        """A device sends nothing to whom it is not for, and gives nothing away to who listens.

        `binding`: what the pipe has and no other.
        """
        message = decoded(data)
        self._check_receiver(sender, receiver, data)
        if isinstance(message, Groups):
            self._check_blinded(sender, binding, message)

    def _check_blinded(self, sender: Watched, binding: bytes, named: Groups) -> None:
        """On two pipes, no group has the same name: who listens cannot tell that it is one."""
        for tag in named.tags:
            self.checked["blinded"] += 1
            if self._tags.setdefault(tag, binding) != binding:
                raise Broken(f"{sender.name} names a group as on another pipe")

    def _check_receiver(self, sender: Watched, receiver: Identified | None, data: bytes) -> None:
        """No record of a group goes to a device that is not a member's, as its sender knows it."""
        for group in {signed.group for signed in records_in(data)}:
            self.checked["sent"] += 1
            with sender.store.snapshot() as snapshot:
                state = self._state(sender, snapshot, group)
            if receiver is None or not _is_members(state, receiver):
                raise Broken(f"{sender.name} sends records of {group} to {receiver}, no member")

    # --- At rest. -------------------------------------------------------------------------------

    def at_rest(self, devices: Iterable[Watched]) -> None:
        """Everything on every device, and nothing under way."""
        for device in devices:
            with device.store.snapshot() as snapshot:
                if snapshot.next_judging() is not None:
                    raise Broken(f"{device.name}: records are still to be judged")
                for row in snapshot.groups():
                    ids = {each.id for each in snapshot.read_slice(row.id, b"", None, _SLICE)}
                    self._check_records(device, snapshot, row.id, ids)
                    self._check_bounds(device, snapshot, row.id)
            queues = device.queues
            if any(queues):
                raise Broken(f"{device.name}: at rest, and {queues} under way")

    def _check_bounds_in_rotation(self, device: Watched, snapshot: Snapshot) -> None:
        """One group a turn: to count in a thousand would take longer than all else."""
        groups = snapshot.groups()
        if groups:
            turn = self._turns[device.name] = self._turns[device.name] + 1
            self._check_bounds(device, snapshot, groups[turn % len(groups)].id)

    def _check_bounds(self, device: Watched, snapshot: Snapshot, group: GroupId) -> None:
        self.checked["bounds"] += 1
        counts = snapshot.counts(group)
        most = {
            "held": (counts.held, limits.HELD_RECORDS_PER_GROUP),
            "pending": (counts.pending_statements, limits.PENDING_STATEMENTS_PER_GROUP),
            "refused": (sum(counts.refused.values()), limits.REFUSED_HASHES_PER_GROUP),
        }
        for what, (count, bound) in most.items():
            if count > bound:
                raise Broken(f"{device.name}: {count} {what} of {group}, over {bound}")

    def _state(self, device: Watched, snapshot: Snapshot, group: GroupId) -> GroupState:
        row = snapshot.group(group)
        if row is None:
            return GroupState.of(group)
        root, known = self._states.get((device.name, group), (b"", None))
        if known is None or root != row.statements_root:
            own = snapshot.statements(group)
            identities = snapshot.identities({signed.signer for signed in own})
            both = {signed.hash: signed for signed in (*own, *identities)}
            known = GroupState.of(group, sorted(both.values(), key=_order), known)
            self._states[device.name, group] = (row.statements_root, known)
        return known


def records_in(data: bytes) -> Iterator[Signed]:
    """The records, live or lost, that a message brings; statements are none."""
    message = decoded(data)
    if isinstance(message, Batch) and message.kind is not Kind.STATEMENTS:
        yield from _items(message)


def statements_in(data: bytes) -> Iterator[Signed]:
    """The statements that a message brings."""
    message = decoded(data)
    if isinstance(message, Batch) and message.kind is Kind.STATEMENTS:
        yield from _items(message)


def _items(batch: Batch) -> Iterator[Signed]:
    for body, signature in zip(batch.bodies, batch.signatures, strict=False):
        try:
            yield decode_untrusted_body(body, signature)
        except RemoteError:
            continue


def decoded(data: bytes) -> Message | None:
    """The message in some bytes; None where there is none."""
    try:
        return decode_untrusted(data)
    except RemoteError:
        return None


def _order(signed: Signed) -> tuple[int, bytes]:
    return signed.order


def _is_members(state: GroupState, who: Identified) -> bool:
    return state.role(who.user) is not None and state.is_active(who.user, who.device)


@lru_cache(maxsize=65_536)
def holds(check: Check) -> bool:
    """Whether a check holds; remembered, since all devices of a world make the very same ones."""
    return check.holds()

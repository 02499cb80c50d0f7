"""What a session may ask of this device, answered from the store within the current turn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from peerstack import limits
from peerstack.engine.joining import pending_joins
from peerstack.engine.kept_secrets import note_holder
from peerstack.engine.leases import Leases
from peerstack.engine.secrets import shared_secrets
from peerstack.engine.turn import Turn
from peerstack.errors import Reason
from peerstack.ids import DeviceId, GroupId, RecordId, UserId
from peerstack.keys import Hash, Secret
from peerstack.reconcile import Fingerprint, Item, MemorySet, OrderedSet, Span
from peerstack.reconcile.memory import hashed
from peerstack.record import Signed, decode_untrusted
from peerstack.session.replica import Roots, SharedSecret, Slice, Standing
from peerstack.session.wire import Kind
from peerstack.signaling.rendezvous import Link
from peerstack.store import key_of

Arrive = Callable[[Link, GroupId, Kind, Sequence[Signed], int], None]

_TIME_BYTES = 6


class TurnReplica:
    """See `peerstack.session.replica.Replica`."""

    def __init__(
        self, turn: Turn, link: Link, leases: Leases, arrive: Arrive, now: Callable[[], Turn]
    ) -> None:
        """`arrive` takes what the peer at `link` sent; `now` gives the turn of any later moment."""
        self._turn = turn
        self._leases = leases
        self._link = link
        self._arrive = arrive
        self._now = now

    def secrets(self) -> Sequence[SharedSecret]:
        """See `Replica`: this user's own group first."""
        return shared_secrets(self._turn)

    def standing(self, group: GroupId, user: UserId, device: DeviceId, key: bytes) -> Standing:
        """See `Replica`."""
        state, me = self._turn.state(group), self._turn.me.user
        if state.role(me.id) is None or not state.is_active(me.id, me.device):
            return Standing.HOST
        certified = state.certified(user, device)
        if certified is None or certified.key != key:
            return Standing.UNKNOWN
        active = state.is_active(user, device)
        if active and state.role(user) is not None:
            return Standing.MEMBER
        return Standing.PARTED if state.was_let_in(user) or not active else Standing.UNKNOWN

    def holds(self, group: GroupId, device: DeviceId, secrets: Collection[Secret]) -> None:
        """See `Replica`."""
        note_holder(self._turn, group, device, secrets)

    def agreed(self, group: GroupId) -> None:
        """See `Replica`."""
        self._turn.agreed_groups.add(group)

    def takes_lease(self, group: GroupId) -> bool:
        """See `Replica`."""
        return self._leases.take(group, self._link, self._turn.now)

    def roots(self, group: GroupId) -> Roots:
        """See `Replica`."""
        return self._turn.roots(group)

    def ordered(self, group: GroupId, kind: Kind) -> OrderedSet:
        """See `Replica`. The set is asked again at each question, since a run spans many turns."""
        if kind is Kind.RECORDS:
            # The store itself remembers it, until the next write.
            return _PresentSet(lambda: self._now().tx.record_set(group))
        return _PresentSet(_OncePerTurn(self._now, group, kind))

    def wanted(self, group: GroupId, kind: Kind, items: Sequence[Item]) -> Sequence[Item]:
        """See `Replica`."""
        if not items:
            return ()
        if kind is Kind.STATEMENTS:
            hashes = [item.key for item in items]
            here = self._turn.tx.statements_by_hash(hashes, settled=True)
            known_statements = {signed.hash for signed in here}
            return [item for item in items if item.key not in known_statements]
        if kind is Kind.CONFLICTS:
            known = self._turn.tx.known(group, [item.key for item in items])
            return [item for item in items if item.key not in known]
        heads = self._turn.tx.live_heads(group, [_id_of(item.key) for item in items])
        known = self._turn.tx.known(group, [item.digest for item in items])
        return [
            item
            for item in items
            if item.digest not in known
            and ((head := heads.get(_id_of(item.key))) is None or _order(item) > head.order)
        ]

    def excluded(self, group: GroupId, kind: Kind) -> Sequence[Hash]:
        """See `Replica`."""
        if kind is Kind.STATEMENTS:
            return ()  # What waits may be a forged copy.
        return self._turn.tx.known_aside(group, limits.EXCLUDED_HASHES)

    def sample(self, group: GroupId, rank: int) -> Sequence[Item]:
        """See `Replica`."""
        return self._turn.tx.neighbours(group, rank, limits.AUDIT_ITEMS)

    def has_set_aside(self, group: GroupId, kind: Kind) -> bool:
        """See `Replica`."""
        if kind is Kind.STATEMENTS:
            return self._turn.tx.has_pending(group)
        return self._turn.tx.has_set_aside(group)

    def read(self, group: GroupId, kind: Kind, keys: Sequence[bytes]) -> Sequence[Signed]:
        """See `Replica`."""
        if kind is Kind.RECORDS:
            live = self._turn.tx.live(group, list(dict.fromkeys(map(_id_of, keys))))
            return sorted(live.values(), key=lambda signed: signed.order)
        if kind is Kind.CONFLICTS:
            mine_here = set(self._turn.tx.unseen_hashes(group))
            return self._turn.tx.kept(key for key in keys if key in mine_here)
        here = self._turn.tx.statements_by_hash(keys, settled=True)
        mine = {signed.hash: signed for signed in here if self._turn.is_of(group, signed)}
        return [mine[Hash(key)] for key in keys if key in mine]

    def read_span(self, group: GroupId, kind: Kind, span: Span) -> Slice:
        """See `Replica`."""
        if kind is Kind.CONFLICTS:
            hashes = self._turn.tx.unseen_hashes(group)
            return Slice(self._turn.tx.kept(each for each in hashes if each in span), None)
        if kind is Kind.STATEMENTS:
            within = [each for each in self._turn.statements(group) if each.hash in span]
            return Slice(list(_introduced(within)), None)
        found = self._turn.tx.read_slice(group, span.lower, span.upper, limits.BATCH_RECORDS)
        if len(found) < limits.BATCH_RECORDS:
            return Slice(found, None)
        # The next possible key behind the last one: keys are bytes.
        behind = key_of(found[-1].modified, found[-1].id) + b"\0"
        return Slice(found, Span(behind, span.upper))

    def introduction(self, group: GroupId) -> Sequence[Signed]:
        """See `Replica`."""
        me = self._turn.me.user
        state = self._turn.state(group)
        if state.role(me.id) is not None:
            return self._introduced_by(state.vouching(me.id), me.id)
        # Those whom this device had let in, or who have not heard, are to know that it is in no
        # more: before that, they would take no join from it.
        chain = state.parting(me.id, sealed=False)
        pending = pending_joins(self._turn, [group]).get(group)
        if pending is not None:
            join = decode_untrusted(pending.body.encode(), bytes.fromhex(pending.signature))
            chain.append(join)
        return self._introduced_by(chain, me.id)

    def parting(self, group: GroupId, user: UserId, *, sealed: bool) -> Sequence[Signed]:
        """See `Replica`."""
        chain = self._turn.state(group).parting(user, sealed=sealed)
        return self._introduced_by(chain, user)

    def _introduced_by(self, chain: Sequence[Signed], user: UserId) -> Sequence[Signed]:
        """Some statements of a group, behind what says who a user and their signers are."""
        signers = {signed.signer for signed in chain} | {user}
        return [*self._turn.tx.identities(signers), *chain]

    def arrived(self, group: GroupId, kind: Kind, items: Sequence[Signed], number: int) -> None:
        """See `Replica`."""
        self._arrive(self._link, group, kind, items, number)

    def refused(self, reason: Reason) -> None:
        """See `Replica`."""
        self._turn.refused(reason)


class _PresentSet:
    """An `OrderedSet` that is looked up anew for each question."""

    def __init__(self, present: Callable[[], OrderedSet]) -> None:
        self._present = present

    def fingerprint(self, span: Span) -> Fingerprint:
        return self._present().fingerprint(span)

    def items(self, span: Span, limit: int) -> Sequence[Item]:
        return self._present().items(span, limit)

    def split(self, span: Span, parts: int) -> Sequence[tuple[Span, Fingerprint]]:
        return self._present().split(span, parts)


class _OncePerTurn:
    """A set of hashes, read and sorted once in each turn: a peer may ask thousands of questions."""

    def __init__(self, now: Callable[[], Turn], group: GroupId, kind: Kind) -> None:
        self._now = now
        self._group = group
        self._kind = kind
        self._read: tuple[Turn, OrderedSet] | None = None

    def __call__(self) -> OrderedSet:
        turn = self._now()
        if self._read is None or self._read[0] is not turn:
            self._read = (turn, _by_hash(self._hashes(turn)))
        return self._read[1]

    def _hashes(self, turn: Turn) -> Sequence[Hash]:
        if self._kind is Kind.STATEMENTS:
            return turn.tx.statement_hashes(self._group)
        return turn.tx.unseen_hashes(self._group)


def _by_hash(hashes: Sequence[Hash]) -> OrderedSet:
    return MemorySet((Item(each, b"") for each in hashes), hashed)


def _introduced(statements: Sequence[Signed]) -> Iterator[Signed]:
    """Statements in order of time, but each user's identity before all else that they signed.

    A receiver passes over identities of users who sign nothing that it has seen.
    """
    later: dict[UserId, list[Signed]] = {}
    for signed in statements:
        if signed.group == signed.signer:
            later.setdefault(signed.signer, []).append(signed)
    for signed in statements:
        if signed.group != signed.signer:
            yield from later.pop(signed.signer, ())
            yield signed
    for identity in later.values():
        yield from identity


def _id_of(key: bytes) -> RecordId:
    return RecordId(key[_TIME_BYTES:].decode("ascii", "replace"))


def _order(item: Item) -> tuple[int, bytes]:
    return int.from_bytes(item.key[:_TIME_BYTES], "big"), item.digest

"""One turn of the engine: a store transaction, its moment, and what it wants done afterwards.

Nothing that it caches outlives it, but for group states, which are checked against their roots, and
the secrets by which devices meet, which are let go of with whatever they were worked out from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from peerstack.engine.effects import Effect
from peerstack.engine.link_state import LinkState
from peerstack.errors import NotFound
from peerstack.groups.membership import GroupState
from peerstack.identity import User, is_identity_type
from peerstack.ids import DeviceId, GroupId, IdFactory
from peerstack.keys import Hash, Secret
from peerstack.ports import Entropy, Instant
from peerstack.reconcile.fingerprint import DIGEST_BYTES, Fingerprint, hashed_fingerprint
from peerstack.record import OWN_GROUP_TYPE, PROFILE_TYPE, SECRET_TYPE, Signed
from peerstack.session.replica import Roots, SharedSecret
from peerstack.store import GroupRow, Transaction

StateCache = dict[GroupId, tuple[bytes, GroupState]]


class Met(NamedTuple):
    """The secrets by which devices meet in one group, by their urgency."""

    worked_out_ms: int
    """When (Unix milliseconds): invites end as time goes by."""
    present: Sequence[SharedSecret]
    joining: Sequence[SharedSecret]
    invites: Sequence[SharedSecret]
    pairs: Sequence[SharedSecret]
    old: Sequence[SharedSecret]


@dataclass(slots=True)
class Self:
    """Who this device is, and what every turn shares."""

    user: User
    entropy: Entropy
    ids: IdFactory
    states: StateCache = field(default_factory=dict)
    """Checked against the statements' root at each use, so other processes may write."""
    pairs: dict[tuple[GroupId, DeviceId], Secret] = field(default_factory=dict, repr=False)
    """Secrets that this device shares with another one alone, as they were worked out."""
    met: dict[GroupId, Met] = field(default_factory=dict, repr=False)
    """Of each group that was not changed since; of none where another process may have written."""
    refusals: Counter[str] = field(default_factory=Counter)
    """What was refused since the start, by reason."""
    statements_added: int = 0
    """How often statements were added since the start: others may have waited for them."""
    links: LinkState = field(default_factory=LinkState)
    """How the linking of devices stands."""


class Turn:
    """What the parts of the engine work with while one event is handled."""

    def __init__(self, me: Self, tx: Transaction, now: Instant) -> None:
        self.me: Final = me
        self.tx: Final = tx
        self.now: Final = now
        self.effects: list[Effect] = []
        self.changed_statements: set[GroupId] = set()
        self.signed: set[Hash] = set()
        """Statements that this device has made."""
        self.awaited_elsewhere: dict[GroupId, set[str] | None] = {}
        """Groups whose waiting statements may have waited for what has come elsewhere; for what
        (as `rules.waits_for` says it), where that is known."""
        self.changed_records: set[GroupId] = set()
        self.news: list[tuple[GroupId, list[Signed]]] = []
        """Records that were written here, to be sent at once to who may have them."""
        self.secrets: Sequence[SharedSecret] | None = None
        """What `secrets.shared_secrets` found, until it changes."""
        self.secrets_changed = False
        """Whether devices meet by other secrets now."""
        self.untold_groups: set[GroupId] = set()
        """Groups of which the user's other devices may have to be told something."""
        self.heard_groups: set[GroupId] = set()
        """The same, of what came from elsewhere, so that other devices may tell of it as well."""
        self.changed_secrets: set[GroupId] = set()
        """Groups whose live secret is another than before, and not by this device."""
        self.own_groups_changed = False
        """Whether other devices of the user told of groups."""
        self.agreed_groups: set[GroupId] = set()
        """Groups of which a peer has shown the same as is here."""
        self.held_anything = False
        """Whether a record was held until a time comes."""
        self._rows: dict[GroupId, GroupRow | None] = {}
        self._groups: Sequence[GroupId] | None = None
        self._superseded: dict[GroupId, tuple[bytes, GroupState]] = {}

    def row(self, group: GroupId) -> GroupRow | None:
        """The group's row, read once until something of the group changes in this turn."""
        if group not in self._rows:
            self._rows[group] = self.tx.group(group)
        return self._rows[group]

    def groups(self) -> Sequence[GroupId]:
        """Every group on this device, in the order of ids; read once until one comes or goes."""
        if self._groups is None:
            rows = self.tx.groups()
            self._rows.update((row.id, row) for row in rows)
            self._groups = [row.id for row in rows]
        return self._groups

    def add_group(self, group: GroupId, joined_ms: int) -> None:
        """Make room for a group; without effect where it is there."""
        self.tx.add_group(group, joined_ms)
        self._groups = None
        self._rows.pop(group, None)

    def roots(self, group: GroupId) -> Roots:
        """Where this device stands in a group; the roots of nothing for an unknown one."""
        row = self.row(group)
        if row is None:
            nothing = Fingerprint(0, b"\0" * DIGEST_BYTES)
            return Roots(nothing, nothing)
        statements = Fingerprint(row.statements_count, row.statements_root[:DIGEST_BYTES])
        conflicts = hashed_fingerprint(self.tx.unseen_hashes(group))
        return Roots(statements, row.root, conflicts)

    def state(self, group: GroupId) -> GroupState:
        """What the admitted statements of a group say; empty for an unknown group."""
        row = self.row(group)
        if row is None:
            return GroupState.of(group)
        cached = self.me.states.get(group)
        if cached is None or cached[0] != row.statements_root:
            if cached is not None:
                self._superseded.setdefault(group, cached)
            known = cached[1] if cached else None
            state = GroupState.of(group, self.statements(group), known)
            cached = self.me.states[group] = (row.statements_root, state)
        return cached[1]

    def changed_states(self) -> Iterator[tuple[GroupState, GroupState]]:
        """Of each group whose statements have changed in this turn: what they said, and now say.

        Whoever added them, and though they be of a user who is in the group rather than its own.
        """
        for group, root in list(self.tx.roots_before.items()):
            # Whoever added a statement of a user's need not know in which groups it counts.
            self._rows.pop(group, None)
            after = self.state(group)
            yield self._before(group, root, after), after

    def state_before(self, group: GroupId) -> GroupState:
        """What the statements of a group said before this turn."""
        after, root = self.state(group), self.tx.roots_before.get(group)
        return after if root is None else self._before(group, root, after)

    def _before(self, group: GroupId, root: bytes, after: GroupState) -> GroupState:
        known = (self._superseded.get(group), self.me.states.get(group))
        before = next((each for at, each in filter(None, known) if at == root), None)
        return before or self._read_before(group, after)

    def _read_before(self, group: GroupId, known: GroupState) -> GroupState:
        fresh = self.tx.counting_now
        earlier = (each for each in self.statements(group) if each.hash not in fresh)
        return GroupState.of(group, earlier, known)

    def statements(self, group: GroupId) -> list[Signed]:
        """The group's statements and the identities of all who signed them, in order of time."""
        own = self.tx.statements(group)
        identities = self.tx.identities({signed.signer for signed in own})
        both = {signed.hash: signed for signed in (*own, *identities)}
        return sorted(both.values(), key=lambda signed: signed.order)

    def is_of(self, group: GroupId, signed: Signed) -> bool:
        """Whether a statement belongs to a group: its own, or one that says who its signers are."""
        if signed.group == group:
            return True
        return is_identity_type(signed.type) and signed.signer in self.state(group).identities

    def own_state(self, group: GroupId) -> GroupState:
        """As `state`, for a group that this device is in. Raises `NotFound` for another."""
        state = self.state(group)
        if state.role(self.me.user.id) is None:
            raise NotFound(f"no group {group} on this device; `groups` lists those that are")
        return state

    def forget_group(self, group: GroupId) -> None:
        """A group is gone from the store."""
        self._groups = None
        self._rows.pop(group, None)
        self.me.states.pop(group, None)
        self.meet_anew(group)

    @property
    def is_revoked(self) -> bool:
        """Whether this device is known to be revoked, or not to have been kept by a recovery."""
        user = self.me.user
        state = self.state(user.id)
        known = state.certified(user.id, user.device) is not None
        return known and not state.is_active(user.id, user.device)

    def is_unkept(self, device: DeviceId) -> bool:
        """Whether a device of this user was not kept by a recovery: it may still be."""
        user = self.me.user.id
        state = self.state(user)
        return state.certified(user, device) is not None and state.device(user, device) is None

    def statements_changed(self, group: GroupId) -> None:
        """Statements of a group were added."""
        self.me.statements_added += 1
        self._rows.pop(group, None)
        self.changed_statements.add(group)
        self.heard_groups.add(group)
        self.meet_anew(group)

    def identities_changed(self, group: GroupId, awaited: Collection[str] | None = None) -> None:
        """Statements that say who somebody in a group is were added, maybe under another group.

        `awaited`: as in `awaited_elsewhere`.
        """
        self.statements_changed(group)
        self.came_elsewhere(group, awaited)

    def came_elsewhere(self, group: GroupId, awaited: Collection[str] | None) -> None:
        """Statements of a group may have waited for what has come; for which of it, or for any."""
        known = self.awaited_elsewhere.setdefault(group, set())
        if awaited is None or known is None:
            self.awaited_elsewhere[group] = None
        else:
            known.update(awaited)

    def reserved_changed(self, group: GroupId, types: Collection[str], *, by_me: bool) -> None:
        """Other versions than before are live of records of these types, some maybe reserved.

        `by_me`: this device has just written them.
        """
        if SECRET_TYPE in types:
            self.meet_anew(group)
            if not by_me:
                self.changed_secrets.add(group)
        if SECRET_TYPE in types or PROFILE_TYPE in types:
            (self.untold_groups if by_me else self.heard_groups).add(group)
        if OWN_GROUP_TYPE in types and group == self.me.user.id:
            self.own_groups_changed = True

    def records_changed(self, group: GroupId) -> None:
        """Records of a group were added or replaced."""
        self._rows.pop(group, None)
        self.changed_records.add(group)

    def meet_anew(self, *groups: GroupId) -> None:
        """The secrets by which devices meet may have changed: those of these groups, and others."""
        for group in groups:
            self.me.met.pop(group, None)
        self.secrets_changed = True
        self.secrets = None

    def refused(self, reason: str, count: int = 1) -> None:
        """Count what was refused."""
        if count:
            self.me.refusals[reason] += count

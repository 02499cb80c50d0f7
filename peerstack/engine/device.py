"""One device: events in, effects out. Holds no sockets and no clocks.

Each event is handled in one store transaction; effects are returned after its commit, so a crash
loses messages, never promises. Connections live in memory alone: where a turn fails, all of them
are hung up, since what they were told may not be true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

from peerstack import limits
from peerstack.engine import (
    ending,
    ends,
    enrolling,
    farewells,
    joining,
    judging,
    link_messages,
    linking,
    own_groups,
    parting,
    records,
    sealing,
    statements,
)
from peerstack.engine.arrivals import Arrival, Arrivals, UnderWay
from peerstack.engine.effects import (
    Changed,
    Effect,
    GroupsChanged,
    Hangup,
    JoinRefused,
    Send,
    StatusChanged,
)
from peerstack.engine.events import (
    Event,
    PeerConnected,
    PeerGone,
    PeerSent,
    StoreChanged,
    Verified,
    Woke,
)
from peerstack.engine.leases import Leases
from peerstack.engine.levels import Levels
from peerstack.engine.meeting import Meeting
from peerstack.engine.reached import Marking
from peerstack.engine.records import RecordsArrival
from peerstack.engine.replica import TurnReplica
from peerstack.engine.status import Queues
from peerstack.engine.turn import Self, Turn
from peerstack.engine.upkeep import Upkeep
from peerstack.errors import Reason, RemoteError
from peerstack.identity import User
from peerstack.ids import DeviceId, GroupId, IdFactory
from peerstack.keys import PublicKey
from peerstack.ports import Entropy, Instant
from peerstack.record import Signed
from peerstack.session.handshake import Me
from peerstack.session.peer import Peer
from peerstack.session.replica import Standing
from peerstack.session.wire import Kind
from peerstack.signaling.rendezvous import Abandon, Link
from peerstack.store import Sender, Store

T = TypeVar("T")

_REFRESH_MS: Final = 50
"""How long after a change others are shown where this device stands: a burst is shown once."""

_PASS_ON_MS: Final = 500
"""How long others have to show that they have heard of an end too, before it is passed on."""

_RETRY_MS: Final = 10_000
"""When the device goes on with what waits after a turn that failed."""


class Engine:
    """One device of one user, over one open store."""

    def __init__(self, store: Store, user: User, entropy: Entropy) -> None:
        self.peers: dict[Link, Peer] = {}
        self._store = store
        self._me = Self(user, entropy, IdFactory(entropy))
        self._meeting = Meeting(user, entropy)
        self._turn: Turn | None = None
        self._arrivals = Arrivals()
        self._refresh_at: dict[GroupId, int] = {}
        self._tell_at: dict[GroupId, int] = {}
        """When to tell the user's other devices of what was heard of a group."""
        self._pass_on_at: dict[GroupId, int] = {}
        """When to tell peers of ends that were heard of, unless they show that they have heard."""
        self._upkeep = Upkeep()
        self._leases = Leases()
        self._marking = Marking(self.peers)
        self.levels: Final = Levels(self.peers)
        self._look_at_ms: int | None = None
        """When to take up anew whatever waits in the store, after a turn that failed."""
        self._unsealed: set[GroupId] = set()
        """Groups with ends that this device may still have to seal."""
        self._followed: dict[GroupId, bytes] = {}
        """The root of each group's statements when it was last seen to what they bring about."""

    def start(self, now: Instant) -> list[Effect]:
        """Begin to meet others. Until then, nothing is announced and no timer is set."""
        return self.perform(self._start, now)[1]

    def _start(self, turn: Turn) -> None:
        enrolling.resume(turn)
        self._upkeep.sweep_at(turn.now.mono_ms)
        self._take_up(turn)

    def _take_up(self, turn: Turn) -> None:
        """Go on with whatever waits in the store, whoever has begun it."""
        self._me.met.clear()
        turn.meet_anew()
        turn.untold_groups.update(turn.groups())
        for group in turn.groups():
            turn.identities_changed(group)
            judging.queue_waiting(turn, group)
        self._upkeep.take_up(turn)

    @property
    def me(self) -> Self:
        """Who this device is, and what it has refused."""
        return self._me

    # --- From outside. --------------------------------------------------------------------------

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """Take in what happened, in one transaction. Raises `StoreError`: then `abandon_peers`."""
        return self.perform(lambda turn: self._dispatch(turn, event), now)[1]

    def perform(self, action: Callable[[Turn], T], now: Instant) -> tuple[T, list[Effect]]:
        """Do something on this device, in one transaction; its result, and the effects.

        Raises what `action` raises (nothing is then stored) and `StoreError`.
        """
        put_back = self._me.links.snapshot()
        try:
            with self._store.transaction() as tx:
                turn = self._turn = Turn(self._me, tx, now)
                result = action(turn)
                self._follow_up(turn)
                effects = [*turn.effects, *self._outgoing(now)]
        except BaseException:
            # What was noted of links in memory is not so: nothing of it is stored.
            put_back()
            self._me.met.clear()
            raise
        finally:
            self._turn = None
        return result, effects

    def abandon_peers(self, now: Instant) -> list[Effect]:
        """Hang up on everyone: what they were told may not have been stored."""
        effects: list[Effect] = []
        # What the turn that failed had done is not done, and waits in the store once more.
        self._look_at_ms = now.mono_ms + _RETRY_MS
        self._upkeep.pause(self._look_at_ms)
        for link in list(self.peers):
            self._forget(link)
            effects += [Hangup(link, "the database failed"), *self._meeting.forget(link, now)]
        return effects

    def next_wake_ms(self, now: Instant) -> int | None:
        """When (monotonic) to hand in `Woke`, if nothing happens before; None for never."""
        # Asked behind every turn: one list costs less than many small steps.
        times: list[int | None] = [
            *self._soon_ms(),
            *[now.mono_ms for peer in self.peers.values() if peer.wants_another_turn],
            self._upkeep.next_wake_ms(now),
            self._look_at_ms,
            self._meeting.next_wake_ms,
            self._marking.next_wake_ms,
            linking.next_wake_ms(self._me.links),
        ]
        return min([time for time in times if time is not None], default=None)

    def _soon_ms(self) -> list[int | None]:
        """When something is to be said to peers, or they are waited for no longer."""
        return [
            *self._refresh_at.values(),
            *self._tell_at.values(),
            *self._pass_on_at.values(),
            *[peer.deadline_ms() for peer in self.peers.values()],
            self._leases.next_wake_ms,
        ]

    # --- Events. --------------------------------------------------------------------------------

    def _dispatch(self, turn: Turn, event: Event) -> None:
        match event:
            case PeerConnected():
                self._connected(turn, event)
            case PeerSent(link=link, data=data):
                self._received(turn, link, data)
            case PeerGone(link=link):
                self._gone(turn, link)
            case Verified():
                self._verified(turn, event)
            case StoreChanged():
                self._store_changed(turn)
            case Woke():
                self._woke(turn)
            case _:
                self._meeting.handle(turn, event)

    def _connected(self, turn: Turn, event: PeerConnected) -> None:
        user = self._me.user
        self.peers[event.link] = Peer(
            Me(user.id, user.device, user.device_key),
            dialled=event.dialled,
            binding=event.binding,
            entropy=self._me.entropy,
            now=turn.now,
        )
        self._meeting.connected(turn, event.link)
        turn.effects.append(StatusChanged())

    def _received(self, turn: Turn, link: Link, data: bytes) -> None:
        peer = self.peers.get(link)
        if peer is None:
            return
        known = peer.authenticated
        try:
            peer.receive_untrusted(data, self._replica(turn, link), turn.now)
            if known is None and peer.authenticated is not None:
                self._meeting.check_untrusted(link, peer.authenticated)
            link_messages.received_untrusted(turn, link, peer)
        except RemoteError as error:
            self._hang_up(turn, link, error)
            return
        for group, reason in peer.take_refused_joins():
            turn.effects.append(JoinRefused(group, reason))
        turn.effects.append(StatusChanged())
        # Whatever it is to be shown of why, it has been shown.
        over = farewells.why_over(turn, peer) if peer.idle else None
        if over is not None:
            self._hang_up(turn, link, over)

    def _hang_up(self, turn: Turn, link: Link, error: RemoteError) -> None:
        turn.refused(error.reason)
        turn.effects.append(Hangup(link, str(error)))
        self._gone(turn, link)

    def _gone(self, turn: Turn, link: Link) -> None:
        peer = self.peers.get(link)
        parted = False
        if peer is not None:
            self.levels.note_leaving(turn, peer)
            parted = farewells.has_parted(turn, peer)
        self._forget(link)
        self._meeting.ended(turn, link, parted=parted)
        turn.effects.append(StatusChanged())

    def _forget(self, link: Link) -> None:
        """Let go of a connection; what it sent and is being checked is still taken in."""
        link_messages.gone(self._me.links, link)
        if self.peers.pop(link, None) is not None:
            self._arrivals.forget(link)

    def _woke(self, turn: Turn) -> None:
        for link, peer in list(self.peers.items()):
            deadline = peer.deadline_ms()
            if deadline is not None and deadline <= turn.now.mono_ms:
                self._hang_up(turn, link, RemoteError(Reason.TIMEOUT, "the peer fell silent"))
            elif peer.wants_another_turn:
                peer.pump(self._replica(turn, link))
        for group in _take_due(self._refresh_at, turn.now):
            for link, peer in self.peers.items():
                peer.refresh(group, self._replica(turn, link))
        for group in _take_due(self._pass_on_at, turn.now):
            for peer in self.peers.values():
                peer.pass_on(group)
        turn.untold_groups.update(_take_due(self._tell_at, turn.now))
        self._meeting.wake(turn)
        linking.wake(turn)
        self._marking.wake(turn)
        if self._look_at_ms is not None and self._look_at_ms <= turn.now.mono_ms:
            self._look_at_ms = None
            self._take_up(turn)
        released = self._upkeep.wake(turn)
        if released is not None:
            self._check(turn, None, 0, released)

    def _store_changed(self, turn: Turn) -> None:
        """Another process wrote: tell the app, and show peers where that is news to them."""
        turn.effects.extend([Changed(), GroupsChanged()])
        self._me.met.clear()
        turn.meet_anew()
        for group in turn.groups():
            self._refresh_at.setdefault(group, turn.now.mono_ms)
            row = turn.row(group)
            if row is not None and self._followed.get(group) != row.statements_root:
                turn.identities_changed(group)
                judging.queue_waiting(turn, group)
        self._upkeep.take_up(turn)

    # --- What peers send, on its way in. --------------------------------------------------------

    def _replica(self, turn: Turn, link: Link) -> TurnReplica:
        return TurnReplica(turn, link, self._leases, self._arrived, self._present_turn)

    def _present_turn(self) -> Turn:
        assert self._turn is not None
        return self._turn

    def _arrived(
        self, link: Link, group: GroupId, kind: Kind, items: Sequence[Signed], number: int
    ) -> None:
        turn = self._present_turn()
        self._arrivals.check_room_untrusted(self._key_of(link))
        arrival: Arrival | None
        if kind is Kind.STATEMENTS:
            parting.note_told(turn, group, items)
            arrival = statements.receive(turn, group, items, self._sender(link, group))
            if arrival is None:
                # A join that was here already, from a connection that broke or by another device.
                self._let_in(turn, group, link)
        else:
            level = self.peers[link].channels[group].statements_level
            origin = self._origin(link)
            arrival = records.receive(turn, group, items, origin, statements_level=level)
        self._check(turn, link, number, arrival, self._key_of(link))

    def _origin(self, link: Link) -> DeviceId:
        authenticated = self.peers[link].authenticated
        assert authenticated is not None
        return authenticated.device

    def _key_of(self, link: Link) -> PublicKey:
        authenticated = self.peers[link].authenticated
        assert authenticated is not None
        return authenticated.key

    def _sender(self, link: Link, group: GroupId) -> Sender:
        peer = self.peers[link]
        assert peer.authenticated is not None
        if peer.channels[group].standing is Standing.MEMBER:
            return Sender(peer.authenticated.device, True)
        return Sender(peer.authenticated.key.hex(), False)

    def _check(
        self,
        turn: Turn,
        link: Link | None,
        number: int,
        arrival: Arrival | None,
        key: PublicKey | None = None,
    ) -> None:
        """Have checks made; with none to make, the batch is dealt with."""
        if arrival is None or not arrival.checks:
            self._settle(turn, link, number)
            return
        self._arrivals.begin(turn, UnderWay(link, number, arrival, key))

    def _verified(self, turn: Turn, event: Verified) -> None:
        link, number, arrival, key = self._arrivals.end(event.ticket)
        if isinstance(arrival, RecordsArrival):
            records.admit(turn, arrival, event.holds)
            self._settle(turn, link, number)
            return
        following = statements.verified(turn, arrival, event.holds)
        if following is not None:
            self._check(turn, link, number, following, key)
            return
        self._let_in(turn, arrival.group, link)
        self._settle(turn, link, number)

    def _settle(self, turn: Turn, link: Link | None, number: int) -> None:
        if link is not None and link in self.peers:
            # Others see the change first, so that what is said about it is true.
            self._rejudge_changed(turn)
            self._leases.renew(link, turn.now)
            self.peers[link].settled(number, self._replica(turn, link))
        turn.effects.append(StatusChanged())

    def _let_in(self, turn: Turn, group: GroupId, asking: Link | None) -> None:
        """Admit who is connected and has shown a join; `asking` is told where that cannot be.

        Others than who has just sent statements, too: their joins may have waited for these.
        """
        for link, peer in self.peers.items():
            newcomer = peer.authenticated if group in peer.channels else None
            if newcomer is not None:
                reason = joining.let_in(turn, group, newcomer.user, newcomer.device)
                if reason is not None and link == asking:
                    turn.refused(reason)
                    peer.refuse_join(group, reason)

    # --- What follows from what happened. -------------------------------------------------------

    def _follow_up(self, turn: Turn) -> None:
        """All that a turn's changes bring about, before it is committed."""
        self._seal(turn)
        self._rejudge_changed(turn)
        ending.renew_secrets(turn)
        link_messages.follow(turn, self.peers)
        self._meet_anew(turn)
        self._upkeep.follow(turn)
        for group, waiting in self._leases.pass_on(turn.now, self.levels.is_brought):
            self._resume(turn, group, waiting)
        self._marking.follow(turn)
        for group in ends.tell(turn, self.peers.values()):
            self._pass_on_at.setdefault(group, turn.now.mono_ms + _PASS_ON_MS)
        for group, items in turn.news:
            self._push(group, items)
        for group in sorted(turn.heard_groups):
            self._tell_at.setdefault(group, turn.now.mono_ms + own_groups.delay_ms(turn))
        for group in sorted(turn.changed_records):
            self._refresh_at.setdefault(group, turn.now.mono_ms + _REFRESH_MS)
        for effect in turn.effects:
            if isinstance(effect, Abandon):
                self._forget(effect.link)

    def _resume(self, turn: Turn, group: GroupId, waiting: Sequence[Link]) -> None:
        """A peer that was bringing a group level is done: whoever waited for that goes on."""
        for link in waiting:
            if link not in self.peers:
                continue
            try:
                self.peers[link].resume(group, self._replica(turn, link))
            except RemoteError as error:
                self._hang_up(turn, link, error)

    def _rejudge_changed(self, turn: Turn) -> None:
        """Statements changed: joins may be complete, peers members, waiting records admissible."""
        while turn.changed_statements:
            groups, turn.changed_statements = turn.changed_statements, set()
            turn.effects.append(GroupsChanged())
            for group in sorted(groups):
                self._refresh_at.setdefault(group, turn.now.mono_ms + _REFRESH_MS)
                sealing.hear_of_ends(turn, group)
                self._unsealed.add(group)
                for link, peer in self.peers.items():
                    peer.rejudge(group, self._replica(turn, link))
                self._note_followed(turn, group)
            self._meeting.look_again(turn)
            self._look_again(turn)
            self._seal(turn)

    def _note_followed(self, turn: Turn, group: GroupId) -> None:
        row = turn.row(group)
        if row is not None:
            self._followed[group] = row.statements_root

    def _look_again(self, turn: Turn) -> None:
        come, turn.awaited_elsewhere = turn.awaited_elsewhere, {}
        for group, awaited in sorted(come.items()):
            self._check(turn, None, 0, statements.waiting(turn, group, awaited))

    def _seal(self, turn: Turn) -> None:
        """Seal the ends that this device has heard of; some wait until the group is level."""
        for group in sorted(self._unsealed):
            if sealing.write_seals(turn, group, partial(self.levels.is_level, turn, group)):
                self._unsealed.discard(group)

    def _meet_anew(self, turn: Turn) -> None:
        """Follow up on groups and secrets, for as long as that brings about anything more."""
        while turn.secrets_changed or turn.own_groups_changed or turn.untold_groups:
            turn.secrets_changed = False
            own_groups.follow(turn)
            joining.settle_joins(turn)
            self._rejudge_changed(turn)
            self._meeting.set_secrets(turn)
            for link, peer in self.peers.items():
                peer.offer_groups(self._replica(turn, link))

    def _push(self, group: GroupId, items: Sequence[Signed]) -> None:
        if len(items) > limits.BATCH_RECORDS:
            return
        for peer in self.peers.values():
            peer.push(group, items)

    def _outgoing(self, now: Instant) -> Iterator[Effect]:
        for link, peer in self.peers.items():
            for data in peer.take_outgoing(now):
                yield Send(link, data)

    # --- How things stand. ----------------------------------------------------------------------

    def refusals(self) -> dict[str, int]:
        """What peers and servers sent since the start that was refused, by reason."""
        return {**self._meeting.refused, **self._me.refusals}

    @property
    def queues(self) -> Queues:
        """What is under way with peers."""
        peers = self.peers.values()
        return Queues(
            self._arrivals.most_of_one,
            max((peer.unacknowledged for peer in peers), default=0),
            max((peer.unanswered for peer in peers), default=0),
            sum(time is not None for time in self._soon_ms()),
        )


def _take_due(times: dict[GroupId, int], now: Instant) -> list[GroupId]:
    """The groups whose time has come, which is then over."""
    due = [group for group, at_ms in times.items() if at_ms <= now.mono_ms]
    for group in due:
        del times[group]
    return due

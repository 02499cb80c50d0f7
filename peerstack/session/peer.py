"""One authenticated peer: recognise common groups, serve what is asked for, keep a window.

Messages in, messages out; time is an argument. What it needs of this device, it asks a `Replica`.
Anything that a peer may not say raises `RemoteError`, and the connection ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ids import GroupId
from peerstack.keys import Secret
from peerstack.ports import Entropy, Instant
from peerstack.reconcile import Fingerprint
from peerstack.record import Signed, decode_untrusted
from peerstack.session.batches import Packed, packed
from peerstack.session.channel import Channel, State
from peerstack.session.handshake import Authenticated, Handshake, Me
from peerstack.session.naming import Naming
from peerstack.session.replica import Replica, SecretKind, Standing
from peerstack.session.serving import Serving
from peerstack.session.wire import (
    Ack,
    Batch,
    Compared,
    Groups,
    Kind,
    Level,
    LinkMessage,
    Message,
    Ranges,
    Refused,
    Served,
    Unproven,
    Want,
    encode,
)
from peerstack.session.wire import decode_untrusted as decode_untrusted_message

_REASONS: Final = frozenset(reason.value for reason in Reason)
_UNKNOWN_REASON: Final = "unknown"
"""What is said of a reason that only a newer version knows, or that somebody made up."""

_SLICES_PER_TURN: Final = 2
"""Batches that one turn reads and packs, so that it takes no more than about 20 ms."""


class Progress(NamedTuple):
    """How far one group is with one peer."""

    group: GroupId
    state: State
    received: int
    """Records that came on this connection and are dealt with; never more than `wanted`."""
    wanted: int
    sent: int
    owed: int
    """What the peer has asked for, those sent included (of gaps, the count when it asked)."""


class Peer:
    """One connection to another device, from the first hello to the last batch."""

    def __init__(
        self, me: Me, *, dialled: bool, binding: bytes, entropy: Entropy, now: Instant
    ) -> None:
        self.authenticated: Authenticated | None = None
        self.channels: dict[GroupId, Channel] = {}
        self.received_bytes = 0
        self.sent_bytes = 0
        self.sent_messages = 0
        self.received_messages = 0
        self._me = me
        # Its pipe opens first, so it has the other's level before it could show its own.
        self._leads = not dialled
        self._handshake = Handshake(me, dialled=dialled, binding=binding, entropy=entropy)
        self._out: list[bytes] = []
        self._refused_joins: list[tuple[GroupId, str]] = []
        self._link_messages: list[LinkMessage] = []
        self._naming: Naming | None = None
        self._by_theirs: dict[int, Channel] = {}
        self._servings: deque[Serving] = deque()
        self._next_number = 0
        self._unacked: dict[int, tuple[Channel, int]] = {}
        self._arriving: dict[int, Channel] = {}
        self._sent: dict[GroupId, int] = {}
        self._owed: dict[GroupId, int] = {}
        self._heard_ms = self._opened_ms = now.mono_ms
        self._waiting_since_ms: int | None = None
        """Since when the peer owes something and has given nothing of what it owes."""
        self._has_given = False
        self._post(self._handshake.open())

    # --- For the engine. ------------------------------------------------------------------------

    def take_outgoing(self, now: Instant) -> list[bytes]:
        """The messages to send, in order; each is returned once. To be asked after every turn."""
        waiting = bool(self._unacked) or any(channel.waits for channel in self.channels.values())
        given, self._has_given = self._has_given, False
        if not waiting:
            self._waiting_since_ms = None
        elif self._waiting_since_ms is None or given:
            # Not since it was heard last: an idle peer has all its time for the next answer.
            self._waiting_since_ms = now.mono_ms
        outgoing, self._out = self._out, []
        return outgoing

    def take_refused_joins(self) -> list[tuple[GroupId, str]]:
        """Groups that the peer did not let this device into, with the reasons' names; once.

        By its own word: whoever has the link can say so.
        """
        refused, self._refused_joins = self._refused_joins, []
        return refused

    def take_link_messages(self) -> list[LinkMessage]:
        """What the peer has said about the linking of a device; once."""
        messages, self._link_messages = self._link_messages, []
        return messages

    def say(self, message: LinkMessage) -> None:
        """Say something about the linking of a device."""
        self._say(message)

    def receive_untrusted(self, data: bytes, replica: Replica, now: Instant) -> None:
        """Take the next message of the peer. Raises `RemoteError`: then the connection must end."""
        self.received_bytes += len(data)
        self.received_messages += 1
        self._heard_ms = now.mono_ms
        if self.authenticated is None:
            answers, self.authenticated = self._handshake.receive_untrusted(data, now)
            for answer in answers:
                self._post(answer)
            if self.authenticated is not None:
                self.offer_groups(replica)
            return
        self._dispatch_untrusted(decode_untrusted_message(data), replica)
        self.pump(replica)

    def offer_groups(self, replica: Replica) -> None:
        """Tell the peer, blinded, of the groups (and secrets) that it has not been told of yet."""
        if self.authenticated is None:
            return
        first = self._naming is None
        naming = self._naming = self._naming or Naming(self._me.device, self.authenticated)
        secrets = replica.secrets()
        if first or naming.has_news(secrets):
            tags = naming.name(secrets)
            if tags or first:
                self._say(Groups(tuple(tags)))
            self._match(naming, replica)
        self.pump(replica)

    def rejudge(self, group: GroupId, replica: Replica) -> None:
        """The statements of a group have changed: what do they say of this peer now?"""
        self.offer_groups(replica)
        channel = self.channels.get(group)
        if channel is not None and self._naming is not None:
            self._judge(channel, self._naming, replica)
            self.pump(replica)

    def refresh(self, group: GroupId, replica: Replica) -> None:
        """The records of a group have changed a moment ago: show it where that is news."""
        channel = self.channels.get(group)
        if channel is not None:
            channel.refresh(replica)
            self.pump(replica)

    def resume(self, group: GroupId, replica: Replica) -> None:
        """Another peer that was bringing a group level is done: this one may, if it waits.

        Raises `RemoteError`, as `receive_untrusted` does.
        """
        channel = self.channels.get(group)
        if channel is not None:
            channel.resume(replica)
            self.pump(replica)

    def push(self, group: GroupId, items: Sequence[Signed]) -> None:
        """Send news at once, where the peer may have it; with a full window, levels will tell."""
        channel = self._member(group)
        if channel is not None:
            self._send_news(channel, Kind.RECORDS, items)

    def tell(
        self, group: GroupId, own: Sequence[Signed], heard: Sequence[Signed], stand: Fingerprint
    ) -> None:
        """Tell a member of statements that this device signed, at once; or levels will, as of news.

        What it has `heard` is for `pass_on`, if the peer had all else and does not show that it has
        come to `stand` where this device does with them: it may hear of them by others too.
        """
        channel = self._member(group)
        if channel is None:
            return
        if heard and channel.statements_level:
            channel.introduction.hold(heard, stand)
        self._tell_now(channel, own)

    def pass_on(self, group: GroupId) -> None:
        """Tell a member what this device has heard, if it has not shown meanwhile that it has too.

        What is more than a message, levels tell: whoever sent it might have all pass on anything.
        """
        channel = self._member(group)
        if channel is None:
            return
        held = channel.introduction.take_held()
        size_bytes = sum(len(each.body) + len(each.signature) for each in held)
        if size_bytes <= limits.MESSAGE_BYTES:
            self._tell_now(channel, held)

    def _member(self, group: GroupId) -> Channel | None:
        channel = self.channels.get(group)
        return channel if channel and channel.standing is Standing.MEMBER else None

    def _tell_now(self, channel: Channel, statements: Sequence[Signed]) -> None:
        news = channel.introduction.untold(statements)
        if self._send_news(channel, Kind.STATEMENTS, news):
            channel.introduction.note_told(news)

    def _send_news(self, channel: Channel, kind: Kind, items: Sequence[Signed]) -> bool:
        """Send items, if the window has room for all of them; whether it had."""
        batches = list(islice(self._packed(channel, kind, items), self._room + 1))
        if len(batches) > self._room:
            return False
        self._send_batches(channel, kind, batches)
        return True

    def refuse_join(self, group: GroupId, reason: Reason) -> None:
        """Tell a newcomer why it is not let in."""
        channel = self.channels.get(group)
        if channel is not None:
            self._say(Refused(channel.mine, reason.value))

    def settled(self, number: int, replica: Replica) -> None:
        """A batch that `Replica.arrived` took is dealt with and committed."""
        channel = self._arriving.pop(number)
        # As long as we are behind, it may have to wait for us.
        self._has_given = self._has_given or channel.is_served
        self._say(Ack(number))
        channel.settled(number, replica)
        self.pump(replica)

    def pump(self, replica: Replica) -> None:
        """Say what is due, and send what was asked for while the window is open."""
        for channel in self.channels.values():
            if channel.has_word:
                self._part(channel, replica)
                self._flush(channel)
        for _ in range(_SLICES_PER_TURN):
            if not self._may_serve:
                break
            self._serve(self._servings[0], replica)

    @property
    def wants_another_turn(self) -> bool:
        """Whether `pump` stopped only to let others have a turn."""
        return self._may_serve

    @property
    def unacknowledged(self) -> int:
        """Batches that were sent, and of which the peer has not said that they are dealt with."""
        return len(self._unacked)

    @property
    def unanswered(self) -> int:
        """What the peer has asked for and not been sent all of."""
        return len(self._servings)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way in either direction."""
        return not (self._servings or self._unacked or self._arriving) and not any(
            channel.busy for channel in self.channels.values()
        )

    @property
    def has_parted(self) -> bool:
        """Whether the peer is in none of our groups any more, and does not ask to be."""
        return bool(self.channels) and all(
            channel.standing is Standing.PARTED
            and max(self.common(group).values()) < SecretKind.INVITE
            for group, channel in self.channels.items()
        )

    def deadline_ms(self) -> int | None:
        """When (monotonic) to hang up on a peer that gives nothing more of what it owes.

        Earlier if it says nothing at all; None if it owes nothing.
        """
        if self.authenticated is None:
            return self._opened_ms + limits.HANDSHAKE_MS
        if self._waiting_since_ms is None:
            return None
        silent_ms = max(self._heard_ms, self._waiting_since_ms) + limits.ANSWER_MS
        return min(silent_ms, self._waiting_since_ms + limits.OWED_MS)

    def progress(self) -> Iterator[Progress]:
        """How far each group is with this peer."""
        for group, channel in self.channels.items():
            unacked = sum(count for owner, count in self._unacked.values() if owner is channel)
            sent = self._sent.get(group, 0) - unacked
            yield Progress(
                group,
                channel.state,
                channel.stored_items,
                channel.wanted_items,
                sent,
                max(self._owed.get(group, 0), sent),
            )

    # --- Recognising common groups. -------------------------------------------------------------

    def common(self, group: GroupId) -> Mapping[Secret, SecretKind]:
        """The secrets of a group that both sides have named."""
        return self._naming.common(group) if self._naming is not None else {}

    def _match(self, naming: Naming, replica: Replica) -> None:
        """Open a channel for each group that both sides named."""
        opened: dict[GroupId, Channel] = {}
        for group, mine, theirs in naming.matches():
            if theirs not in self._by_theirs:
                self._by_theirs[theirs] = opened[group] = self._open(group, mine)
        for group, channel in self.channels.items():
            channel.kind = naming.kind(group)
        for channel in opened.values():
            self._judge(channel, naming, replica)

    def _open(self, group: GroupId, mine: int) -> Channel:
        assert self.authenticated is not None
        if group not in self.channels:
            salt = self.authenticated.transcript
            self.channels[group] = Channel(group, mine, salt=salt, leads=self._leads)
        return self.channels[group]

    def _judge(self, channel: Channel, naming: Naming, replica: Replica) -> None:
        assert self.authenticated is not None
        peer = self.authenticated
        standing = replica.standing(channel.group, peer.user, peer.device, peer.key)
        if standing is Standing.MEMBER and (named := naming.take_news(channel.group)):
            replica.holds(channel.group, peer.device, named)
        channel.judged(standing, replica)

    # --- What the peer says. --------------------------------------------------------------------

    def _dispatch_untrusted(self, message: Message, replica: Replica) -> None:
        match message:
            case Groups(tags=tags):
                self._take_groups_untrusted(tags, replica)
            case Ack(number=number):
                self._take_ack_untrusted(number)
            case Batch():
                self._take_batch_untrusted(message, replica)
            case Want():
                self._take_want_untrusted(message)
            case Level() | Unproven() | Refused() | Ranges() | Served() | Compared():
                self._take_for_channel_untrusted(message, replica)
            case _ if isinstance(message, LinkMessage):
                self._link_messages.append(message)
            case _:
                raise RemoteError(Reason.UNEXPECTED, f"{type(message).__name__} after the proof")

    def _take_groups_untrusted(self, tags: Sequence[bytes], replica: Replica) -> None:
        assert self._naming is not None
        self._naming.take_untrusted(tags)
        self._match(self._naming, replica)

    def _take_ack_untrusted(self, number: int) -> None:
        if self._unacked.pop(number, None) is None:
            raise RemoteError(Reason.UNSOLICITED, f"acknowledges batch {number}")
        self._has_given = True

    def _take_batch_untrusted(self, batch: Batch, replica: Replica) -> None:
        channel = self._channel_untrusted(batch.channel)
        if len(batch.bodies) != len(batch.signatures):
            raise RemoteError(Reason.MALFORMED, "a body without its signature")
        if len(self._arriving) >= 3 * limits.WINDOW_BATCHES:
            raise RemoteError(Reason.TOO_MANY, "batches at once")
        if batch.number in self._arriving:
            raise RemoteError(Reason.UNEXPECTED, "a batch number twice")
        items = [
            item
            for body, signature in zip(batch.bodies, batch.signatures, strict=True)
            if (item := _known_scheme_untrusted(body, signature, replica)) is not None
        ]
        self._has_given = self._has_given or channel.is_owed(batch)
        channel.arrived_untrusted(batch.kind, batch.number, items)
        self._arriving[batch.number] = channel
        replica.arrived(channel.group, batch.kind, items, batch.number)

    def _take_want_untrusted(self, want: Want) -> None:
        if len(self._servings) >= limits.WANTS_OPEN:
            raise RemoteError(Reason.TOO_MANY, "requests at once")
        self._channel_untrusted(want.channel).want_untrusted(want)

    def _take_for_channel_untrusted(
        self, message: Level | Unproven | Refused | Ranges | Served | Compared, replica: Replica
    ) -> None:
        channel = self._channel_untrusted(message.channel)
        self._has_given = self._has_given or channel.is_owed(message)
        match message:
            case Level():
                channel.level_untrusted(message, replica)
            case Ranges():
                channel.ranges_untrusted(message, replica)
            case Served():
                channel.served_untrusted(replica)
            case Compared():
                channel.compared()
            case Unproven():
                channel.doubted(replica)
            case Refused(reason=reason):
                known = reason if reason in _REASONS else _UNKNOWN_REASON
                self._refused_joins.append((channel.group, known))

    def _channel_untrusted(self, theirs: int) -> Channel:
        channel = self._by_theirs.get(theirs)
        if channel is None:
            raise RemoteError(Reason.WRONG_GROUP, f"channel {theirs} names no group in common")
        return channel

    # --- What is said to the peer. --------------------------------------------------------------

    @property
    def _room(self) -> int:
        """How many batches may be sent that were not asked for."""
        return max(0, 2 * limits.WINDOW_BATCHES - len(self._unacked))

    @property
    def _may_serve(self) -> bool:
        return bool(self._servings) and len(self._unacked) < limits.WINDOW_BATCHES

    def _serve(self, serving: Serving, replica: Replica) -> None:
        # Whoever has been removed since it asked gets no more.
        over = serving.finished or serving.channel.standing is not Standing.MEMBER
        items = () if over else serving.next_batch(replica)
        if items:
            self._send(serving.channel, serving.kind, items)
        if over or serving.finished:
            self._servings.popleft()
            self._say(Served(serving.channel.mine))

    def _part(self, channel: Channel, replica: Replica) -> None:
        """Show a peer why it is in the group no more."""
        if channel.parts and self.authenticated is not None:
            channel.parts = False
            user, sealed = self.authenticated.user, channel.has_shown_level
            channel.introduction.tell(replica.parting(channel.group, user, sealed=sealed))

    def _flush(self, channel: Channel) -> None:
        self._introduce(channel)
        # Not kept back with what has no room: what a peer asks for without a bound would pile up.
        outbox, channel.outbox = channel.outbox, []
        for message in outbox:
            self._say(message)
        for request in channel.requests:
            self._servings.append(Serving(channel, request))
            if request.kind is Kind.RECORDS:
                owed = self._owed.get(channel.group, 0) + len(request.keys)
                self._owed[channel.group] = owed
        channel.requests = []

    def _introduce(self, channel: Channel) -> None:
        """Tell of a group what is due, as far as the window has room."""
        due = self._packed(channel, Kind.STATEMENTS, channel.introduction.due)
        batches = list(islice(due, self._room))
        self._send_batches(channel, Kind.STATEMENTS, batches)
        channel.introduction.sent(sum(batch.items for batch in batches))

    def _send(self, channel: Channel, kind: Kind, items: Sequence[Signed]) -> None:
        """Send items in as many batches as their bytes need."""
        self._send_batches(channel, kind, self._packed(channel, kind, items))

    def _packed(self, channel: Channel, kind: Kind, items: Sequence[Signed]) -> Iterator[Packed]:
        return packed(channel.mine, kind, items, self._next_number)

    def _send_batches(self, channel: Channel, kind: Kind, batches: Iterable[Packed]) -> None:
        for batch in batches:
            records = batch.items if kind is Kind.RECORDS else 0
            self._unacked[self._next_number] = (channel, records)
            self._next_number += 1
            self._sent[channel.group] = self._sent.get(channel.group, 0) + records
            self._post(batch.encoded)

    def _say(self, message: Message) -> None:
        self._post(encode(message))

    def _post(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self.sent_messages += 1
        self._out.append(data)


def _known_scheme_untrusted(body: bytes, signature: bytes, replica: Replica) -> Signed | None:
    """An item of a batch; None, and counted, where only a newer version could check it."""
    try:
        return decode_untrusted(body, signature)
    except RemoteError as error:
        if error.reason is not Reason.UNKNOWN_SCHEME:
            raise
        replica.refused(error.reason)
        return None

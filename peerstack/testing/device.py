"""One simulated device: the shipping engine over a real store, with the world as its shell.

Does what `peerstack.node` does for a real one: hands in events with their time, and carries out
effects. It must not look into the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from peerstack.engine import (
    Engine,
    Turn,
    effects,
    ending,
    enrolling,
    events,
    joining,
    linking,
    reached,
    writing,
)
from peerstack.engine.link_state import Ending, OpenLink
from peerstack.engine.profile import introduce
from peerstack.engine.status import Queues
from peerstack.groups.membership import Membership
from peerstack.groups.statements import Role, RoleName
from peerstack.identity import User, Whereabouts
from peerstack.identity.linking import decode_untrusted_device_link, linked_user
from peerstack.ids import DeviceId, GroupId, RecordId, UserId
from peerstack.keys import Signer
from peerstack.ports import Instant
from peerstack.query import Condition, Scalar
from peerstack.record import JsonObject, Record
from peerstack.signaling import rendezvous as meet
from peerstack.store import LoggedChange, Snapshot
from peerstack.testing.conditions import Conditions
from peerstack.testing.dice import Dice
from peerstack.testing.invariants import holds
from peerstack.testing.losing import LosingStore, Lost
from peerstack.testing.pipes import End, Pipes
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.rooms import URL, RoomServer

T = TypeVar("T")

_ALL: Final = 1_000_000

Over = Record | Sequence[Record] | None
_OFFER_MS: Final = 1
"""How long an offer or an answer takes to make."""


class Surroundings(Protocol):
    """What a device needs of its world."""

    @property
    def pipes(self) -> Pipes:
        """The pipes between devices."""

    @property
    def server(self) -> RoomServer:
        """The signaling server."""

    @property
    def conditions(self) -> Conditions:
        """How good the network is."""

    @property
    def seed(self) -> str:
        """What all keys and all chance come from."""

    @property
    def dice(self) -> Dice:
        """The world's chance."""

    @property
    def now_ms(self) -> int:
        """Milliseconds since the world began."""

    @property
    def wall_ms(self) -> int:
        """What a right clock says."""

    def later(self, wait_ms: int, action: Callable[[], None]) -> None:
        """Have something done after a while."""

    def note(self, text: str) -> None:
        """Write a line into the trace."""

    def turned(self, device: Device) -> None:
        """A device has committed a turn, of which nothing has left it yet."""


Tongue = Callable[[str, bytes], Iterable[bytes]]
"""What a device says on a pipe in place of a message, given the other end's name."""


class Device:
    """A user at a device of theirs. Get one from `World.device`.

    All that an app could do is a method here, and happens at once, without `await`. Group and
    record ids are as in the public API; records are `peerstack.Record`.
    """

    def __init__(
        self,
        world: Surroundings,
        name: str,
        *,
        skew_ms: int,
        indexes: Mapping[str, Sequence[str]],
        search: Mapping[str, Sequence[str]],
        link: str | None = None,
        user: User | None = None,
        restores: Whereabouts | None = None,
    ) -> None:
        self.name = name
        self.skew_ms = skew_ms
        """By how much its wall clock is ahead. May be changed at any time."""
        self.refused_joins: list[tuple[GroupId, str]] = []
        """Joins that a member did not grant, with the reasons' names."""
        self.fails_to_keep = False
        """Whether its key file cannot be written."""
        self.hangups: list[str] = []
        """Why it hung up on peers, each time that it did."""
        self.tongue: Tongue | None = None
        """What it says instead of what the engine wants said: it is honest no more."""
        self.tampered = False
        """Whether somebody put into its store what the engine would not: it is honest no more."""
        self.store = LosingStore.open("sqlite:///:memory:", indexes, search)
        self._world = world
        self._boots = 0
        self._wakes_at: tuple[int | None, int] = (None, skew_ms)
        """What the engine said last of when to wake it, and the skew that it said that under."""
        self._ends: dict[meet.Link, End] = {}
        self._crash_in_turns: int | None = None
        self._loses_commit = False
        self._online = False
        self._started_ms = world.now_ms
        device_name = f"{name}'s device"
        self.user: User = user or self._first_user(device_name, link)
        """What its key file holds."""
        self.engine = self._new_engine()
        if link is None:
            self.perform(lambda turn: introduce(turn, restores))
        else:
            self.perform(lambda turn: enrolling.begin(turn, link, device_name))

    def _first_user(self, device_name: str, link: str | None) -> User:
        entropy = SeededEntropy(f"{self._world.seed}/user/{self.name}")
        if link is not None:
            return linked_user(decode_untrusted_device_link(link), entropy)
        return User.create(self.name, device_name, self.now().wall_ms, entropy)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    # --- What a person does with it. ------------------------------------------------------------

    def go_online(self) -> None:
        """Connect to the server, and begin to meet others."""
        if not self._online:
            self._online = True
            self._release(self.engine.start(self.now()))
            self._world.server.connect(self)

    def go_offline(self) -> None:
        """Lose all connections, as on a plane. The device itself goes on."""
        if self._online:
            self._online = False
            self._world.server.disconnect(self)
            for end in list(self._ends.values()):
                self._world.pipes.cut(end)
            self.handle(events.ServerLost(URL))

    def restart(self) -> None:
        """Lose all that is not stored, connections too, and begin anew from the store.

        As after a crash: effects that were not carried out yet never are.
        """
        self._world.note(f"{self.name} restarts")
        was_online, self._online = self._online, False
        self._world.server.disconnect(self)
        self._world.pipes.drop(self)
        for end in self._ends.values():
            end.ended = True
        self._ends = {}
        self.engine = self._new_engine()
        if was_online:
            self.go_online()

    def crash_after(self, turns: int, *, committed: bool = True) -> None:
        """Restart in the turn that is `turns` from now, right behind its commit or before it.

        What a committed turn stored is kept, and all that it wanted done is not done. Of another
        one nothing is left, as a database rolls back; only turns that an event brings about count.
        """
        self._crash_in_turns, self._loses_commit = turns, not committed

    # --- Linking a device of the same user. -----------------------------------------------------

    def link_device(self, *, full: bool = True) -> str:
        """Make a link to a new device; hand it to `World.device`."""
        return self.perform(lambda turn: linking.open_link(turn, [URL], full=full)).text

    @property
    def digits(self) -> str | None:
        """What this device shows now, whether it links another or is linked."""
        links = self.engine.me.links
        if links.open is not None:
            candidate = links.open.candidate
            return candidate.side.digits if candidate else None
        return links.pending.digits if links.pending else None

    def confirm_link(self) -> DeviceId:
        """Say that the digits are the same; the new device's id. Raises as `linking.confirm`."""
        opened = self.opened_link()
        shown = opened.candidate
        assert shown is not None, "no device shows digits"
        return self.perform(lambda turn: linking.confirm(turn, opened, shown))

    def refuse_link(self) -> None:
        """Say that they are not."""
        opened = self.opened_link()
        self.perform(lambda turn: linking.end(turn, opened, Ending.REFUSED))

    def opened_link(self) -> OpenLink:
        """The link that was made last."""
        opened = self.engine.me.links.open
        assert opened is not None, "no link was made"
        return opened

    @property
    def is_linked(self) -> bool:
        """Whether this device is one of its user's, and has all that it is to have."""
        progress = self.perform(enrolling.progress)
        return progress.certified and progress.complete

    # --- What an app does on it. ----------------------------------------------------------------

    def create_group(self, name: str) -> GroupId:
        """Found a group."""
        return self.perform(lambda turn: writing.create_group(turn, name))

    def invite(
        self,
        group: GroupId,
        role: RoleName = "writer",
        *,
        expires_ms: int | None = None,
        uses: int | None = None,
    ) -> str:
        """Make an invite; its link. `expires_ms` is Unix milliseconds."""
        return self.perform(lambda turn: joining.invite(turn, group, role, expires_ms, uses, [URL]))

    def join(self, link: str) -> GroupId:
        """Ask to be let in. Whether one is: `role`."""
        return self.perform(lambda turn: joining.join(turn, link))[0]

    def set_role(self, group: GroupId, user: UserId, role: RoleName) -> None:
        """Give a member another role."""
        self.perform(lambda turn: ending.set_role(turn, group, user, role))

    def remove(self, group: GroupId, user: UserId) -> None:
        """Remove a member."""
        self.perform(lambda turn: ending.remove(turn, group, user))

    def leave(self, group: GroupId) -> None:
        """Take oneself out of a group."""
        self.perform(lambda turn: ending.leave(turn, group))

    def membership(self, group: GroupId) -> Membership:
        """How this user stands to a group, as this device has it."""
        return self.perform(lambda turn: turn.state(group).membership(self.user.id))

    def put(
        self, group: GroupId, type_name: str, value: JsonObject, *, over: Over = None
    ) -> Record:
        """Write a record."""
        looked_at = [over] if isinstance(over, Record) else list(over or ())
        return self.perform(lambda turn: writing.put(turn, group, type_name, value, looked_at))

    def put_many(
        self, group: GroupId, type_name: str, values: Sequence[JsonObject]
    ) -> list[Record]:
        """Write up to 10,000 new records in one transaction."""
        return self.perform(lambda turn: writing.put_many(turn, group, type_name, values))

    def update(self, group: GroupId, record_id: RecordId, fields: JsonObject) -> Record:
        """Replace some top-level fields of the live version."""
        return self.perform(lambda turn: writing.update(turn, group, record_id, fields))

    def delete(self, group: GroupId, record_id: RecordId) -> None:
        """Delete a record."""
        self.perform(lambda turn: writing.delete(turn, group, record_id))

    def get(self, group: GroupId, record_id: RecordId) -> Record | None:
        """The live version of a record; None where there is none, or it was deleted."""
        found = self.read(lambda snapshot: snapshot.get(group, record_id))
        return Record.of(found) if found is not None and not found.deleted else None

    def find(
        self,
        group: GroupId,
        type_name: str,
        where: Mapping[str, Scalar | Condition] | None = None,
        *,
        order_by: str = "modified",
    ) -> list[Record]:
        """The records of a type whose fields match."""
        found = self.read(
            lambda snapshot: snapshot.find(group, type_name, where, order_by=order_by)
        )
        return [Record.of(each) for each in found]

    def search(
        self, group: GroupId, text: str, type_name: str | None = None, *, limit: int = _ALL
    ) -> list[Record]:
        """The records in which all words of a text stand, the best match first."""
        found = self.read(lambda snapshot: snapshot.search(group, text, type_name, limit=limit))
        return [Record.of(each) for each in found]

    def records(self, group: GroupId) -> dict[RecordId, Record]:
        """The live versions of all records of a group, deletions and reserved types too, by id."""
        found = self.read(lambda snapshot: snapshot.read_slice(group, b"", None, _ALL))
        return {each.id: Record.of(each) for each in sorted(found, key=lambda each: each.id)}

    def history(self, group: GroupId, record_id: RecordId) -> list[Record]:
        """The versions of a record that lost and are still kept, the newest first."""
        found = self.read(lambda snapshot: snapshot.history(group, record_id))
        return [Record.of(each) for each in found]

    def changes(self, group: GroupId, since: int = 0) -> list[LoggedChange]:
        """The log of changes of a group, behind a `seq`."""
        return self.read(lambda snapshot: snapshot.changes(since, group, limit=_ALL))

    def members(self, group: GroupId) -> dict[UserId, Role]:
        """The role of every member, as this device has it."""
        return dict(self.perform(lambda turn: turn.state(group).members()))

    def reached(self, group: GroupId, record_id: RecordId) -> set[DeviceId]:
        """Which devices of members have the live version of a record, as this device has it."""
        found = self.perform(lambda turn: list(reached.held(turn, group, [record_id])))
        return {device for each in found for device in each.devices}

    def role(self, group: GroupId) -> Role | None:
        """This user's role in a group; None while not a member."""
        return self.members(group).get(self.user.id)

    def is_level(self, group: GroupId) -> bool:
        """Whether a peer shares the group, and it is level with all connected ones that do."""
        return self.perform(lambda turn: self.engine.levels.is_level(turn, group))

    def peers(self) -> list[str]:
        """Ids of the devices at the other ends of its connections, in order."""
        proven = (peer.authenticated for peer in self.engine.peers.values())
        return sorted(each.device for each in proven if each is not None)

    # --- Running the engine. --------------------------------------------------------------------

    def now(self) -> Instant:
        """The instant on this device's two clocks."""
        return Instant(self._world.now_ms - self._started_ms, self._world.wall_ms + self.skew_ms)

    def perform(self, action: Callable[[Turn], T]) -> T:
        """Do something in a turn of the engine."""
        result, wanted = self.engine.perform(action, self.now())
        self._release(wanted)
        return result

    def read(self, question: Callable[[Snapshot], T]) -> T:
        """Ask the store something."""
        with self.store.snapshot() as snapshot:
            return question(snapshot)

    def handle(self, event: events.Event) -> None:
        """Hand the engine an event."""
        try:
            with self.store.losing(self._loses_commit and self._crash_in_turns == 1):
                wanted = self.engine.handle(event, self.now())
        except Lost:
            self._crash_in_turns, self._loses_commit = None, False
            self.restart()
            return
        except Exception as error:
            error.add_note(f"at {self._world.now_ms} ms, {self.name} was handed {event!r:.500}")
            raise
        self._release(wanted, by_event=True)

    def _new_engine(self) -> Engine:
        self._boots += 1
        self._started_ms = self._world.now_ms
        entropy = SeededEntropy(f"{self._world.seed}/{self.name}/{self._boots}")
        return Engine(self.store, self.user, entropy)

    @property
    def boots(self) -> int:
        """How often it has begun, restarts and crashes included."""
        return self._boots

    @property
    def honest(self) -> bool:
        """Whether the shipping code alone decides what it has and says, so that all must hold."""
        return self.tongue is None and not self.tampered

    @property
    def queues(self) -> Queues:
        """What it has under way with peers."""
        return self.engine.queues

    def _release(self, wanted: Sequence[effects.Effect], *, by_event: bool = False) -> None:
        self._world.turned(self)
        if self._crash_in_turns is not None and (by_event or not self._loses_commit):
            self._crash_in_turns -= 1
            if self._crash_in_turns <= 0:
                self._crash_in_turns = None
                self.restart()
                return
        boot = self._boots
        for effect in wanted:
            if boot == self._boots:
                self._carry_out(effect)
        self._set_timer()

    def _set_timer(self) -> None:
        boot, at_ms = self._boots, self.engine.next_wake_ms(self.now())
        self._wakes_at = (at_ms, self.skew_ms)
        if at_ms is None:
            return

        def wake() -> None:
            if boot != self._boots or self._sleeps_on():
                return
            # An event in between has set another timer, or brought this one's time forward.
            due_ms = self.engine.next_wake_ms(self.now())
            if due_ms is not None and due_ms <= self.now().mono_ms:
                self.handle(events.Woke())

        self._world.later(max(0, at_ms - self.now().mono_ms), wake)

    def _sleeps_on(self) -> bool:
        """Whether the engine, since it was last asked, cannot have come to want to be woken.

        Most timers are of this kind. What it is asked changes in turns, or with the clock's skew.
        """
        at_ms, skew_ms = self._wakes_at
        return skew_ms == self.skew_ms and (at_ms is None or at_ms > self.now().mono_ms)

    # --- What the engine wants done. ------------------------------------------------------------

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Send(link=link, data=data):
                self._say(link, data)
            case effects.Hangup(link=link, reason=reason):
                self.hangups.append(reason)
                self._world.note(f"{self.name} hangs up: {reason}")
                self._end(link)
            case effects.Verify(ticket=ticket, checks=checks):
                found = tuple(map(holds, checks))
                wait_ms = self._world.dice.between(self._world.conditions.verify_ms)
                self._soon(wait_ms, events.Verified(ticket, found))
            case effects.JoinRefused(group=group, reason=reason):
                self.refused_joins.append((group, reason))
            case effects.KeepKeys() if self.fails_to_keep:
                self.perform(enrolling.not_kept)
            case effects.KeepKeys():
                user = self.user = _keeping(self.user, effect)
                self._world.later(0, self._unless_restarted(lambda: self._kept(user)))
            case effects.Changed() | effects.GroupsChanged() | effects.StatusChanged():
                pass
            case _:
                self._meet(effect)

    def _say(self, link: meet.Link, data: bytes) -> None:
        end = self._ends.get(link)
        if end is None or end.other is None:
            return
        said = [data] if self.tongue is None else self.tongue(end.other.holder.name, data)
        for each in said:
            self._world.pipes.send(end, each)

    def _meet(self, effect: meet.Effect) -> None:
        pipes = self._world.pipes
        match effect:
            case meet.MakeOffer(link=link):
                self._ends[link] = pipes.offer(self, link)
                self._soon(_OFFER_MS, events.Offered(link, self._ends[link].text))
            case meet.MakeAnswer(link=link, untrusted_offer=offer):
                end = pipes.answer(self, link, offer)
                if end is None:
                    self._soon(_OFFER_MS, events.PeerGone(link, "no such offer"))
                    return
                self._ends[link] = end
                self._soon(_OFFER_MS, events.Answered(link, end.text))
            case meet.AcceptAnswer(link=link, untrusted_answer=answer):
                if link in self._ends:
                    pipes.accept(self._ends[link], answer)
            case meet.Abandon(link=link):
                self._end(link)
            case _:
                self._world.server.request(self, effect)

    def _kept(self, user: User) -> None:
        self.perform(lambda turn: enrolling.kept(turn, user))

    def _soon(self, wait_ms: int, event: events.Event) -> None:
        self._world.later(wait_ms, self._unless_restarted(lambda: self.handle(event)))

    def _unless_restarted(self, action: Callable[[], None]) -> Callable[[], None]:
        boot = self._boots
        return lambda: action() if boot == self._boots else None

    def _end(self, link: meet.Link) -> None:
        end = self._ends.pop(link, None)
        if end is not None:
            self._world.pipes.end(end)

    # --- What its pipes bring. ------------------------------------------------------------------

    def opened(self, end: End) -> None:
        """See `peerstack.testing.pipes.Holder`."""
        link = meet.Link(end.link)
        self._ends[link] = end
        self._world.note(f"{self.name} is connected to {end.other and end.other.holder.name}")
        self.handle(events.PeerConnected(link, end.dialled, end.binding))

    def arrived(self, end: End, data: bytes) -> None:
        """See `peerstack.testing.pipes.Holder`."""
        if self._ends.get(meet.Link(end.link)) is end:
            self.handle(events.PeerSent(meet.Link(end.link), data))

    def closed(self, end: End, reason: str) -> None:
        """See `peerstack.testing.pipes.Holder`."""
        link = meet.Link(end.link)
        if self._ends.get(link) is end:
            del self._ends[link]
            self._world.note(f"{self.name} lost a connection: {reason}")
            self.handle(events.PeerGone(link, reason))


def _keeping(user: User, given: effects.KeepKeys) -> User:
    root = Signer(given.root) if given.root is not None else user.root
    kit_key = given.kit_key or user.kit_key
    return replace(user, name=given.name, root=root, kit_key=kit_key, statements=given.statements)

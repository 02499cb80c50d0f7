"""A writer of a group whose program is hostile: valid messages, genuine and forged, in any order.

What it says is built rather than drawn, so that it comes past the decoders: its records and
statements are well formed and signed by its own key, and name what the group really has.
"""

from __future__ import annotations

import json
from typing import Any, Final

from msgspec import UNSET

from peerstack import limits
from peerstack.engine import events
from peerstack.engine.writing import put
from peerstack.errors import InvalidValue
from peerstack.identity import next_key_hash
from peerstack.ids import RecordId, as_group
from peerstack.keys import Signer
from peerstack.reconcile import Fingerprint, Item
from peerstack.reconcile import Message as RangesMessage
from peerstack.reconcile.wire import Compare, Differ, Holds, Leaf, Range, Skip
from peerstack.record import Body, Signed, compose
from peerstack.session.wire import (
    Ack,
    Batch,
    Compared,
    Enrolled,
    Gap,
    Groups,
    Handover,
    Kind,
    Level,
    LinkCommit,
    LinkEnded,
    LinkNonce,
    Message,
    Ranges,
    Refused,
    Served,
    Unproven,
    Want,
)
from tests.fuzz.family import check, family
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.fuzz.victim import Stranger, Victim, as_the_wire_brings

TYPES: Final = ("note", "$profile", "$secret", "$data.group", "$data.x", "list")
STATEMENTS: Final = ("$invite", "$join", "$admit", "$grant", "$close", "$seal", "$later", "$group")
IDENTITY: Final = ("$user", "$rotate", "$device", "$revoke")
ROLES: Final = ("reader", "writer", "admin")
COUNTS: Final = (0, 1, 9, 300, limits.INTEGER_MAX)
NO_HASHES: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_STEPS: Final = 48
_CONNECTIONS: Final = 6


class _Member:
    def __init__(self, reader: Reader) -> None:
        self.reader, self.known = reader, family()
        self.victim = Victim(self.known.ana)
        self.connections = 0
        self.own: list[Signed] = []
        """What was made in this run."""
        self.meet()

    def meet(self) -> None:
        self.connections += 1
        dialled = self.reader.flag()
        self.to = Stranger(self.victim, self.known.ben, dialled=dialled, number=self.connections)
        self.to.shake_hands().name(self.known.group, self.known.secret)

    def step(self) -> None:
        reader = self.reader
        if self.to.is_cut_off and self.connections < _CONNECTIONS:
            self.meet()
        match reader.number() % 12:
            case 0:
                self.victim.pass_time(reader.number(2))
            case 1:
                value = {"n": reader.number()}
                self.victim.perform(lambda turn: put(turn, self.known.group, "note", value, ()))
            case 2 if self.connections < _CONNECTIONS:
                self.victim.handle(events.PeerGone(self.to.link, "gone"))
                self.meet()
            case _:
                message = as_the_wire_brings(self.message())
                if message is not None:
                    self.to.say(message)

    def message(self) -> Message:
        reader = self.reader
        kind = Kind(reader.number() % 3)
        match reader.number() % 16:
            case 0 | 1:
                return self.level()
            case 2 | 3:
                ranges = [self.range(kind) for _ in range(reader.number() % 6)]
                ranges.sort(key=lambda each: (each.upper is None, each.upper or b""))
                lower = b"" if reader.number() % 4 else self.key(kind)
                return Ranges(0, kind, RangesMessage(lower, tuple(ranges), reader.flag()))
            case 4 | 5:
                keys = tuple(self.key(kind) for _ in range(reader.number() % 8))
                gaps = tuple(
                    Gap(self.key(kind), self.key(kind) if reader.flag() else None)
                    for _ in range(reader.number() % 3)
                )
                excluded = tuple(self.item().hash for _ in range(reader.number() % 3))
                return Want(0, kind, keys, gaps, excluded)
            case 6 | 7 | 8 | 9 | 10:
                items = [self.made() for _ in range(1 + reader.number() % 4)]
                if reader.number() % 16:
                    # What is in the wrong set ends the connection.
                    about, first = items[0].is_statement, Kind(1 + kind % 2)
                    kind = Kind.STATEMENTS if about else first
                    items = [each for each in items if each.is_statement == about]
                bodies = tuple(each.body for each in items)
                signatures = tuple(self.signature(each) for each in items)
                return Batch(0, kind, reader.number(), bodies, signatures)
            case 11:
                short: tuple[Message, ...] = (Served(0), Compared(0), Unproven(0))
                return reader.pick((*short, Refused(0, "no-role")))
            case 12:
                return Ack(reader.number())
            case 13:
                return Groups((reader.exactly(16),))
            case 14:
                return self.about_linking()
        return Batch(0, kind, reader.number(), (reader.chunk(),), (b"\1" + bytes(64),))

    def about_linking(self) -> Message:
        key = self.reader.exactly(32)
        said: tuple[Message, ...] = (
            LinkCommit(key, "phone"),
            LinkNonce(key),
            LinkEnded("busy"),
            Enrolled(self.reader.flag()),
            Handover(key, None),
        )
        return self.reader.pick(said)

    def level(self) -> Level:
        reader = self.reader
        shown = [each for each in self.to.heard() if isinstance(each, Level)]
        latest = shown[-1] if shown else None

        def root(theirs: Fingerprint | None) -> Fingerprint | None:
            if latest is not None and reader.flag():
                return theirs
            return Fingerprint(reader.pick(COUNTS), reader.exactly(16))

        audit = reader.exactly(8) if reader.flag() else None
        return Level(
            0,
            root(latest.statements if latest else None),
            root(latest.records if latest else None),
            reader.flag(),
            latest.audit if latest and reader.flag() else audit,
            root(latest.conflicts if latest else None) if reader.flag() else None,
        )

    def range(self, kind: Kind) -> Range:
        reader = self.reader
        upper = self.key(kind) if reader.number() % 4 else None
        match reader.number() % 5:
            case 0:
                return Skip(upper)
            case 1:
                return Compare(upper, Fingerprint(reader.pick(COUNTS), reader.exactly(16)))
            case 2:
                return Leaf(upper, reader.exactly(8 * (reader.number() % 8)), reader.flag())
            case 3:
                shown = [
                    Item(self.key(kind), b"" if kind is not Kind.RECORDS else reader.exactly(32))
                    for _ in range(reader.number() % 4)
                ]
                shown.sort(key=lambda each: each.key)
                return Differ(upper, tuple(shown), reader.exactly(8 * (reader.number() % 4)))
        return Holds(upper, reader.pick(COUNTS))

    def key(self, kind: Kind) -> bytes:
        if self.reader.number() % 8 == 0:
            return self.reader.chunk()[: limits.RECONCILE_KEY_BYTES] or b"k"
        item = self.item()
        if kind is not Kind.RECORDS:
            return item.hash
        return item.modified.to_bytes(6, "big") + item.id.encode()

    def item(self) -> Signed:
        known = self.known
        return self.reader.pick((*known.records, *known.statements, *self.own))

    def named(self, *types: str) -> str:
        """The hash of something, as statements name it: of one of these types, most of the time."""
        every = (*self.known.statements, *self.own)
        fitting = [each for each in every if each.type in types]
        chosen = self.reader.pick(fitting) if fitting and self.reader.number() % 4 else self.item()
        return chosen.hash.hex()

    def right(self) -> str:
        """The hash of the member's own grant, most of the time."""
        own = self.known.bens_grant
        return own.hash.hex() if self.reader.number() % 4 else self.named("$admit", "$group")

    def made(self) -> Signed:
        """A record or statement: one that there is, or a new one, signed by this member."""
        reader = self.reader
        choice = reader.number() % 5
        if choice == 0:
            return self.item()
        if choice == 4:
            return self.about_itself()
        statement = choice == 1
        type_name = reader.pick(STATEMENTS if statement else TYPES)
        over = self.item()
        deleted = not statement and reader.number() % 4 == 0
        own_id = over.id if reader.flag() else RecordId(f"{self.known.ben.id}:{reader.number()}")
        seen: Any = UNSET
        if not statement and reader.flag():
            seen = {over.device or self.known.ben.device: min(over.modified, limits.TIME_MS_MAX)}
        body = Body(
            own_id,
            self.known.group if reader.number() % 16 else self.known.ben.id,
            type_name,
            self.time(over),
            self.known.ben.id if reader.number() % 16 else over.signer,
            self.known.ben.device if reader.number() % 16 else over.device or UNSET,
            UNSET if deleted else self.value(type_name),
            True if deleted else UNSET,
            seen,
        )
        try:
            signed = compose(self.known.ben.device_key, body)
        except InvalidValue:
            return over
        self.own.append(signed)
        return signed

    def about_itself(self) -> Signed:
        """An identity statement by the member's root key, present or next."""
        reader, ben = self.reader, self.known.ben
        assert ben.root is not None
        assert ben.recovery is not None
        keys = (ben.root, Signer(ben.recovery))
        type_name = reader.pick(IDENTITY)
        value = self.identity_value(type_name, [each.public.hex() for each in keys])
        own_id = ben.id if type_name == "$user" else f"{ben.id}:{reader.number()}"
        body = Body(
            *(RecordId(own_id), as_group(ben.id), type_name, self.time(self.item()), ben.id),
            value=value,
        )
        signed = compose(reader.pick(keys), body)
        self.own.append(signed)
        return signed

    def identity_value(self, type_name: str, keys: list[str]) -> dict[str, Any]:
        reader, known = self.reader, self.known
        own = [each for each in (*known.statements, *self.own) if each.signer == known.ben.id]
        under, key, name = reader.pick(own).hash.hex(), reader.pick(keys), "Ben"
        match type_name:
            case "$user":
                return {"key": key, "next": next_key_hash(bytes.fromhex(key)).hex(), "name": name}
            case "$rotate":
                keeps = [reader.pick(own).hash.hex() for _ in range(reader.number() % 3)]
                following = next_key_hash(reader.exactly(32)).hex()
                return {"under": under, "key": key, "next": following, "keeps": keeps}
            case "$device":
                device = known.ben.device if reader.flag() else known.ana.user.device
                return {"under": under, "device": device, "key": key, "name": name}
        return {"under": under, "device": known.ben.device}

    def time(self, over: Signed) -> int:
        now_ms = self.victim.now().wall_ms
        usual = (*[now_ms] * 6, over.modified + 1, over.modified, now_ms + 2 * limits.FUTURE_MS)
        return self.reader.pick((*usual, 0, limits.STATEMENT_MS_MAX, limits.TIME_MS_MAX))

    def value(self, type_name: str) -> dict[str, Any]:
        reader = self.reader
        name, right = self.named, self.right
        match type_name:
            case "$invite":
                key = reader.exactly(32).hex()
                uses = {"uses": 1 + reader.number()} if reader.flag() else {}
                role = reader.pick(ROLES)
                return {"under": right(), "key": key, "topic": key, "role": role} | uses
            case "$join":
                return (
                    {"invite": name("$invite"), "proof": reader.exactly(64).hex()}
                    if reader.flag()
                    else {}
                )
            case "$admit":
                return {"under": right(), "join": name("$join")}
            case "$grant":
                user, role = self.item().signer, reader.pick(ROLES)
                consent = name("$join", "$group")
                return {"under": right(), "user": user, "role": role, "consent": consent}
            case "$close":
                count, root = reader.pick(COUNTS), NO_HASHES if reader.number() % 4 else name()
                target = name("$admit", "$invite", "$group", "$grant")
                under = target if reader.flag() else right()
                return {"under": under, "target": target, "count": count, "root": root}
            case "$seal":
                named = [name() for _ in range(reader.number() % 4)]
                count = len(named) if reader.flag() else reader.pick(COUNTS)
                part = reader.number() % 3
                ends = name("$close", "$revoke")
                seal = {"under": right(), "ends": ends, "count": count, "root": NO_HASHES}
                return seal | {"part": part, "hashes": named}
            case "$group":
                return {"nonce": reader.exactly(16).hex()}
        return self.anything()

    def anything(self) -> dict[str, Any]:
        """What apps may write, and what the framework's own records look like."""
        reader = self.reader
        match reader.number() % 4:
            case 0:
                return {"secret": reader.exactly(32).hex(), "name": "Family", "n": reader.number()}
            case 1:
                group = {"group": self.known.group, "secret": reader.exactly(32).hex()}
                return group | {"servers": ["https://meet.example"], "left": reader.flag()}
            case 2:
                try:
                    found = json.loads(reader.chunk())
                except (ValueError, RecursionError):
                    return {}
                return found if isinstance(found, dict) else {"v": found}
        return {"title": reader.text().encode("utf-8", "replace").decode()}

    def signature(self, item: Signed) -> bytes:
        match self.reader.number() % 16:
            case 0:
                return b"\1" + bytes(64)
            case 1:
                return b"\2"
        return item.signature


def run(data: bytes) -> None:
    """Steps of the hostile member, of Ana, of the connection, and of time."""
    reader = Reader(data)
    member = _Member(reader)
    for _ in range(_STEPS):
        if not reader:
            break
        member.step()
    check(member.victim, member.known.group)
    group = member.known.group
    note = member.victim.perform(lambda turn: put(turn, group, "note", {"title": "Milk"}, ()))
    with member.victim.store.snapshot() as snapshot:
        found = snapshot.get(group, note.id)
        assert found is not None
        assert found.value == {"title": "Milk"}


TARGET = Target(
    "member",
    run,
    (
        *(
            f"peerstack.session.channel.Channel.{name}"
            for name in (
                "arrived_untrusted",
                "level_untrusted",
                "ranges_untrusted",
                "served_untrusted",
                "want_untrusted",
            )
        ),
        "peerstack.engine.arrivals.Arrivals.check_room_untrusted",
        "peerstack.engine.link_messages.received_untrusted",
        "peerstack.engine.statements._checks_untrusted",
        "peerstack.engine.statements._parent_untrusted",
        "peerstack.session.peer.Peer._take_want_untrusted",
        "peerstack.session.shown.roots_untrusted",
    ),
)

"""A member whose device speaks with its real keys, and says by chance what no honest one would.

Whatever it says, nobody else may take harm: not in what they have, nor in what they keep busy with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from msgspec.structs import replace

from peerstack import limits
from peerstack.errors import InvalidValue, RemoteError
from peerstack.identity import User
from peerstack.ids import DeviceId, GroupId, RecordId, UserId
from peerstack.reconcile import Fingerprint
from peerstack.reconcile.wire import NAME_BYTES, Compare, Differ, Holds, Leaf, Range, Skip
from peerstack.reconcile.wire import Message as RangesMessage
from peerstack.record import Body, Signed, compose
from peerstack.record import decode_untrusted as decode_untrusted_body
from peerstack.session.wire import (
    Ack,
    Batch,
    Compared,
    Gap,
    Groups,
    Hello,
    Kind,
    Level,
    Message,
    Ranges,
    Refused,
    Served,
    Unproven,
    Want,
    encode,
)
from peerstack.testing.dice import Dice
from peerstack.testing.invariants import decoded, records_in

_FLOOD: Final = 100
_HABITS_PER_LIE: Final = 0.05
_FOR_EVER: Final = 2 * limits.RECONCILE_TURNS
"""Messages that a habit lasts for, about: more than one comparison takes, and yet it ends."""

_DAY_MS: Final = 24 * 60 * 60 * 1000

Archive = Callable[[], Sequence[bytes]]
Lie = Callable[["Liar", bytes], Sequence[bytes]]


class Liar:
    """What to set as a device's `tongue`. The same seed tells the same lies."""

    def __init__(self, user: User, seed: str, archive: Archive, chance: float = 0.2) -> None:
        """`archive`: messages that anybody once said. `chance`: for each, that a lie takes over.

        Now and then it takes to a habit instead, for as long as that connection lasts, or nearly.
        """
        self.told: Final = dict.fromkeys((lie.__name__ for lie in (*LIES, *HABITS)), 0)
        """How often it told which lie."""
        self._user = user
        self._chance = chance
        self._dice = Dice(f"liar/{seed}")
        self._archive = archive
        self._kept_back: list[bytes] = []
        # Apart, so that a seed tells the same single lies whatever habits there are.
        self._habit_dice = Dice(f"liar/{seed}/habits")
        self._habits: dict[str, Lie] = {}

    def __call__(self, receiver: str, data: bytes) -> Sequence[bytes]:
        """What it says in place of a message."""
        habit = self._habit(receiver, data)
        if habit is not None:
            self.told[habit.__name__] += 1
            return habit(self, data)
        behind, self._kept_back = self._kept_back, []
        if not self._dice.happens(self._chance):
            return [data, *behind]
        # Records are what there is most to gain from.
        lie = self._one_of(_ABOUT_RECORDS if any(records_in(data)) else LIES)
        self.told[lie.__name__] += 1
        return [*lie(self, data), *behind]

    def _habit(self, receiver: str, data: bytes) -> Lie | None:
        """What it has taken to with a peer; each connection, which begins with a hello, is anew."""
        dice, had = self._habit_dice, self._habits.pop(receiver, None)
        if isinstance(decoded(data), Hello) or (had and dice.happens(1 / _FOR_EVER)):
            return None
        if had is None and dice.happens(self._chance * _HABITS_PER_LIE):
            had = HABITS[dice.below(len(HABITS))]
        if had is not None:
            self._habits[receiver] = had
        return had

    def _one_of(self, choices: Sequence[Any]) -> Any:
        return choices[self._dice.below(len(choices))]

    # --- Of any bytes. --------------------------------------------------------------------------

    def _says_nothing(self, _: bytes) -> Sequence[bytes]:
        return []

    def _says_it_twice(self, data: bytes) -> Sequence[bytes]:
        return [data, data]

    def _floods(self, data: bytes) -> Sequence[bytes]:
        return [data] * _FLOOD

    def _says_it_later(self, data: bytes) -> Sequence[bytes]:
        self._kept_back.append(data)
        return []

    def _says_an_old_one(self, data: bytes) -> Sequence[bytes]:
        old = self._archive()
        return [data, self._one_of(old)] if old else [data]

    def _corrupts(self, data: bytes) -> Sequence[bytes]:
        place = self._dice.below(len(data))
        return [data[:place] + bytes([self._dice.below(256)]) + data[place + 1 :]]

    def _truncates(self, data: bytes) -> Sequence[bytes]:
        return [data[: self._dice.below(len(data))]]

    def _says_too_much(self, data: bytes) -> Sequence[bytes]:
        return [data + bytes(limits.MESSAGE_BYTES)]

    # --- Of what makes sense. -------------------------------------------------------------------

    def _alters(self, data: bytes) -> Sequence[bytes]:
        """The same message, but for one thing that it says."""
        message = decoded(data)
        alter = _ALTERATIONS.get(type(message))
        return [data] if alter is None else [_packed(alter(self, message))]

    def _adds(self, data: bytes) -> Sequence[bytes]:
        """A message that nobody has asked for."""
        channel, number = self._dice.below(4), self._dice.below(8)
        added: Message = self._one_of(
            [
                Want(channel, Kind(number % 3), (), (Gap(b"", None),)),
                Want(channel, Kind.RECORDS, (bytes(20), b"\xff" * 20)),
                Served(channel),
                Compared(channel),
                Ack(number),
                Groups((bytes(16),) * 50),
                Level(channel, self._fingerprint(), self._fingerprint(), audit=bytes(8)),
            ]
        )
        return [data, _packed(added)]

    def _forges(self, data: bytes) -> Sequence[bytes]:
        """Instead of a record or statement, one that is not the author's; or its own, ill-dated."""
        message = decoded(data)
        if not isinstance(message, Batch):
            return [data]
        forged = self._forgery(message)
        if forged is None:
            return [data]
        bodies = (forged.body, *message.bodies[1:])
        signatures = (forged.signature, *message.signatures[1:])
        return [_packed(replace(message, bodies=bodies, signatures=signatures))]

    def _forgery(self, batch: Batch) -> Signed | None:
        try:
            genuine = decode_untrusted_body(batch.bodies[0], batch.signatures[0])
        except RemoteError:
            return None
        by_me: dict[str, Any] = {"signer": self._user.id, "device": self._user.device}
        change = self._one_of(
            [
                {"value": {"forged": True}},
                {"modified": genuine.modified + 1},
                {"modified": genuine.modified + 300 * _DAY_MS, **by_me},
                {"modified": max(0, genuine.modified - 300 * _DAY_MS), **by_me},
                {"group": self._user.id, **by_me},
                {
                    "id": f"{genuine.group}:secret",
                    "type": "$secret",
                    "value": {"secret": "00" * 32},
                    **by_me,
                },
                {"signer": self._user.id},
                {"device": self._user.device},
                {"modified": genuine.modified + 1, "value": {"mine": True}, **by_me},
            ]
        )
        try:
            return compose(self._user.device_key, _body_of(genuine, change))
        except InvalidValue:
            return None  # Such an id is of no such type: nobody could say it.

    # --- Of a whole connection. -----------------------------------------------------------------

    def _says_no_more(self, _: bytes) -> Sequence[bytes]:
        return []

    def _never_answers(self, data: bytes) -> Sequence[bytes]:
        """It goes on asking, and showing where it stands; nothing that it owes ever comes."""
        return [] if isinstance(decoded(data), _ANSWERS) else [data]

    def _asks_for_ever(self, data: bytes) -> Sequence[bytes]:
        """It is never level, and whatever a comparison has come to, it asks about all anew.

        That its engine takes them for ended stays unsaid, so that it is not hung up on for that.
        """
        match decoded(data):
            case Level() as level:
                return [_packed(self._alter_level(level))]
            case Ranges() as ranges:
                everything = RangesMessage(b"", (Compare(None, self._fingerprint()),), last=True)
                ends_turn = ranges.message.last
                return [_packed(replace(ranges, message=everything))] if ends_turn else []
            case Served() | Compared():
                return []
        return [data]

    # --- Of each message. -----------------------------------------------------------------------

    def _fingerprint(self) -> Fingerprint:
        return Fingerprint(self._dice.below(5), bytes([self._dice.below(256)]) * 16)

    def _alter_level(self, level: Level) -> Message:
        field = self._one_of(["statements", "records", "conflicts"])
        return replace(level, **{field: self._fingerprint()})

    def _alter_batch(self, batch: Batch) -> Message:
        change = self._one_of(
            [
                {"channel": self._dice.below(4)},
                {"kind": Kind(self._dice.below(3))},
                {"number": self._dice.below(8)},
                {"bodies": batch.bodies[::-1]},
                {"signatures": batch.signatures[1:]},
                {"bodies": batch.bodies * 2, "signatures": batch.signatures * 2},
            ]
        )
        return replace(batch, **change)

    def _alter_want(self, want: Want) -> Message:
        return replace(want, keys=(), gaps=(Gap(b"", None),))

    def _alter_ack(self, ack: Ack) -> Message:
        return Ack(ack.number + self._dice.below(5))

    def _alter_groups(self, groups: Groups) -> Message:
        """Names of other groups than it means, or of none, or of fewer or more."""
        tags = groups.tags
        return Groups(self._one_of([tags[::-1], tags[1:], tags * 2, (*tags, bytes(16))]))

    def _alter_ranges(self, ranges: Ranges) -> Message:
        """It has something else in one range than it has; or all of it is said elsewhere."""
        message = ranges.message
        said = list(message.ranges)
        if said:
            place = self._dice.below(len(said))
            said[place] = self._other_range(said[place])
        change = self._one_of(
            [
                *[{"message": replace(message, ranges=tuple(said))}] * 4,
                {"message": replace(message, ranges=message.ranges[::-1])},
                {"message": replace(message, last=not message.last)},
                {"kind": Kind(self._dice.below(3))},
                {"channel": self._dice.below(4)},
            ]
        )
        return replace(ranges, **change)

    def _other_range(self, true: Range) -> Range:
        names = bytes([self._dice.below(256)]) * NAME_BYTES * self._dice.below(5)
        changes: list[Range] = [
            Skip(true.upper),
            Compare(true.upper, self._fingerprint()),
            Leaf(true.upper, names, sends=self._dice.happens(0.5)),
            Differ(true.upper, (), names),
            Holds(true.upper, self._one_of([0, 1, 1_000, limits.INTEGER_MAX])),
        ]
        if isinstance(true, Compare):
            count = true.fingerprint.count + self._dice.below(1_000)
            changes.append(Compare(true.upper, replace(true.fingerprint, count=count)))
        return cast(Range, self._one_of(changes))

    def _alter_channel(self, message: Served | Compared | Unproven | Refused) -> Message:
        return replace(message, channel=self._dice.below(4))


LIES: Final[Sequence[Lie]] = (
    Liar._says_nothing,
    Liar._says_it_twice,
    Liar._floods,
    Liar._says_it_later,
    Liar._says_an_old_one,
    Liar._corrupts,
    Liar._truncates,
    Liar._says_too_much,
    Liar._alters,
    Liar._alters,
    Liar._adds,
    Liar._adds,
    Liar._forges,
    Liar._forges,
)

_ABOUT_RECORDS: Final[Sequence[Lie]] = (*LIES, *(Liar._forges for _ in LIES))

HABITS: Final[Sequence[Lie]] = (
    Liar._says_no_more,
    Liar._never_answers,
    Liar._asks_for_ever,
)

_ANSWERS: Final = (Ranges, Batch, Served, Ack, Compared)

_ALTERATIONS: Final[Mapping[type, Callable[[Liar, Any], Message]]] = {
    Level: Liar._alter_level,
    Batch: Liar._alter_batch,
    Want: Liar._alter_want,
    Ack: Liar._alter_ack,
    Groups: Liar._alter_groups,
    Ranges: Liar._alter_ranges,
    Served: Liar._alter_channel,
    Compared: Liar._alter_channel,
    Unproven: Liar._alter_channel,
    Refused: Liar._alter_channel,
}


def _packed(message: Message) -> bytes:
    try:
        return encode(message)
    except msgspec.MsgspecError:
        return b""


def _body_of(genuine: Signed, change: Mapping[str, Any]) -> Body:
    fields: dict[str, Any] = {
        "id": RecordId(genuine.id),
        "group": GroupId(genuine.group),
        "type": genuine.type,
        "modified": genuine.modified,
        "signer": UserId(genuine.signer),
        "device": DeviceId(genuine.device),
        "value": genuine.value,
    }
    return Body(**{**fields, **change})

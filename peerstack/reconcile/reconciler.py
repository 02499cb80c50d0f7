"""Finds in which items two ordered sets differ, by comparing ranges with one peer.

A state machine without I/O, for one side of one run over one set. It knows keys, digests and
fingerprints; not what they stand for, nor how its messages travel.

Who says what. The session shows roots; where they differ, **the side that was shown one starts**
with it: `start(peer_root)`. From then on the sides take turns, a turn being one message or more of
which only the final one is `last`. Each question is answered in the next turn:

- a `compare`: by nothing, if equal; by a `leaf`, if both are small; by `holds`, if one side has
  nothing there (be it small, where that side answers and is eager); by a `compare` for each piece
  of the range otherwise
- a `leaf`: by a `differ` with the items that its sender lacks and the names that the answerer lacks

Two things ask for items themselves: a `differ`, for what has the names that its sender lacks; and
a `leaf` that is eager, for whatever it does not name, which the `differ` then does not show (and
with nothing else to say, there is none). A side that has set something aside for good is not eager,
lest it be sent that again in each run. What is asked for is sent outside of the comparison, after
it. All that one side asks for in a run is one request, which the other side answers even if nothing
of it is there.

**The first turn without a question is the final one**: its sender is done, and so is its reader.

Names are salted, so that nobody can craft items of equal names before two devices meet. A set may
change while a run is under way: what is then missed, or named twice, the next run puts right.

Method: A. Meyer, "Range-Based Set Reconciliation" (2023).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from math import isqrt
from typing import Final

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.reconcile.findings import Findings, Step
from peerstack.reconcile.fingerprint import Fingerprint, Item
from peerstack.reconcile.ordered import OrderedSet
from peerstack.reconcile.span import EVERYTHING, Span
from peerstack.reconcile.turn import Turn
from peerstack.reconcile.wire import (
    NAME_BYTES,
    Compare,
    Differ,
    Holds,
    Leaf,
    Message,
    Range,
    asks,
    decode_untrusted_ranges,
    split_names,
    wants,
)

_PIECE_ITEMS: Final = 48
_PIECES_MAX: Final = 64
_ROOT_PIECES_MIN: Final = 16
_ROOT_PIECES_MAX: Final = 256
_YOUNG_PIECES: Final = 16
_YOUNGEST_ITEMS: Final = 8


class Reconciler:
    """One side of one run over one set."""

    def __init__(
        self, ordered: OrderedSet, salt: bytes, known: Iterable[bytes] = (), *, eager: bool = True
    ) -> None:
        """`salt`: the same bytes on both sides, which nobody knew before the two devices met.

        `known`: digests (or keys, where items have none) of what is not in the set and must not be
        asked for by name. `eager`: whether the peer may send items that it has not shown, be they
        known or not.
        """
        self._set = ordered
        self._salt = salt
        self._known_names = frozenset(map(self._name_of, known))
        self._eager = eager
        self._turn = Turn()
        self._turns_taken = 0
        self._full = False
        self._sent = 0
        self._done = False
        self._peer_turn = _PeerTurn()
        self._found = Findings()

    def start(self, peer_root: Fingerprint) -> Step:
        """Open the run, for the side that was shown `peer_root`; done at once if it is ours."""
        if self._set.fingerprint(EVERYTHING) == peer_root:
            return self._step((), done=True)
        self._answer_compare(EVERYTHING, peer_root)
        return self._end_turn()

    def start_again(self, peer_root: Fingerprint) -> Step:
        """As `start`, where the sides have compared before, and what is new comes by other ways.

        What they differ in is young then, such as a record dated ahead that one of them holds back:
        the names of the youngest few show it, and one question does for all that is older.
        """
        if self._set.fingerprint(EVERYTHING) == peer_root:
            return self._step((), done=True)
        return self._ask_within(self._youngest())

    def start_doubting(self, sample: Span) -> Step:
        """Open the run where roots agree, but not what both sides have at the ranks of `sample`.

        `sample` holds no more than `limits.LEAF_ITEMS` here. Either the sides differ in it, which
        the names in it show; or in what stands before it, and then by a count that no sum can hide.
        """
        return self._ask_within(sample)

    def _ask_within(self, few: Span) -> Step:
        """Ask about few items by name, and about all before them in one."""
        if few.lower:
            before = Span(b"", few.lower)
            self._say(before, Compare(before.upper, self._set.fingerprint(before)))
        self._ask_leaf(few)
        return self._end_turn()

    def _youngest(self) -> Span:
        """The end of the set that holds the last few items."""
        youngest, count = EVERYTHING, self._set.fingerprint(EVERYTHING).count
        while count > _YOUNGEST_ITEMS:
            youngest, fingerprint = self._set.split(youngest, _YOUNG_PIECES)[-1]
            count = fingerprint.count
        return youngest

    def receive(self, message: Message) -> Step:
        """Take one message of the peer's turn.

        Raises `RemoteError`: UNEXPECTED after the end of the run, TOO_MANY messages in a turn,
        MALFORMED where bounds or items do not ascend.
        """
        if self._done:
            raise RemoteError(Reason.UNEXPECTED, "this reconciliation has ended")
        for span, entry in self._peer_turn.take_untrusted(message):
            # Even where it is passed over: the peer waits for an answer, and may not ask again.
            self._found.was_asked |= wants(entry)
            if not self._passes_over(entry):
                self._answer(span, entry)
        if not message.last:
            return self._step(self._turn.take())
        asked, self._peer_turn = self._peer_turn.asked, _PeerTurn()
        return self._end_turn() if asked else self._step((), done=True)

    def _end_turn(self) -> Step:
        done, complete = not self._turn.asks, not self._exhausted
        messages = self._turn.end()
        self._turn = Turn()
        self._turns_taken += 1
        self._full = False
        self._sent = 0
        return self._step(messages, done=done, complete=complete)

    def _step(
        self, messages: tuple[Message, ...], *, done: bool = False, complete: bool = True
    ) -> Step:
        self._done = done
        found, self._found = self._found, Findings()
        return found.step(messages, done=done, complete=complete)

    @property
    def _exhausted(self) -> bool:
        return self._turns_taken >= limits.RECONCILE_TURNS

    def _passes_over(self, entry: Range) -> bool:
        # A full turn asks about everything further on: what still differs will come again.
        return self._full or (self._exhausted and asks(entry))

    def _answer(self, span: Span, entry: Range) -> None:
        match entry:
            case Compare(fingerprint=theirs):
                self._answer_compare(span, theirs)
            case Leaf(names=names, sends=sends):
                self._answer_leaf(span, split_names(names), sends=sends)
            case Differ(items=shown, wanted=wanted):
                self._take_differ(span, shown, split_names(wanted))
            case Holds(count=count):
                self._note_holds(span, count)

    def _answer_compare(self, span: Span, theirs: Fingerprint) -> None:
        mine = self._set.fingerprint(span)
        if mine == theirs:
            return
        is_small = max(mine.count, theirs.count) <= limits.LEAF_ITEMS
        # What fills a gap comes unseen, and may be just what the side that lacks it has set aside.
        if is_small and (mine.count or not self._eager):
            self._ask_leaf(span)
        elif mine.count == 0:
            if self._say(span, Holds(span.upper, 0)):
                self._found.we_lack(span, theirs.count)
        elif theirs.count == 0:
            if self._say(span, Holds(span.upper, mine.count)):
                self._found.peer_lacks(span, mine.count)
        else:
            self._ask_pieces(span, mine.count)

    def _ask_leaf(self, span: Span) -> None:
        names = self._named(self._set.items(span, limits.LEAF_ITEMS))
        if self._say(span, Leaf(span.upper, b"".join(names), self._eager)):
            self._found.has_asked |= self._eager

    def _answer_leaf(self, span: Span, theirs: Sequence[bytes], *, sends: bool) -> None:
        items = self._leaf_items(span)
        if items is None:
            return
        mine, named = self._named(items), set(theirs)
        surplus = tuple(item for name, item in mine.items() if name not in named)
        lacking = [name for name in theirs if name not in mine and name not in self._known_names]
        # What the peer has may be what we have set aside: then it has replaced what is here, and
        # would get that again each time. More than a turn's share is shown too, so that a flood of
        # eager leaves fills the turn.
        sends = sends and self._eager and self._sent + len(surplus) <= limits.RECONCILE_SENT_ITEMS
        shown = () if sends else surplus
        if (shown or lacking) and not self._say(span, Differ(span.upper, shown, b"".join(lacking))):
            return
        self._found.surplus.extend(surplus)
        if sends:
            self._sent += len(surplus)
            self._found.requested.extend(surplus)
        self._found.has_asked |= bool(lacking)
        self._found.asked += len(lacking)

    def _take_differ(self, span: Span, shown: Sequence[Item], theirs: Sequence[bytes]) -> None:
        items = self._set.items(span, limits.LEAF_ITEMS_MAX)
        wanted, held = set(theirs), set(items)
        requested = [item for item in items if self._name(item) in wanted] if wanted else []
        self._found.requested.extend(requested)
        self._found.surplus.extend(requested)
        self._found.missing.extend(item for item in shown if item not in held)

    def _note_holds(self, span: Span, theirs: int) -> None:
        if theirs:
            self._found.we_lack(span, theirs)
        elif mine := self._set.fingerprint(span).count:
            self._found.peer_lacks(span, mine)

    def _leaf_items(self, span: Span) -> Sequence[Item] | None:
        """The items of a leaf; if it has outgrown one, ask about its pieces instead."""
        items = self._set.items(span, limits.LEAF_ITEMS_MAX + 1)
        if len(items) <= limits.LEAF_ITEMS_MAX:
            return items
        self._ask_pieces(span, len(items))
        return None

    def _ask_pieces(self, span: Span, count: int) -> None:
        pieces = self._root_pieces(count) if span == EVERYTHING else self._pieces(span, count)
        for piece, fingerprint in pieces:
            if not self._say(piece, Compare(piece.upper, fingerprint)):
                return

    def _pieces(self, span: Span, count: int) -> Iterable[tuple[Span, Fingerprint]]:
        return self._set.split(span, min(max(count // _PIECE_ITEMS, 2), _PIECES_MAX))

    def _root_pieces(self, count: int) -> Iterable[tuple[Span, Fingerprint]]:
        # Differences cluster at the young end, so the youngest piece is cut down to a leaf at once.
        parts = min(max(isqrt(count) // 4, _ROOT_PIECES_MIN), _ROOT_PIECES_MAX)
        pieces = list(self._set.split(EVERYTHING, parts))
        while pieces[-1][1].count > limits.LEAF_ITEMS:
            youngest, _ = pieces.pop()
            pieces.extend(self._set.split(youngest, _YOUNG_PIECES))
        return pieces

    def _say(self, span: Span, entry: Range) -> bool:
        """Put `entry` into our turn; if it is full, ask about all that is left, and say no more."""
        if self._turn.add(span, entry):
            return True
        rest = Span(span.lower, None)
        self._turn.add_remainder(rest, Compare(None, self._set.fingerprint(rest)))
        self._full = True
        return False

    def _named(self, items: Iterable[Item]) -> dict[bytes, Item]:
        return {self._name(item): item for item in items}

    def _name(self, item: Item) -> bytes:
        return self._name_of(item.digest or item.key)

    def _name_of(self, digest: bytes) -> bytes:
        return hashlib.sha256(self._salt + digest).digest()[:NAME_BYTES]


class _PeerTurn:
    """What the peer has said in the turn that it is taking."""

    def __init__(self) -> None:
        self.asked = False
        self._messages = 0
        self._reached: bytes | None = b""

    def take_untrusted(self, message: Message) -> list[tuple[Span, Range]]:
        self._messages += 1
        if self._messages > limits.RECONCILE_TURN_MESSAGES:
            raise RemoteError(Reason.TOO_MANY, "messages in one turn of a reconciliation")
        ranges = decode_untrusted_ranges(message, self._reached)
        if ranges:
            self._reached = ranges[-1][0].upper
        self.asked = self.asked or any(asks(entry) for _, entry in ranges)
        return ranges

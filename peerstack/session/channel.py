"""One group with one peer: show where one stands, compare, ask for what is missing.

Statements are brought level first, then records. Each side pulls: it asks for what could change
anything on it, so nothing but news is pushed on a device that has refused or holds it. Of the two,
the one that answered begins each comparison (`docs/protocol.md`, "Bringing a group level").
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ids import GroupId
from peerstack.keys import Hash
from peerstack.reconcile import Fingerprint, Item, Reconciler, Span, Step
from peerstack.reconcile import Gap as FoundGap
from peerstack.record import Signed
from peerstack.session.audit import Audit, span_of
from peerstack.session.introduction import Introduction
from peerstack.session.lease import Lease
from peerstack.session.replica import Replica, Roots, SecretKind, Standing
from peerstack.session.run import Run
from peerstack.session.shown import level_of, roots_untrusted
from peerstack.session.wire import (
    Batch,
    Compared,
    Gap,
    Kind,
    Level,
    Message,
    Ranges,
    Served,
    Unproven,
    Want,
)

T = TypeVar("T")


class State(enum.Enum):
    """How far a group is level with one peer."""

    UNPROVEN = "unproven"
    """By the statements here, the peer is no member (yet)."""
    WORKING = "working"
    """Comparing, or waiting for the other's word."""
    LEVEL = "level"
    """Neither side lacks what the other shows."""


class Request(NamedTuple):
    """What is to be sent, all of one set."""

    kind: Kind
    keys: Sequence[bytes]
    spans: Sequence[Span]
    excluded: frozenset[bytes]


class Channel:
    """One side of bringing one group level with one peer. Says what it has to by `outbox`."""

    def __init__(self, group: GroupId, mine: int, *, salt: Hash, leads: bool) -> None:
        """`mine`: its number in what this device sends. `leads`: this side begins comparisons."""
        self.group: Final = group
        self.mine: Final = mine
        self.kind = SecretKind.INVITE
        """What the secrets that are shared with the peer say of it (so far), at best."""
        self.standing = Standing.UNKNOWN
        self.outbox: list[Message] = []
        self.introduction: Final = Introduction(group)
        self.parts = False
        """Whether the peer is to be shown why it is in the group no more."""
        self.requests: list[Request] = []
        """What the peer has asked for, to be sent and each followed by a `Served`."""
        self.wanted_items = 0
        """Records asked for on this connection (in gaps, by the peer's word how many)."""
        self.stored_items = 0
        """Records that came on this connection and are dealt with."""
        self._lease = Lease(group)
        self._salt = salt
        self._audit = Audit(salt, group)
        self._leads = leads
        self._shown: Roots | None = None
        self._heard: Roots | None = None
        self._run: Run | None = None
        self._compared: dict[Kind, tuple[Roots, Roots]] = {}
        self._has_agreed = False
        """Whether both stood at the same level before: what differs since is new, mostly."""
        self._unheeded = False
        """Whether the peer has shown its level since it was last decided what to do."""
        self._settled = False
        self._wants_open = 0
        self._unsettled: dict[int, int] = {}
        self._owes_level = False
        self._owes_close = False
        self._awaits_close = False
        self._doubted = False
        self._was_doubted = False
        self._sampled: Roots | None = None
        self._audited = False
        self._claimed: bytes | None = None
        """The peer's sample of what `_heard` stands for, until it is checked."""
        self._refuted = False
        self._in_doubt = False
        """Whether the peer, which leads, has to compare what only seems to agree."""
        self._introduced_items = 0

    @property
    def state(self) -> State:
        """How far the group is level with this peer, as far as this side can know."""
        if self.is_stranger:
            return State.UNPROVEN
        level = self._shown is not None and self._shown == self._heard
        level = (level or self._settled) and not self._in_doubt
        return State.LEVEL if level and not self.busy else State.WORKING

    @property
    def is_stranger(self) -> bool:
        """Whether nothing of the group is for the peer: it is no member, or no member any more."""
        return self.standing in (Standing.UNKNOWN, Standing.PARTED)

    @property
    def has_shown_level(self) -> bool:
        """Whether the peer has shown its level, as who takes itself for a member does."""
        return self._heard is not None

    @property
    def statements_level(self) -> bool:
        """Whether the peer has shown all its statements: what is missing, it has not either."""
        if self._heard is None or self._shown is None:
            return False
        level = self._heard.statements == self._shown.statements
        return level or self._was_compared(Kind.STATEMENTS, self._shown, self._heard)

    @property
    def busy(self) -> bool:
        """Whether this side waits for something that it asked for."""
        asked = self._run is not None or self._wants_open > 0
        return asked or bool(self._lease.put_off) or bool(self._unsettled)

    @property
    def has_word(self) -> bool:
        """Whether there is anything to be said, or sent."""
        return bool(self.outbox or self.requests or self.parts or self.introduction.due)

    @property
    def waits(self) -> bool:
        """Whether the peer owes this side anything: what is being checked, it has given."""
        asked = self._run is not None or self._wants_open > 0
        return asked or self._awaits_close or self._in_doubt

    @property
    def is_served(self) -> bool:
        """Whether the peer has yet to send some of what this side has asked for."""
        return self._wants_open > 0

    def is_owed(self, message: Message) -> bool:
        """Whether a message is, or is part of, what the peer owes this side."""
        match message:
            case Ranges():
                return self._run is not None
            case Batch() | Served():
                return self.is_served
            case Level(closes=closes):
                return closes and self._awaits_close
            case _:
                return False

    def is_level_at(self, roots: Roots) -> bool:
        """Whether the peer is known to have all that is here now, and the other way round."""
        return self.state is State.LEVEL and self._shown == roots

    def has_shown_records(self, records: Fingerprint) -> bool:
        """Whether the peer, a member, has last shown these records of the group."""
        shown = self._heard is not None and self._heard.records == records
        in_doubt = self._in_doubt or self.busy
        return shown and self.standing is Standing.MEMBER and not in_doubt

    # --- What happens to it. --------------------------------------------------------------------

    def judged(self, standing: Standing, replica: Replica) -> None:
        """What the statements here say of the peer, at the start and when they change."""
        before, self.standing = self.standing, standing
        if standing is not Standing.MEMBER:
            self._lease.put_off.clear()
            self.introduction.take_held()
        if self.is_stranger:
            self._doubt()
        elif before is not standing:
            # The side that leads asks for nothing by showing its level; the other is compared with.
            mine = replica.roots(self.group)
            if self._leads or self._begins(replica):
                self._sample(mine, replica)
            self._consider(replica)
        if standing is Standing.HOST:
            self._introduce(replica)
        elif before is Standing.HOST and self._was_doubted:
            # What it was shown then could not say why we are a member: that came only now.
            self._introduce(replica)
        if standing is Standing.PARTED and before is not standing:
            self.parts = True

    def refresh(self, replica: Replica) -> None:
        """Show where this side stands, if that has changed since."""
        roots = replica.roots(self.group)
        if self.is_stranger or self.busy:
            return
        if self._lease.waits and not self._begins(replica):
            return
        if self._shown != roots:
            self._show(roots)
        if self._heard == roots:
            # The peer had it first, and need not say anything more.
            replica.agreed(self.group)

    def resume(self, replica: Replica) -> None:
        """What kept this peer waiting is over: begin, unless another was first.

        Raises `RemoteError` for what the peer has said meanwhile, and was put off.
        """
        mine = replica.roots(self.group)
        if not self._lease.waits or not (mine == self._heard or self._begins(replica)):
            return
        for message in self._lease.take_put_off():
            self.ranges_untrusted(message, replica)
        if self._shown is None:
            self._sample(mine, replica)
        self._consider(replica)

    def _begins(self, replica: Replica) -> bool:
        """Whether this peer may bring the group level now; a stranger brings nothing."""
        return self.is_stranger or self._lease.begins(replica)

    def level_untrusted(self, message: Level, replica: Replica) -> None:
        """The peer showed where it stands. Raises `RemoteError`."""
        heard = roots_untrusted(message, self._heard)
        if self.standing is Standing.PARTED and not self.has_shown_level:
            self.parts = True
        if message.audit is not None or heard != self._heard:
            self._claimed = message.audit
        self.introduction.stands(heard.statements)
        self._heard = heard
        self._settled = False
        self._unheeded = True
        if message.closes:
            self._awaits_close = False
        self._consider(replica)

    def doubted(self, replica: Replica) -> None:
        """The peer does not know us as a member: show why we are, as far as we know it."""
        self._was_doubted = True
        self._introduce(replica)

    def compared(self) -> None:
        """The peer, which leads, says that there is nothing left to bring over."""
        self._settled = self._heard is not None

    def ranges_untrusted(self, message: Ranges, replica: Replica) -> None:
        """The next message of a comparison. Raises `RemoteError`."""
        self._require_standing(message.kind)
        if self._under_way not in (None, message.kind):
            raise RemoteError(Reason.UNEXPECTED, "a comparison of another set is under way")
        if self._run is None:
            if self._leads:
                raise RemoteError(Reason.UNEXPECTED, "only the side that answered may compare")
            if self._lease.defers(message, self._heard, replica):
                return
            self._run = Run(message.kind, self._reconciler(message.kind, replica))
        self._took(self._run.reconciler.receive(message.message), replica)

    @property
    def _under_way(self) -> Kind | None:
        """What is being compared, or will be as soon as it is this peer's turn."""
        if self._run is not None:
            return self._run.kind
        return self._lease.put_off[0].kind if self._lease.put_off else None

    def want_untrusted(self, want: Want) -> None:
        """The peer asks for something.

        Raises `RemoteError` where it is no member; nothing of a group goes to others.
        """
        if self.standing is Standing.HOST and want.kind is Kind.STATEMENTS:
            # Two who are no members (yet) may each take the other for one. They give nothing away.
            self._requested(Request(want.kind, (), (), frozenset()))
            return
        if self.standing is not Standing.MEMBER:
            raise RemoteError(Reason.NOT_MEMBER, f"asks for {want.kind.name.lower()}")
        spans = [Span(gap.lower, gap.upper) for gap in want.gaps]
        self._requested(Request(want.kind, want.keys, spans, frozenset(want.excluded)))

    def served_untrusted(self, replica: Replica) -> None:
        """All that our oldest open request asked for has been sent. Raises `RemoteError`."""
        if self._wants_open == 0:
            raise RemoteError(Reason.UNSOLICITED, "served what nobody had asked for")
        self._wants_open -= 1
        self._fetched(replica)

    def arrived_untrusted(self, kind: Kind, number: int, items: Sequence[Signed]) -> None:
        """A batch came and is being verified. Raises `RemoteError`."""
        count = len(items)
        if self.is_stranger and kind is Kind.STATEMENTS:
            self._introduced_items += count
            if self._introduced_items > limits.INTRODUCTION_STATEMENTS:
                raise RemoteError(Reason.NOT_MEMBER, "more statements from who is no member")
        else:
            self._require_standing(kind)
        if number in self._unsettled:
            raise RemoteError(Reason.UNEXPECTED, "a batch number twice")
        self._unsettled[number] = count if kind is Kind.RECORDS else 0
        if kind is Kind.STATEMENTS:
            self.introduction.heard(items)

    def settled(self, number: int, replica: Replica) -> None:
        """A batch is dealt with."""
        self.stored_items += self._unsettled.pop(number)
        # What an eager leaf asked for, and news, are counted as they come.
        self.wanted_items = max(self.wanted_items, self.stored_items)
        self._fetched(replica)

    def _fetched(self, replica: Replica) -> None:
        # News that was not asked for starts nothing: levels are shown a moment after it.
        if self._owes_level or self._owes_close or self._unheeded:
            self._consider(replica)

    # --- What it does. --------------------------------------------------------------------------

    def _require_standing(self, kind: Kind) -> None:
        allowed = self.standing is Standing.MEMBER or (
            self.standing is Standing.HOST and kind is Kind.STATEMENTS
        )
        if not allowed:
            raise RemoteError(Reason.NOT_MEMBER, f"{kind.name.lower()} from who is no member")

    def _doubt(self) -> None:
        # Who comes by invite and knows that it is no member introduces itself without being asked.
        if not self._doubted:
            self._doubted = True
            self.outbox.append(Unproven(self.mine))

    def _introduce(self, replica: Replica) -> None:
        """Show what says who we are to the group."""
        self.introduction.answer(replica.introduction(self.group))

    def _show(self, roots: Roots, audit: bytes | None = None) -> None:
        self.outbox.append(
            level_of(self.mine, roots, self._shown, closes=self._owes_close, audit=audit)
        )
        self._shown = roots
        # To show it answers the other's; who leads answers by comparing.
        self._unheeded &= self._leads
        self._owes_level = self._owes_close = self._settled = False

    def _sample(self, roots: Roots, replica: Replica) -> None:
        """Show the level; where this side leads, with a sample: the other answers a false one."""
        samples = self._leads and self.standing is Standing.MEMBER
        self._sampled = roots
        self._show(roots, self._audit.digest(self._neighbours(roots, replica)) if samples else None)

    def _neighbours(self, roots: Roots, replica: Replica) -> Sequence[Item]:
        return replica.sample(self.group, self._audit.rank(roots.records.count))

    def _consider(self, replica: Replica) -> None:
        """Decide what to do next, once nothing is under way."""
        if self.busy or self.is_stranger or self._heard is None:
            return
        # A peer that shows its level, and leads, needs ours where that differs.
        answering, self._unheeded = self._unheeded, False
        mine = replica.roots(self.group)
        if self._owes_level or self._owes_close:
            self._show(mine)
            answering = False
        if self._awaits_close:
            return
        if mine == self._heard:
            self._agree(mine, replica)
        elif self._leads:
            if self._begins(replica):
                self._compare(mine, self._heard, replica)
        elif answering or self._shown != mine:
            if self._begins(replica):
                self._show(mine)
            else:
                self._unheeded = answering

    def _agree(self, mine: Roots, replica: Replica) -> None:
        """The roots are the same on both sides; are the sets?"""
        self._lease.waits = False
        self._has_agreed = True
        replica.agreed(self.group)
        # A sample counts only where the levels agree: if they did not at first, one more.
        if self._leads and not self._audited:
            self._audited = True
            if self._sampled != mine:
                self._sample(mine, replica)
        if self._shown != mine:
            self._show(mine)
        claimed, self._claimed = self._claimed, None
        if claimed is not None and self.standing is Standing.MEMBER:
            self._check_claim(claimed, mine, replica)

    def _check_claim(self, claimed: bytes, mine: Roots, replica: Replica) -> None:
        """Where sums agree and a sample does not, sums were made to agree: compare all the same.

        Once something that they hid has come over, they tell of the rest. The side that leads
        compares; where the other finds it, that one shows its own sample. Once in a session: a peer
        may say what it likes.
        """
        sample = self._neighbours(mine, replica)
        digest = self._audit.digest(sample)
        if self._refuted or digest == claimed:
            return
        self._refuted = True
        if self._leads:
            self._run = Run(Kind.RECORDS, self._reconciler(Kind.RECORDS, replica))
            self._took(self._run.reconciler.start_doubting(span_of(sample)), replica)
        else:
            self._in_doubt = True
            self._show(mine, digest)

    def _compare(self, mine: Roots, heard: Roots, replica: Replica) -> None:
        kind = self._differing(mine, heard)
        if kind is None:
            if self._shown != mine:
                self._show(mine)
            if not self._settled:
                self._settled = True
                self.outbox.append(Compared(self.mine))
            return
        again = kind is Kind.RECORDS and (self._has_agreed or kind in self._compared)
        self._compared[kind] = (mine, heard)
        self._run = Run(kind, self._reconciler(kind, replica))
        start = self._run.reconciler.start_again if again else self._run.reconciler.start
        self._took(start(heard[kind]), replica)

    def _differing(self, mine: Roots, heard: Roots) -> Kind | None:
        """The first set that differs and has not been compared as it is."""
        kinds = [Kind.STATEMENTS]
        if self.standing is Standing.MEMBER:
            kinds.append(Kind.RECORDS)
            # Where winners differ (one is held or refused here), losers do too, and rightly.
            if mine.records == heard.records:
                kinds.append(Kind.CONFLICTS)
        differing = (kind for kind in kinds if mine[kind] != heard[kind])
        return next((k for k in differing if not self._was_compared(k, mine, heard)), None)

    def _was_compared(self, kind: Kind, mine: Roots, heard: Roots) -> bool:
        before = self._compared.get(kind)
        if before is None or kind is Kind.RECORDS:
            return before == (mine, heard)
        return (before[0][kind], before[1][kind]) == (mine[kind], heard[kind])

    def _reconciler(self, kind: Kind, replica: Replica) -> Reconciler:
        known = replica.excluded(self.group, kind)
        eager = not replica.has_set_aside(self.group, kind)
        return Reconciler(replica.ordered(self.group, kind), self._salt, known, eager=eager)

    def _took(self, step: Step, replica: Replica) -> None:
        assert self._run is not None
        kind = self._run.kind
        self.outbox.extend(Ranges(self.mine, kind, message) for message in step.messages)
        self._want(kind, step.missing, step.missing_gaps, replica)
        self._run.note(step)
        if not step.complete:
            self._compared.pop(kind, None)
        if step.done:
            self._end_run(self._run)
            self._consider(replica)

    def _end_run(self, run: Run) -> None:
        """What was asked for by name on either side counts as one request.

        Each run ends with the level of the side that follows, once it has what it wanted: before
        that, the leader cannot know whether anything is left to compare.
        """
        self._run = None
        self._in_doubt = False
        if not self._leads:
            self._owes_close = True
        elif run.was_told:
            self._awaits_close = True
        if run.has_asked:
            self._opened_want(run.kind, run.asked)
        if run.was_asked:
            # Whoever is no member of ours gets nothing, but is told that this was all.
            keys = tuple(run.requested) if self.standing is Standing.MEMBER else ()
            self._requested(Request(run.kind, keys, (), frozenset()))

    def _requested(self, request: Request) -> None:
        self.requests.append(request)

    def _want(
        self, kind: Kind, missing: Sequence[Item], gaps: Sequence[FoundGap], replica: Replica
    ) -> None:
        keys = [item.key for item in replica.wanted(self.group, kind, missing)]
        known = replica.excluded(self.group, kind) if gaps else ()
        excluded = tuple(known[: limits.WANT_EXCLUDED])
        for some in _chunks(keys, limits.WANT_KEYS):
            self._ask(Want(self.mine, kind, tuple(some)), len(some))
        for some_gaps in _chunks(gaps, limits.WANT_GAPS):
            spans = tuple(Gap(gap.span.lower, gap.span.upper) for gap in some_gaps)
            count = sum(gap.count for gap in some_gaps)
            self._ask(Want(self.mine, kind, (), spans, excluded), count)

    def _ask(self, want: Want, count: int) -> None:
        self.outbox.append(want)
        self._opened_want(want.kind, count)

    def _opened_want(self, kind: Kind, count: int) -> None:
        if kind is Kind.RECORDS:
            self.wanted_items += count
        self._wants_open += 1
        self._owes_level = True


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))

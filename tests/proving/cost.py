"""What it took to bring all level again, beside what had to be brought."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from peerstack import limits
from peerstack.keys import Hash
from peerstack.record import Signed
from peerstack.testing.invariants import Broken, records_in, statements_in
from peerstack.testing.world import Sent
from tests.proving.lives import Before, Lives, aside_at, statements_at, versions_at

TIMES_OVER: Final = 2
"""What several peers have comes from one; of one that is slow, or ends, it may come again."""

TOLD_OVER: Final = limits.PEERS_PER_GROUP
"""Each peer shows who comes what says that it is, or is not, a member."""

SLACK_BYTES: Final = 10_000
"""What may be sent to who has it already: what is news there is not known to all at once."""

SIDE_BYTES: Final = 8_000
"""Of one side of a connection: handshake, who one is, comparisons."""

LEVEL_BYTES: Final = 60
"""Of what one device shows another once a mark has come: that they are level again."""

Sizes = Mapping[bytes, int]
"""Hashes, and the bytes of what they stand for."""

Side = tuple[bytes, str]
"""One side of a connection: what names its pipe, and who speaks."""


@dataclass
class Cost:
    """What honest devices sent since all was well, in bytes."""

    lacked: int
    """Versions that some device did not have before, and has now; though it be in quarantine."""
    missed: int
    """Statements, the same."""
    sent: int = 0
    carried: int = 0
    """Records, and statements to who has them now and did not before."""
    records: int = 0
    """Records to who did not have them before.

    One that a device had may come along, where a leaf is sent unseen: that is not counted.
    """
    told: int = 0
    """Statements to who has them now and did not before; all others say who the sender is."""
    sides: set[Side] = field(default_factory=set)
    """Those that said who they are, on a new connection or on one that there was."""
    marks: set[Hash] = field(default_factory=set)
    """Those that were sent to anybody."""


def check_cost(lives: Lives, before: Before) -> None:
    """Bringing all level took what had to be brought, a few times at most, and some talk."""
    cost = cost_of(lives, before)
    levels = len(cost.marks) * sum(device.honest for device in lives.devices) ** 2 * LEVEL_BYTES
    talk = (len(cost.sides) + 1) * SIDE_BYTES
    _check("records", cost.records, TIMES_OVER * cost.lacked + SLACK_BYTES, cost)
    _check("statements", cost.told, TOLD_OVER * cost.missed + SLACK_BYTES, cost)
    _check("all", cost.sent, cost.carried + talk + levels, cost)


def _check(what: str, size_bytes: int, bound_bytes: int, cost: Cost) -> None:
    if size_bytes > bound_bytes:
        raise Broken(
            f"{what}: {size_bytes} bytes, more than {bound_bytes}, by {len(cost.sides)} who said "
            f"who they are, to bring {cost.lacked} of records and {cost.missed} of statements"
        )


def cost_of(lives: Lives, before: Before) -> Cost:
    """What it took to bring all level since all was well."""
    lacked, missed = dict[str, Sizes](), dict[str, Sizes]()
    for device in lives.devices:
        had = before.versions[device.name].keys() | before.aside[device.name].keys()
        lacked[device.name] = _but({**versions_at(device), **aside_at(device)}, had)
        missed[device.name] = _but(statements_at(device), before.statements[device.name].keys())
    cost = Cost(_sum(lacked), _sum(missed))
    honest = {device.name for device in lives.devices if device.honest}
    for sent in lives.world.sent[before.sent :]:
        if sent.sender in honest:
            counted, got = before.versions.get(sent.receiver, {}), missed.get(sent.receiver, {})
            _count(cost, sent, counted, got)
    return cost


def _count(cost: Cost, sent: Sent, counted: Sizes, got: Sizes) -> None:
    """Add one message: what `counted` at its receiver before, and which statements it has `got`."""
    records, statements = list(records_in(sent.data)), list(statements_in(sent.data))
    told = [each for each in statements if each.hash in got]
    cost.sent += len(sent.data)
    cost.carried += _total(records) + _total(told)
    cost.records += _total(each for each in records if each.hash not in counted)
    cost.told += _total(told)
    cost.marks.update(each.hash for each in records if each.is_mark)
    if sent.kind == "Hello" or len(told) < len(statements):
        cost.sides.add((sent.pipe, sent.sender))


def _but(sizes: Sizes, known: Collection[bytes]) -> Sizes:
    return {key: size for key, size in sizes.items() if key not in known}


def _sum(gained: Mapping[str, Sizes]) -> int:
    return sum(sum(each.values()) for each in gained.values())


def _total(items: Iterable[Signed]) -> int:
    return sum(len(each.body) + len(each.signature) for each in items)

"""Sums that were made to agree: a sample tells the sets apart, and they become level.

Crafting two sets of one sum takes a long computation: the tests claim the sum in the database, or
make all sums alike, so that they say no more than how many records there are.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import msgspec
import pytest

from peerstack import limits
from peerstack.engine import Turn
from peerstack.ids import GroupId, as_group
from peerstack.keys import Hash
from peerstack.reconcile import Item, Sum
from peerstack.reconcile.wire import Message as RangesMessage
from peerstack.session.audit import Audit
from peerstack.session.wire import AUDIT_BYTES, Level, Message, Ranges, decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.big import large_family, take_away
from tests.simulation.people import family_of
from tests.simulation.scripted import Scripted, member_at, secret_of

GROUP = as_group("01ARZ3NDEKTSV4RRFFQ69G5FAV")


@pytest.fixture
def blind_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that hide all but the number of items."""
    monkeypatch.setattr(Sum, "of", lambda _: Sum(1, 0))


def said_by_all(world: World, since: int) -> list[Message]:
    return [decode_untrusted(sent.data) for sent in world.sent[since:]]


def audits_in(said: Sequence[Message]) -> list[bytes]:
    return [each.audit for each in said if isinstance(each, Level) and each.audit is not None]


def reconnect(world: World, *devices: Device) -> list[Message]:
    """What devices say in a session of their own."""
    before = len(world.sent)
    for device in devices:
        device.go_online()
    world.settle()
    for device in devices:
        device.go_offline()
    world.run(60_000)
    return said_by_all(world, before)


def claim_root_of(other: Device, device: Device, group: GroupId) -> None:
    """Make the device's root that of another device, whatever it holds."""
    row = other.perform(lambda turn: turn.tx.group(group))
    assert row is not None
    claimed = (row.records.count, row.records.dump(), group)

    def claim(turn: Turn) -> None:
        sql = "UPDATE groups SET count = ?, sum = ? WHERE id = ?"
        turn.tx._connection.exec_driver_sql(sql, claimed)

    device.perform(claim)


def test_sets_that_differ_under_one_sum_become_level() -> None:
    world = World(seed="one sum")
    ana, ben = world.device("ana"), world.device("ben")
    group = ana.create_group("Family")
    ben.join(ana.invite(group))
    world.run_until(lambda: ana.is_level(group) and ben.is_level(group))
    ben.go_offline()
    ana.put(group, "note", {"title": "hidden from Ben"})
    world.settle()
    claim_root_of(ana, ben, group)

    ben.go_online()
    world.settle()

    assert ben.records(group) == ana.records(group)
    assert len(ben.find(group, "note")) == 1


def test_equal_sets_are_sampled_once_and_nothing_is_fetched() -> None:
    world = World(seed="no-op")
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.settle()

    said = reconnect(world, ana, ben)

    assert ben.records(family) == ana.records(family)
    assert sorted(type(each).__name__ for each in said if isinstance(each, Level | Ranges)) == [
        "Level",
        "Level",
    ]
    assert len(audits_in(said)) == 1


def test_each_session_samples_anew() -> None:
    world = World(seed="anew")
    _, devices = family_of(world, "ana", "ben")
    for device in devices:
        device.go_offline()

    audits = [audit for _ in range(4) for audit in audits_in(reconnect(world, *devices))]

    assert len(audits) == len(set(audits)) == 4


@pytest.mark.usefixtures("blind_sums")
def test_sets_whose_records_have_other_ranks_are_level_after_one_session() -> None:
    """One lacks an early record, the other a late one: all between them stand one place further."""
    world, family, ana, ben = large_family(300)
    notes = ana.find(family, "note")
    take_away(ana.store, family, notes[5:6])
    take_away(ben.store, family, notes[290:291])

    reconnect(world, ana, ben)

    assert ana.find(family, "note") == ben.find(family, "note") == notes


@pytest.mark.usefixtures("blind_sums")
def test_what_the_sample_of_one_session_misses_that_of_another_finds() -> None:
    world, family, ana, ben = large_family(300)
    notes = ana.find(family, "note")
    take_away(ana.store, family, notes[150:151])
    take_away(ben.store, family, notes[151:152])

    sessions = 0
    while ana.find(family, "note") != ben.find(family, "note"):
        reconnect(world, ana, ben)
        sessions += 1
        assert sessions < 30

    assert ana.find(family, "note") == notes


@pytest.mark.usefixtures("blind_sums")
@pytest.mark.parametrize("lacking", ["ana", "ben"])
def test_sums_that_agree_only_after_a_comparison_are_checked_too(
    lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AUDIT_ITEMS", 120)
    world, family, ana, ben = large_family(200)
    notes = ana.find(family, "note")
    # In every sample of so many; and one record, far from these, whose lack the sums do show.
    take_away(ana.store, family, notes[100:101])
    take_away(ben.store, family, notes[101:102])
    take_away(world.devices[lacking].store, family, notes[20:21])

    reconnect(world, ana, ben)

    assert ana.find(family, "note") == ben.find(family, "note") == notes


def test_a_peer_that_leads_and_lies_about_its_sample_is_answered_once() -> None:
    family, ana, _, script = member_at(World(seed="lies"))
    (shown,) = script.heard(Level)
    lie = Level(0, shown.statements, shown.records, audit=bytes(AUDIT_BYTES))

    for _ in range(3):
        script.say(lie)

    assert len(audits_in(script.heard(Level))) == 1
    assert not script.is_cut_off
    assert not ana.is_level(family)


def test_a_peer_that_follows_and_lies_about_its_sample_is_compared_with_once() -> None:
    world = World(seed="lies")
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    world.run(60_000)
    script = Scripted(world, ana, ben.user, dialled=True).shake_hands()
    script.name_groups(family, secret_of(ben, family))
    (shown,) = script.heard(Level)
    lie = Level(0, shown.statements, shown.records, audit=bytes(AUDIT_BYTES))

    script.say(lie)
    (asked,) = script.heard(Ranges)
    closing = msgspec.structs.replace(lie, closes=True)
    script.say(nothing_differs(asked), closing, closing)

    assert len(script.heard(Ranges)) == 1
    assert not script.is_cut_off


def nothing_differs(asked: Ranges) -> Ranges:
    """The answer of who has the same records."""
    return Ranges(0, asked.kind, RangesMessage(b"", (), True))


def test_place_and_digest_are_those_of_the_protocol() -> None:
    transcript, kind = Hash(bytes(range(32))), b"\1"
    framed = len(GROUP).to_bytes(4, "big") + GROUP.encode() + len(kind).to_bytes(4, "big") + kind
    seed = hmac.digest(transcript, b"peerstack/1 audit\0" + framed, "sha256")
    items = [Item(b"key", b"digest"), Item(b"other", b"digest")]
    hashes = [sha(len(i.key).to_bytes(2, "big") + i.key + i.digest) for i in items]

    audit = Audit(transcript, GROUP)

    assert audit.digest(items) == sha(seed + hashes[0] + hashes[1])[:AUDIT_BYTES]
    assert audit.rank(100_000) == int.from_bytes(seed[:8], "big") % (100_000 - 63)
    assert [audit.rank(count) for count in (0, 1, 63, 64)] == [0, 0, 0, 0]


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()

"""What several peers have comes from one of them, and none keeps the others waiting for long."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from peerstack import limits
from peerstack.engine.leases import Leases
from peerstack.engine.revoking import revoke_device
from peerstack.groups.statements import CLOSE_TYPE, GRANT_TYPE, SEAL_TYPE, Role
from peerstack.ids import GroupId, RecordId, as_group
from peerstack.keys import Hash
from peerstack.ports import Instant
from peerstack.reconcile import Fingerprint
from peerstack.reconcile.wire import Leaf, Message
from peerstack.record import Body, Signed, compose
from peerstack.session.wire import Batch, Kind, Level, Ranges
from peerstack.signaling.rendezvous import Link
from peerstack.testing.conditions import Conditions
from peerstack.testing.device import Device
from peerstack.testing.invariants import records_in, statements_in
from peerstack.testing.world import World
from tests.simulation.people import assert_level, at_another_device, conflicts_at, family_of, live
from tests.simulation.scripted import Scripted, link_reader, secret_of

OTHERS = Fingerprint(1, b"\1" * 16)
"""Conflicts that nobody has."""

NAMES = ("ana", "ben", "cy", "di", "eva", "fay")


def came_to(world: World, receiver: Device, since: int) -> Counter[bytes]:
    """How often each version was sent to a device."""
    return Counter(
        signed.hash
        for sent in world.sent[since:]
        if sent.receiver == receiver.name
        for signed in records_in(sent.data)
    )


@pytest.mark.parametrize("count", [3, 200, 3_000])
def test_a_device_that_comes_back_is_sent_what_it_lacks_once_though_many_have_it(
    count: int,
) -> None:
    world = World(count)
    family, devices = family_of(world, *NAMES)
    ana, fay = devices[0], devices[-1]
    ana.put(family, "note", {"before": True})
    world.settle()
    fay.go_offline()
    ana.put_many(family, "note", [{"n": n} for n in range(count)])
    world.settle()
    since = len(world.sent)
    fay.go_online()
    world.settle()

    assert_level(family, devices)
    assert len(fay.peers()) == len(devices) - 1
    came = came_to(world, fay, since)
    assert set(came.values()) == {1}
    # The others' marks came too, once each.
    assert len(came.keys() & {note.hash for note in ana.find(family, "note")}) == count


def test_a_newcomer_is_sent_everything_once_though_many_have_it() -> None:
    world = World("newcomer")
    family, devices = family_of(world, *NAMES[:4])
    for device in devices:
        device.put_many(family, "note", [{"by": device.name, "n": n} for n in range(50)])
    link = devices[0].invite(family)
    world.settle()
    newcomer = world.device("newcomer")
    newcomer.join(link)
    world.settle()

    assert_level(family, [*devices, newcomer])
    messages = [sent.data for sent in world.sent if sent.receiver == newcomer.name]
    told = Counter(signed.hash for data in messages for signed in statements_in(data))
    assert max(told.values()) == 1
    assert max(came_to(world, newcomer, 0).values()) == 1


def test_who_has_the_link_and_brings_nothing_keeps_a_newcomer_waiting_for_seconds() -> None:
    world = World("mute host")
    ana = world.device("ana")
    family = ana.create_group("Family")
    note = ana.put(family, "note", {"title": "Milk"})
    text = ana.invite(family)
    world.settle()
    ana.go_offline()
    newcomer = world.device("newcomer")
    newcomer.join(text)
    world.run(1_000)
    script = link_reader(world, newcomer, family, text)
    script.say(Level(0, OTHERS, OTHERS))
    ana.go_online()

    world.run_until(lambda: newcomer.get(family, note.id) is not None, within_ms=15_000)
    assert not script.is_cut_off


def test_peers_that_bring_nothing_keep_the_others_waiting_for_seconds() -> None:
    world = World(1)
    family, (ana, *liars, fay) = family_of(world, *NAMES)
    fay.go_offline()
    ana.put_many(family, "note", [{"n": n} for n in range(200)])
    world.settle()
    for liar in liars:
        liar.tongue = lambda _, data: [] if any(records_in(data)) else [data]
    fay.go_online()
    world.run_until(lambda: len(fay.peers()) == 5)
    world.run((len(liars) + 1) * 5_000)

    assert live(fay, family) == live(ana, family)


def test_news_that_goes_by_levels_comes_once_though_many_have_it_and_all_were_level_before() -> (
    None
):
    world = World(5)
    family, devices = family_of(world, *NAMES)
    ana, fay = devices[0], devices[-1]
    ana.put(family, "note", {"before": True})
    world.settle()
    world.partition([ana], [fay])
    world.run(60_000)
    assert len(fay.peers()) == len(devices) - 2
    since = len(world.sent)
    # What is written goes to all who are connected with its author, and on from them by levels.
    for n in range(5):
        ana.put(family, "note", {"n": n})
        world.run(1_000)

    assert len(fay.find(family, "note")) == 6
    assert set(came_to(world, fay, since).values()) == {1}


def test_news_that_somebody_writes_comes_at_once_though_another_keeps_bringing_nothing() -> None:
    world, (first, second), (family, ana, ben) = scripts_and_a_member()
    ahead(first)
    ahead(second)
    note = ben.put(family, "note", {"text": "milk"})
    world.run(100)

    assert ana.get(family, note.id) == note


def test_word_of_a_removal_comes_at_once_though_others_keep_bringing_nothing() -> None:
    world, (first, second), (family, ana, ben) = scripts_and_a_member()
    ana.set_role(family, ben.user.id, "admin")
    world.run(10_000)
    ahead(first)
    ahead(second)
    ben.remove(family, second.user.id)
    world.run(100)

    assert second.user.id not in ana.members(family)


def test_word_of_a_lower_role_comes_at_once_and_whole() -> None:
    world, (first, second), (family, ana, ben) = scripts_and_a_member()
    eva = world.devices["eva"]
    ana.set_role(family, ben.user.id, "admin")
    world.run(10_000)
    ahead(first)
    ahead(second)
    ben.set_role(family, eva.user.id, "reader")
    world.run(100)

    assert ana.members(family)[eva.user.id] is Role.READER


@pytest.mark.parametrize("diverted", [False, True])
def test_word_of_a_removal_is_passed_on_within_a_second_by_who_hears_of_it(diverted: bool) -> None:
    world, (first, second), (family, ana, _) = scripts_and_a_member()
    cy, eva = world.devices["cy"], world.devices["eva"]
    ana.set_role(family, eva.user.id, "admin")
    world.run(10_000)
    world.partition([ana], [eva])
    eva.go_online()
    world.run(60_000)
    assert ana.user.device not in eva.peers()
    ahead(first)
    ahead(second)
    eva.remove(family, second.user.id)
    if diverted:
        # What it is told at the same moment is not what it would be passed.
        first.gives(of_a_later_version(cy, family, world.wall_ms), kind=Kind.STATEMENTS)
    world.run(700)

    assert second.user.id not in ana.members(family)


def test_word_of_a_revoked_device_comes_at_once_where_its_user_is() -> None:
    world, (first, second), (family, ana, ben) = scripts_and_a_member()
    laptop = at_another_device(world, ben, "laptop")
    world.run(10_000)
    laptop.go_offline()
    assert is_active_at(ana, family, laptop)
    ahead(first)
    ahead(second)
    ben.perform(lambda turn: revoke_device(turn, laptop.user.device, force=False))
    world.run(100)

    assert not is_active_at(ana, family, laptop)


def test_who_comes_back_is_told_of_ends_once_and_tells_nobody_who_knows() -> None:
    world = World(7)
    family, (ana, ben, cy, di, eva, fay) = family_of(world, *NAMES)
    eva.put(family, "note", {"text": "milk"})
    world.settle()
    eva.go_offline()
    fay.go_offline()
    world.run(60_000)
    ana.remove(family, eva.user.id)
    world.settle()
    since = len(world.sent)
    fay.go_online()
    world.settle()

    assert_level(family, [ana, ben, cy, di, fay])
    assert set(told(world, fay, CLOSE_TYPE, since)) == {1}
    assert not any(told(world, each, CLOSE_TYPE, since) for each in (ana, ben, cy, di))


@pytest.mark.parametrize("latency_ms", [10, 110])
def test_where_all_hear_of_an_end_at_once_nobody_is_told_twice(latency_ms: int) -> None:
    world = World(8, Conditions(latency_ms=(latency_ms, latency_ms)))
    family, (ana, *others, di, eva) = family_of(world, *NAMES)
    eva.put_many(family, "note", [{"n": n} for n in range(100)])
    world.settle()
    di.go_offline()
    eva.go_offline()
    world.run(60_000)
    since = len(world.sent)
    ana.remove(family, eva.user.id)
    world.run(130)
    ana.remove(family, di.user.id)
    world.settle()

    assert_level(family, [ana, *others])
    assert all(told(world, each, SEAL_TYPE, since) == [1, 1] for each in others)
    assert all(set(told(world, each, CLOSE_TYPE, since)) == {1} for each in others)


def test_only_ends_are_news_and_their_seals_come_with_them() -> None:
    world = World(9)
    family, (ana, ben, eva) = family_of(world, *NAMES[:3])
    eva.put(family, "note", {"text": "milk"})
    world.settle()
    eva.go_offline()
    world.run(60_000)
    since = len(world.sent)
    ana.set_role(family, ben.user.id, "admin")
    world.run(20)
    assert told(world, ben, GRANT_TYPE, since) == []
    ana.remove(family, eva.user.id)
    world.run(20)
    assert set(told(world, ben, CLOSE_TYPE, since)) == {1}
    assert told(world, ben, SEAL_TYPE, since) == [1]


def test_an_admin_who_is_passed_a_leave_need_not_seal_it_once_more() -> None:
    world = World(2)
    family, (ana, ben, eva) = family_of(world, *NAMES[:3])
    ana.set_role(family, ben.user.id, "admin")
    eva.put_many(family, "note", [{"n": n} for n in range(300)])
    world.settle()
    world.partition([ana], [eva])
    world.run(60_000)
    eva.leave(family)
    # Nothing comes by levels before that.
    world.conditions = replace(world.conditions, latency_ms=(400, 400))
    world.settle()

    seals = [each for each in statements_of(ana, family) if each.type == SEAL_TYPE]
    assert {each.signer for each in seals} == {ben.user.id}


@pytest.mark.parametrize("extra", [0, 2, 200])
def test_no_more_than_a_message_of_what_comes_with_an_end_is_passed_on(extra: int) -> None:
    world, (first, second), (family, ana, _) = scripts_and_a_member()
    cy = world.devices["cy"]
    assert cy.user is first.user
    cy.leave(family)
    (leave,) = [each for each in statements_of(cy, family) if each.signer == cy.user.id][-1:]
    assert leave.type == CLOSE_TYPE
    more = [of_a_later_version(cy, family, leave.modified + n) for n in range(1, extra + 1)]
    roots = ana.perform(lambda turn: turn.roots(family))
    second.say(Level(0, roots.statements, roots.records))
    world.run(1_000)
    before = len(second.heard(Batch))
    first.gives(leave, *more, kind=Kind.STATEMENTS)
    world.run(700)

    here = {each.hash for each in statements_of(ana, family)}
    assert here.issuperset(each.hash for each in (leave, *more))
    seals = [each for each in statements_of(ana, family) if each.signer == ana.user.id][-1:]
    assert [each.type for each in seals] == [SEAL_TYPE]
    passed = {it for batch in second.heard(Batch)[before:] for it in batch.bodies}
    assert passed == (set() if extra > 2 else {each.body for each in (leave, *more, *seals)})


def statements_of(device: Device, group: GroupId) -> list[Signed]:
    return device.perform(lambda turn: turn.statements(group))


def of_a_later_version(device: Device, group: GroupId, modified: int) -> Signed:
    """A statement of which this version knows nothing but its signer."""
    body = Body(
        id=device.perform(lambda turn: turn.me.ids.new(modified)),
        group=group,
        type="$later.version",
        modified=modified,
        signer=device.user.id,
        device=device.user.device,
        value={"any": "x" * 500},
    )
    return compose(device.user.device_key, body)


def told(world: World, receiver: Device, kind: str, since: int) -> list[int]:
    """How often each statement of a type was sent to a device."""
    came = Counter(
        signed.hash
        for sent in world.sent[since:]
        if sent.receiver == receiver.name
        for signed in statements_in(sent.data)
        if signed.type == kind
    )
    return list(came.values())


def test_news_that_goes_by_levels_waits_for_those_who_bring_nothing_in_turn_and_no_longer() -> None:
    world, scripts, (family, ana, ben) = scripts_and_a_member()
    ben.go_offline()
    note = ben.put(family, "note", {"text": "milk"})
    ben.go_online()
    # Each of them asks for another turn all the time.
    for _ in range(2 * 5 * len(scripts)):
        for script in scripts:
            ahead(script)
        world.run(1_000 - 100 * len(scripts))

    assert not any(script.is_cut_off for script in scripts)
    assert ana.get(family, note.id) == note


def test_when_the_peer_that_was_bringing_a_group_level_is_gone_another_goes_on() -> None:
    world = World(2)
    family, (ana, ben, cy) = family_of(world, *NAMES[:3])
    cy.go_offline()
    ana.put_many(family, "note", [{"n": n} for n in range(2_000)])
    world.settle()
    since = len(world.sent)
    cy.go_online()
    world.run_until(lambda: len(came_to(world, cy, since)) > 500)
    (first,) = {sent.sender for sent in world.sent[since:] if any(records_in(sent.data))}
    world.devices[first].go_offline()
    other = next(each for each in (ana, ben) if each.name != first)
    world.settle()

    assert_level(family, [other, cy])
    assert cy.engine.refusals() == {}


def test_a_peer_that_drips_keeps_the_others_waiting_for_a_minute_at_most() -> None:
    leases, group = Leases(), as_group("0" * 26)
    dripping, waiting = Link(1), Link(2)
    assert leases.take(group, dripping, at(0))
    for second in range(1, 60):
        leases.renew(dripping, at(second))
        assert not leases.take(group, waiting, at(second))
        assert leases.pass_on(at(second), is_brought=always) == []
    assert leases.next_wake_ms == at(60).mono_ms
    leases.renew(dripping, at(60))
    assert not leases.take(group, dripping, at(60))
    assert leases.pass_on(at(60), is_brought=always) == [(group, [waiting, dripping])]
    assert leases.next_wake_ms is None
    assert leases.take(group, waiting, at(60))
    assert not leases.take(group, dripping, at(61))


def at(second: int) -> Instant:
    return Instant(mono_ms=1_000 * second, wall_ms=0)


def always(link: Link, group: GroupId) -> bool:
    return True


@pytest.mark.parametrize("skew_ms", [0, 50, -50])
def test_conflicts_come_once_where_many_have_them_though_all_were_level_before(
    skew_ms: int,
) -> None:
    world = World(3)
    family, devices = family_of(world, *NAMES, fay=skew_ms)
    ana, ben, fay = devices[0], devices[1], devices[-1]
    note = ana.put(family, "note", {"text": "milk"})
    world.settle()
    fay.go_offline()
    lost = disagree(world, ben, ana, family, note.id)
    # As long as this is here alone, records differ, so that conflicts are not compared.
    post_date(fay, family)
    fay.go_online()
    world.run(limits.FUTURE_MS // 2)
    assert conflicts_at(fay, family, note.id) == set()
    assert len(fay.peers()) == len(devices) - 1
    since = len(world.sent)
    world.run(limits.FUTURE_MS)
    world.settle()

    assert_level(family, devices)
    assert conflicts_at(fay, family, note.id) == {lost}
    assert came_to(world, fay, since)[lost] == 1


def test_who_begins_with_conflicts_while_another_does_is_answered_within_seconds() -> None:
    world, (first, second) = two_who_begin_with_conflicts()
    first.say(question())
    second.say(question())
    assert first.heard(Ranges)
    assert not second.heard(Ranges)
    world.run(5_000)

    assert second.heard(Ranges)
    assert not second.is_cut_off


def test_who_goes_on_and_on_while_it_has_to_wait_is_cut_off() -> None:
    _, (first, second) = two_who_begin_with_conflicts()
    first.say(question())
    for _ in range(limits.RECONCILE_TURN_MESSAGES):
        second.say(question(last=False))
    assert not second.is_cut_off
    second.say(question(last=False))

    assert second.is_cut_off
    assert not first.is_cut_off


def test_what_was_begun_meanwhile_and_makes_no_sense_ends_that_connection_alone() -> None:
    world, (first, second) = two_who_begin_with_conflicts()
    first.say(question())
    backwards = (Leaf(b"b", b"", sends=False), Leaf(b"a", b"", sends=False))
    second.say(Ranges(0, Kind.CONFLICTS, Message(b"", backwards, last=True)))
    assert not second.is_cut_off
    world.run(5_000)

    assert second.is_cut_off
    assert not first.is_cut_off


def test_who_has_to_wait_with_conflicts_begins_with_nothing_else() -> None:
    _, (first, second) = two_who_begin_with_conflicts()
    first.say(question())
    second.say(question())
    assert not second.is_cut_off
    second.say(Ranges(0, Kind.RECORDS, Message(b"", (), last=True)))

    assert second.is_cut_off


def scripts_and_a_member() -> tuple[World, list[Scripted], tuple[GroupId, Device, Device]]:
    """Two who lead and bring nothing, connected with ana, and behind them ben, who is honest."""
    world = World(6)
    family, (ana, ben, cy, di, eva) = family_of(world, *NAMES[:5])
    secret = secret_of(ana, family)
    for each in (ben, cy, di, eva):
        each.go_offline()
    world.run(60_000)
    scripts = [Scripted(world, ana, each.user).shake_hands() for each in (cy, di)]
    for script in scripts:
        script.name_groups(family, secret)
    ben.go_online()
    world.run(60_000)
    return world, scripts, (family, ana, ben)


def is_active_at(device: Device, group: GroupId, other: Device) -> bool:
    """Whether a device takes another one for a member's."""
    return device.perform(
        lambda turn: turn.state(group).is_active(other.user.id, other.user.device)
    )


def ahead(script: Scripted) -> None:
    """Claim to have something new, of which nothing will come."""
    shown = script.shown
    claimed = Fingerprint(1 + len(script.plug.heard) % 200, bytes([script.world.now_ms % 251]) * 16)
    script.say(Level(0, shown.statements, claimed))


def two_who_begin_with_conflicts() -> tuple[World, list[Scripted]]:
    """Members that lead, and have shown that they have all but some conflicts.

    It is the first one's turn, for a few seconds.
    """
    world = World(4)
    family, (ana, ben, cy) = family_of(world, *NAMES[:3])
    secret = secret_of(ana, family)
    ben.go_offline()
    cy.go_offline()
    world.run(60_000)
    scripts = [Scripted(world, ana, each.user).shake_hands() for each in (ben, cy)]
    for script in scripts:
        script.name_groups(family, secret)
    for script in scripts:
        world.run(10_000)
        shown = script.shown
        script.say(Level(0, shown.statements, shown.records, conflicts=OTHERS))
    return world, scripts[::-1]


def question(*, last: bool = True) -> Ranges:
    """One conflict I have, by its name; which have you?"""
    return Ranges(0, Kind.CONFLICTS, Message(b"", (Leaf(None, b"\1" * 8, sends=False),), last))


def disagree(world: World, one: Device, other: Device, group: GroupId, record_id: RecordId) -> Hash:
    """Have two change a record without having seen each other's; whose is first has lost."""
    one.go_offline()
    lost = one.update(group, record_id, {"text": "bread"}).hash
    world.run(1)
    other.update(group, record_id, {"text": "butter"})
    one.go_online()
    world.settle()
    return lost


def post_date(device: Device, group: GroupId) -> None:
    """Write a record that others are not to have before some minutes have passed."""
    skew_ms, device.skew_ms = device.skew_ms, limits.FUTURE_MS * 3 // 2
    device.put(group, "note", {"text": "later"})
    device.skew_ms = skew_ms

"""Roles that change and end, among devices that hear of it sooner or later."""

from __future__ import annotations

import pytest

from peerstack.engine import ending, parting
from peerstack.errors import InvalidValue, NotAllowed, NotFound
from peerstack.groups.log import Grant
from peerstack.groups.membership import Membership
from peerstack.groups.statements import Role, RoleName
from peerstack.ids import GroupId
from peerstack.record import SECRET_TYPE, Signed
from peerstack.session.wire import Batch, Kind, decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.invariants import records_in, statements_in
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of

DAY_MS = 24 * 60 * 60 * 1000


def with_admins(world: World, *names: str, admins: int) -> tuple[GroupId, list[Device]]:
    """A family whose first devices are admins: the founder, and those whom the founder made one."""
    family, devices = family_of(world, *names)
    for device in devices[1:admins]:
        devices[0].set_role(family, device.user.id, "admin")
    world.settle()
    return family, devices


def quarantined(device: Device, group: GroupId) -> list[str]:
    return [each.record.id for each in device.read(lambda kept: kept.quarantined(group, 1_000))]


def invites_of(device: Device, group: GroupId) -> list[Signed]:
    return device.perform(lambda turn: [signed for signed, _ in turn.state(group).invites()])


def records_sent(world: World, receiver: Device, since: int) -> int:
    """How many batches of records were sent to a device."""
    messages = (sent for sent in world.sent[since:] if sent.receiver == receiver.name)
    decoded = (decode_untrusted(sent.data) for sent in messages)
    return sum(isinstance(each, Batch) and each.kind is not Kind.STATEMENTS for each in decoded)


def test_nobody_is_told_of_a_new_secret_before_the_removal_for_which_it_was_made() -> None:
    """Else they would pass it on to who was removed, as long as the word of that is under way."""
    world = World(1)
    family, (ana, ben, *others) = family_of(world, "ana", "ben", "cy", "di", "eva")
    since = len(world.sent)
    ana.remove(family, ben.user.id)
    world.settle()

    for device in others:
        heard = [sent for sent in world.sent[since:] if sent.receiver == device.name]
        removal = [any(statements_in(sent.data)) for sent in heard].index(True)
        secrets = [any(map(is_secret, records_in(sent.data))) for sent in heard]
        assert removal < secrets.index(True)
        assert secrets.count(True) == 1


def is_secret(signed: Signed) -> bool:
    return signed.type == SECRET_TYPE


def test_who_is_removed_learns_of_it_keeps_what_it_had_and_gets_nothing_more() -> None:
    world = World(1)
    family, (ana, ben, cy) = family_of(world, "ana", "ben", "cy")
    note = ben.put(family, "note", {"by": "ben"})
    world.settle()
    ana.remove(family, ben.user.id)
    world.settle()
    since = len(world.sent)
    later = cy.put(family, "note", {"after": "ben"})
    world.settle()

    assert ben.membership(family) is Membership.REMOVED
    assert ben.get(family, note.id) == ana.get(family, note.id) == cy.get(family, note.id) == note
    assert ana.get(family, later.id) == later
    assert ben.get(family, later.id) is None
    assert records_sent(world, ben, since) == 0
    with pytest.raises(NotFound, match="no group"):
        ben.put(family, "note", {"still": "here"})
    assert_level(family, [ana, cy])


def test_who_was_away_learns_of_the_removal_when_it_comes_back_and_what_it_wrote_stays_out() -> (
    None
):
    world = World(2)
    family, (ana, ben, cy) = family_of(world, "ana", "ben", "cy")
    shared = ana.put(family, "note", {"text": "ana's"})
    world.settle()
    ben.go_offline()
    ana.remove(family, ben.user.id)
    world.settle()
    ben.skew_ms = -DAY_MS
    backdated = ben.put(family, "note", {"backdated": True})
    ben.skew_ms = 0
    late = ben.update(family, shared.id, {"text": "ben's"})
    ben.go_online()
    world.settle()

    assert ben.membership(family) is Membership.REMOVED
    for device in (ana, cy):
        assert device.get(family, backdated.id) is None
        assert device.get(family, shared.id) == shared
    # On its own device too what is not in the seal is kept apart, and what it had replaced is back.
    assert ben.get(family, shared.id) == shared
    assert quarantined(ben, family) == [backdated.id, late.id]


def test_what_an_admin_had_admitted_before_it_heard_of_a_removal_stays() -> None:
    world = World(3)
    family, (ana, ben, cy) = with_admins(world, "ana", "cy", "ben", admins=2)
    ben, cy = cy, ben
    ana.go_offline()
    seen = ben.put(family, "note", {"seen": "by cy"})
    world.settle()
    ben.go_offline()
    ana.remove(family, ben.user.id)
    cy.go_offline()
    ana.go_online()
    world.settle()
    assert ana.get(family, seen.id) is None
    cy.go_online()
    world.settle()

    assert ana.get(family, seen.id) == cy.get(family, seen.id) == seen
    assert_level(family, [ana, cy])


def test_what_was_written_behind_a_removal_dated_early_is_never_gone_at_others() -> None:
    world = World(1)
    family, (ana, ben, eva) = family_of(world, "ana", "ben", "eva", ana=-5_000)
    world.run(60_000)
    note = eva.put(family, "note", {"text": "milk"})
    world.run(1_000)
    eva.go_offline()
    since = len(ben.changes(family))
    ana.remove(family, eva.user.id)
    world.settle()

    assert eva.user.id not in ben.members(family)
    assert ben.get(family, note.id) == note
    assert not any(change.withdrawn for change in ben.changes(family)[since:])


def test_an_admin_keeps_older_versions_behind_a_removal_dated_early_that_its_author_had_not() -> (
    None
):
    world = World(5)
    family, (ana, ben, eva) = with_admins(world, "ana", "ben", "eva", admins=2)
    ana.go_offline()
    ana.skew_ms = -60_000
    world.run(60_000)
    note = eva.put(family, "note", {"text": "milk"})
    world.run(2_000)
    eva.update(family, note.id, {"text": "bread"})
    world.run(2_000)
    eva.go_offline()
    ana.go_online()
    world.run(20_000)
    assert ana.history(family, note.id) == []
    ana.remove(family, eva.user.id)
    world.settle()

    assert [each.value for each in ben.history(family, note.id)] == [{"text": "milk"}]
    assert quarantined(ben, family) == []


def test_what_only_a_writer_had_admitted_goes_to_quarantine_and_comes_back_by_an_admin() -> None:
    world = World(4)
    family, (ana, ben, cy) = family_of(world, "ana", "ben", "cy")
    ana.go_offline()
    seen = ben.put(family, "note", {"seen": "by cy"})
    world.settle()
    ben.go_offline()
    cy.go_offline()
    ana.remove(family, ben.user.id)
    ana.go_online()
    cy.go_online()
    world.settle()

    assert cy.get(family, seen.id) is None
    assert quarantined(cy, family) == [seen.id]
    assert any(change.withdrawn and change.record.id == seen.id for change in cy.changes(family))
    with pytest.raises(NotAllowed, match="admins may let records back"):
        cy.perform(lambda turn: ending.readmit(turn, family, [seen.hash]))
    ana.set_role(family, cy.user.id, "admin")
    world.settle()
    cy.perform(lambda turn: ending.readmit(turn, family, [seen.hash]))
    world.settle()
    assert ana.get(family, seen.id) == cy.get(family, seen.id) == seen
    assert quarantined(cy, family) == []


def test_who_left_is_out_everywhere_and_in_again_by_a_new_invite_alone() -> None:
    world = World(5)
    family, (ana, ben, cy) = family_of(world, "ana", "ben", "cy")
    old_link = ana.invite(family)
    note = ben.put(family, "note", {"by": "ben"})
    world.settle()
    ben.leave(family)
    world.settle()

    assert ben.membership(family) is Membership.LEFT
    assert ben.user.id not in ana.members(family)
    assert ben.user.id not in cy.members(family)
    assert ana.get(family, note.id) == note
    with pytest.raises(NotFound, match="left"):
        ana.set_role(family, ben.user.id, "writer")
    ben.join(old_link)
    world.settle()
    assert ben.role(family) is Role.WRITER
    assert_level(family, [ana, ben, cy])


def test_a_removed_member_comes_back_by_an_admins_grant() -> None:
    world = World(6)
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.remove(family, ben.user.id)
    world.settle()
    ana.set_role(family, ben.user.id, "reader")
    world.run(DAY_MS)

    assert ben.role(family) is Role.READER
    assert_level(family, [ana, ben])


def test_an_old_link_lets_a_removed_member_in_no_more() -> None:
    world = World(7)
    ana, ben = world.device("ana"), world.device("ben")
    family = ana.create_group("Family")
    link = ana.invite(family)
    ben.join(link)
    world.settle()
    ana.remove(family, ben.user.id)
    world.settle()
    ben.join(link)
    world.run(60 * 60 * 1000)

    assert ben.role(family) is None
    assert ben.user.id not in ana.members(family)
    assert set(ben.refused_joins) == {(family, "invite-ended")}


def test_who_was_let_in_by_a_removed_member_is_no_member_and_joins_by_a_new_link() -> None:
    world = World(8)
    family, (ana, ben) = family_of(world, "ana", "ben")
    link = ana.invite(family)
    world.settle()
    ben.go_offline()
    ana.remove(family, ben.user.id)
    latest = max(invites_of(ana, family), key=lambda signed: signed.order)
    ana.perform(lambda turn: ending.end_invite(turn, family, latest.hash))
    world.settle()
    ana.go_offline()
    ben.go_online()
    di = world.device("di")
    di.join(link)
    world.run(60_000)
    assert di.role(family) is Role.WRITER
    ana.go_online()
    world.run(60 * 60 * 1000)

    assert di.role(family) is None
    assert di.user.id not in ana.members(family)
    assert set(di.refused_joins) == {(family, "invite-ended")}
    di.join(ana.invite(family))
    world.settle()
    assert di.role(family) is Role.WRITER
    assert_level(family, [ana, di])


def test_who_was_let_in_by_a_removed_member_is_let_in_anew_while_the_invite_is_open() -> None:
    world = World(15)
    family, (ana, ben) = family_of(world, "ana", "ben")
    link = ana.invite(family)
    world.settle()
    ben.go_offline()
    ana.remove(family, ben.user.id)
    world.settle()
    ana.go_offline()
    ben.go_online()
    di = world.device("di")
    di.join(link)
    world.run(60_000)
    ana.go_online()
    world.settle()

    assert di.role(family) is Role.WRITER
    assert ben.membership(family) is Membership.REMOVED
    assert_level(family, [ana, di])


def test_admins_end_those_below_them_and_not_each_other() -> None:
    world = World(9)
    family, (ana, ben, cy) = with_admins(world, "ana", "ben", "cy", admins=3)
    with pytest.raises(NotAllowed, match="somebody who is not below you"):
        ben.set_role(family, cy.user.id, "writer")
    with pytest.raises(NotAllowed, match="somebody who is not below you"):
        cy.remove(family, ana.user.id)
    ana.set_role(family, ben.user.id, "writer")
    world.settle()

    assert [device.role(family) for device in (ana, ben, cy)] == [
        Role.ADMIN,
        Role.WRITER,
        Role.ADMIN,
    ]
    assert_level(family, [ana, ben, cy])


def test_those_whom_a_removed_admin_had_let_in_stay() -> None:
    world = World(10)
    family, (ana, ben) = with_admins(world, "ana", "ben", admins=2)
    cy = world.device("cy")
    cy.join(ben.invite(family))
    world.settle()
    ben.set_role(family, cy.user.id, "admin")
    world.settle()
    ana.remove(family, ben.user.id)
    world.settle()

    assert cy.role(family) is Role.ADMIN
    assert ben.membership(family) is Membership.REMOVED
    assert_level(family, [ana, cy])


def test_the_only_admin_neither_leaves_nor_steps_down_while_others_are_in() -> None:
    world = World(11)
    family, (ana, ben) = family_of(world, "ana", "ben")
    with pytest.raises(NotAllowed, match="make somebody else an admin first"):
        ana.leave(family)
    with pytest.raises(NotAllowed, match="make somebody else an admin first"):
        ana.set_role(family, ana.user.id, "reader")
    with pytest.raises(InvalidValue, match="leave it"):
        ana.remove(family, ana.user.id)
    ana.set_role(family, ben.user.id, "admin")
    ana.set_role(family, ana.user.id, "writer")
    world.settle()

    assert ana.role(family) is Role.WRITER
    assert ben.role(family) is Role.ADMIN
    ana.leave(family)
    world.settle()
    assert list(ben.members(family)) == [ben.user.id]


def test_who_becomes_a_reader_keeps_what_it_wrote_and_writes_no_more() -> None:
    world = World(12)
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ben.put(family, "note", {"by": "ben"})
    world.settle()
    ana.set_role(family, ben.user.id, "reader")
    world.settle()

    with pytest.raises(NotAllowed, match="you are a reader"):
        ben.put(family, "note", {"more": True})
    assert ana.get(family, note.id) == ben.get(family, note.id) == note
    ana.set_role(family, ben.user.id, "writer")
    world.settle()
    again = ben.put(family, "note", {"more": True})
    world.settle()
    assert ana.get(family, again.id) == again


@pytest.mark.parametrize("by", ["ana", "cy"])
def test_who_becomes_a_reader_brings_in_no_writer_by_the_link_it_came_by(by: str) -> None:
    """Else it would write again by another name. A link that gives no more than it has goes on."""
    world = World(16)
    ana, ben, cy, puppet, eve = (world.device(name) for name in ("ana", "ben", "cy", "pup", "eve"))
    family = ana.create_group("Family")
    link, for_readers = ana.invite(family), ana.invite(family, "reader")
    ben.join(link)
    cy.join(ana.invite(family, "admin", uses=1))
    world.settle()
    demoting = {"ana": ana, "cy": cy}[by]
    demoting.set_role(family, ben.user.id, "reader")
    world.settle()
    ana.go_offline()

    puppet.join(link)
    eve.join(for_readers)
    world.settle()

    assert puppet.role(family) is None
    assert set(puppet.refused_joins) == {(family, "invite-ended")}
    assert eve.role(family) is Role.READER
    assert ben.role(family) is Role.READER


def test_an_ended_invite_lets_nobody_in() -> None:
    world = World(13)
    family, (ana, ben) = family_of(world, "ana", "ben")
    link = ana.invite(family)
    latest = max(invites_of(ana, family), key=lambda signed: signed.order)
    world.settle()
    with pytest.raises(NotAllowed, match="admins may end invites"):
        ben.perform(lambda turn: ending.end_invite(turn, family, latest.hash))
    ana.perform(lambda turn: ending.end_invite(turn, family, latest.hash))
    world.settle()
    di = world.device("di")
    di.join(link)
    world.settle()

    assert di.role(family) is None
    assert set(di.refused_joins) == {(family, "invite-ended")}


def test_who_leaves_while_nobody_is_there_tells_the_first_member_that_it_meets() -> None:
    world = World(14)
    family, (ana, ben) = family_of(world, "ana", "ben")
    ana.go_offline()
    ben.leave(family)
    ben.restart()
    world.settle()
    assert ben.user.id in ana.members(family)
    ana.go_online()
    world.settle()

    assert ben.user.id not in ana.members(family)
    assert ben.peers() == ana.peers() == []


def test_what_is_left_of_a_group_can_be_erased_by_who_is_not_in_it_any_more() -> None:
    world = World(16)
    family, (ana, ben) = family_of(world, "ana", "ben")
    other = ben.create_group("Other")
    kept = ben.put(other, "note", {"kept": True})
    note = ben.put(family, "note", {"by": "ben"})
    world.settle()
    with pytest.raises(NotAllowed, match="leave it first"):
        ben.perform(lambda turn: parting.erase(turn, family))
    ana.remove(family, ben.user.id)
    world.settle()
    ben.perform(lambda turn: parting.erase(turn, family))
    world.run(DAY_MS)
    ben.restart()
    world.settle()

    assert ben.get(family, note.id) is None
    assert ben.read(lambda kept: kept.group(family)) is None
    assert ben.get(other, kept.id) == kept
    assert ana.get(family, note.id) == note
    with pytest.raises(NotFound):
        ben.perform(lambda turn: parting.erase(turn, family))


def test_who_left_and_asks_to_be_let_in_again_says_first_that_it_left() -> None:
    """The member that it asks has heard of neither, and may let it in no more: it has to say so."""
    world = World(21)
    family, (ana, ben, cy) = with_admins(world, "ana", "ben", "cy", admins=2)
    link = ben.invite(family)
    world.settle()
    ana.go_offline()
    ana.leave(family)
    ben.set_role(family, ben.user.id, "writer")
    ana.join(link)
    ana.go_online()
    world.settle()

    assert ben.membership(family) is Membership.MEMBER
    for device in (ben, cy):
        assert ana.user.id not in device.members(family)
    assert ana.membership(family) is Membership.LEFT
    assert ana.refused_joins


def test_who_was_removed_is_not_met_again_and_again_while_it_is_still_looked_for() -> None:
    """An offline member keeps the others listening under the secret that the removed one has."""
    world = World(22)
    family, (ana, ben, cy) = with_admins(world, "ana", "ben", "cy", admins=1)
    cy.go_offline()
    ana.remove(family, ben.user.id)
    world.run(60_000)
    ben.restart()
    world.settle()
    assert ben.membership(family) is Membership.REMOVED
    since = len(world.sent)
    world.run(DAY_MS)
    # Two messages each: twice as long apart each time, on either side.
    assert world.traffic(since)["Hello"] <= 2 * 10

    ana.set_role(family, ben.user.id, "writer")
    world.run(60_000)
    assert ben.membership(family) is Membership.MEMBER
    assert_level(family, [ana, ben])


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_an_admin_who_steps_down_stays_a_member_to_everybody(role: RoleName) -> None:
    """Other admins hear of the end together with the grant that is kept, and seal it."""
    world = World(23)
    family, (ana, ben, cy) = with_admins(world, "ana", "ben", "cy", admins=2)
    ben.set_role(family, ben.user.id, role)
    world.settle()

    for device in (ana, ben, cy):
        assert device.members(family)[ben.user.id].label == role
    note = cy.put(family, "note", {"for": "all"})
    world.settle()
    assert ben.get(family, note.id) == note
    assert_level(family, [ana, ben, cy])


def test_who_stepped_down_unaware_of_their_removal_learns_that_it_does_not_count() -> None:
    """What they gave themselves is earlier than their end; the seal of it alone leaves it out."""
    world = World(25)
    family, (ana, ben, cy) = with_admins(world, "ana", "ben", "cy", admins=2)
    ben.go_offline()
    ben.set_role(family, ben.user.id, "reader")
    world.run(1_000)
    ana.remove(family, ben.user.id)
    world.settle()
    assert ben.membership(family) is Membership.MEMBER
    ben.go_online()
    world.settle()

    assert ben.membership(family) is Membership.REMOVED
    for device in (ana, cy):
        assert ben.user.id not in device.members(family)


def test_an_admin_whose_clock_jumped_back_ends_a_right_no_earlier_than_it_was_given() -> None:
    world = World(24)
    family, (ana, ben, cy) = with_admins(world, "ana", "ben", "cy", admins=2)
    since = {each.since_ms for each in open_grants(ana, family, ben)}
    ana.skew_ms = -40 * DAY_MS
    ana.remove(family, ben.user.id)
    ended_ms = ana.perform(lambda turn: turn.state(family).ended_ms(ben.user.id))
    assert ended_ms is not None
    assert ended_ms > max(since)
    world.settle()
    assert ben.user.id not in cy.members(family)


def open_grants(device: Device, group: GroupId, member: Device) -> list[Grant]:
    return device.perform(lambda turn: turn.state(group).open_grants(member.user.id))

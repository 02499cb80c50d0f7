"""What attackers still can, as docs/threat-model.md admits it, and where that ends.

Whoever makes one of these better changes the test, and what is said there.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from peerstack.engine.ending import end_invite
from peerstack.engine.revoking import revoke_device
from peerstack.engine.secrets import shared_secrets
from peerstack.groups.invites import decode_untrusted_link, invite_topic
from peerstack.groups.membership import Membership
from peerstack.ids import GroupId
from peerstack.keys import Secret
from peerstack.session.replica import SecretKind
from peerstack.session.wire import Batch, Groups, Hello, Proof, Refused, decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.big import take_away
from tests.simulation.linking import link
from tests.simulation.people import conflicts_at, family_of
from tests.simulation.scripted import Scripted, link_reader, member_at, stranger, written_by
from tests.simulation.test_old_secrets import HOUR_MS, Watch, present_of


def topic_in(link_text: str) -> Secret:
    """The secret of an invite's meeting place."""
    return invite_topic(Secret(decode_untrusted_link(link_text).seed))


def places_of_invites(device: Device, group: GroupId) -> set[Secret]:
    """Those that a member knows by the invites alone, without their links."""
    shared = device.perform(shared_secrets)
    return {
        each.secret for each in shared if each.group == group and each.kind is SecretKind.INVITE
    }


def announce_themselves(world: World, secret: Secret) -> set[str]:
    """Who says there, within some hours, that they are online."""
    watch = Watch(world, secret)
    world.run(6 * HOUR_MS)
    return watch.heard


def test_who_has_shaken_hands_knows_ids_a_clock_and_how_many_names_there_are() -> None:
    world = World()
    ana = world.device("ana")

    def shaken() -> tuple[Hello, Proof, Groups]:
        script = Scripted(world, ana, stranger(world), seed=str(world.now_ms)).shake_hands()
        world.run(10_000)
        said = [decode_untrusted(data) for data in script.plug.heard]
        assert {type(each) for each in said} == {Hello, Proof, Groups}
        return script.heard(Hello)[0], script.heard(Proof)[0], script.heard(Groups)[0]

    hello, proof, before = shaken()
    ana.create_group("Family")
    *_, after = shaken()

    assert (hello.user, hello.device) == (ana.user.id, ana.user.device)
    assert hello.key == ana.user.device_key.public
    assert abs(proof.wall_ms - world.wall_ms) < HOUR_MS
    assert len(after.tags) == len(before.tags) + 1
    assert not set(after.tags) & set(before.tags)


def test_who_reads_an_invite_link_sees_which_members_are_online_until_it_ends() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    text = ana.invite(family)
    world.settle()

    assert announce_themselves(world, topic_in(text)) == {"ana", "ben"}

    ana.perform(lambda turn: end_invite(turn, family, decode_untrusted_link(text).invite_hash))
    world.settle()
    assert announce_themselves(world, topic_in(text)) == set()


def test_who_reads_an_invite_link_meets_who_joins_by_it_and_can_refuse_them_in_vain() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    text = ana.invite(family)
    world.settle()
    ana.go_offline()
    ben.go_offline()
    cleo = world.device("cleo")
    cleo.join(text)
    world.run(1_000)

    script = link_reader(world, cleo, family, text)
    script.say(Refused(0, "bad-proof"), Refused(0, "go to http://evil"))

    assert cleo.refused_joins == [(family, "bad-proof"), (family, "unknown")]
    shown = {body for batch in script.heard(Batch) for body in batch.bodies}
    assert {each.body for each in cleo.user.statements} <= shown
    ana.go_online()
    world.settle()
    assert cleo.membership(family) is Membership.MEMBER


def test_who_was_removed_sees_who_is_online_by_others_invites_until_they_end() -> None:
    """A removal ends the invites by which somebody came, or which they made."""
    world = World()
    family, (ana, ben, _) = family_of(world, "ana", "ben", "cy")
    others = ana.invite(family)
    world.settle()
    (own,) = places_of_invites(ben, family) - {topic_in(others)}
    assert topic_in(others) in places_of_invites(ben, family)
    before = present_of(ben, family)
    ben.go_offline()

    ana.remove(family, ben.user.id)
    world.settle()

    assert announce_themselves(world, before) == set()
    assert announce_themselves(world, own) == set()
    assert announce_themselves(world, topic_in(others)) == {"ana", "cy"}
    ana.perform(lambda turn: end_invite(turn, family, decode_untrusted_link(others).invite_hash))
    world.settle()
    assert announce_themselves(world, topic_in(others)) == set()


def test_a_revoked_device_sees_for_an_hour_who_of_its_groups_is_online_and_gets_nothing() -> None:
    """Its user, who is no admin, cannot change the secret of the group: an admin's device does."""
    world = World()
    family, (ana, ben, cy) = family_of(world, "ana", "ben", "cy")
    phone = link(world, ben, "phone")
    of_family, of_ben = present_of(phone, family), present_of(phone, ben.user.id)
    phone.go_offline()

    ben.perform(lambda turn: revoke_device(turn, phone.user.device, force=False))
    world.settle()
    note = ana.put(family, "note", {"title": "Milk"})
    own = ben.put(ben.user.id, "note", {"title": "mine"})
    watch = Watch(world, of_family)
    world.run(HOUR_MS // 2)
    # Whoever has announced themselves; they do so now and then, and not all within this time.
    assert len(watch.heard) > 1
    assert present_of(ana, family) == of_family
    world.run(2 * HOUR_MS)
    assert announce_themselves(world, of_ben) == set()
    assert announce_themselves(world, of_family) == set()
    phone.go_online()
    world.settle()

    assert phone.get(family, note.id) is None
    assert phone.get(ben.user.id, own.id) is None
    assert phone.perform(lambda turn: turn.is_revoked)
    assert present_of(phone, family) not in {present_of(each, family) for each in (ana, ben, cy)}


def test_a_writer_changes_and_deletes_what_others_wrote_and_history_keeps_it() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    note = ana.put(family, "note", {"title": "Milk"})
    world.settle()

    ben.update(family, note.id, {"title": "by ben"})
    ben.delete(family, note.id)
    world.settle()

    assert ana.get(family, note.id) is None
    kept = ana.history(family, note.id)
    assert note.hash in {each.hash for each in kept}
    assert {each.signer for each in kept} == {ana.user.id, ben.user.id}


def test_who_claims_to_have_seen_what_it_replaced_hides_that_it_had_not() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    notes = [ana.put(family, "note", {"title": "Milk"}) for _ in range(2)]
    claims: list[dict[str, int] | UnsetType] = [{ana.user.device: world.wall_ms}, UNSET]

    for number, (note, seen) in enumerate(zip(notes, claims, strict=True)):
        value = {"title": "by ben"}
        version = written_by(ben.user, family, note.id, world.wall_ms + 1, value, seen)
        script.gives(version, number=number)

    assert [conflicts_at(ana, family, note.id) for note in notes] == [set(), {notes[1].hash}]
    for note in notes:
        assert [each.hash for each in ana.history(family, note.id)] == [note.hash]


def test_an_admin_ends_the_rights_of_all_who_are_no_admins_and_their_data_stays_with_them() -> None:
    world = World()
    family, (ana, ben, cy) = family_of(world, "ana", "ben", "cy")
    ana.set_role(family, ben.user.id, "admin")
    note = cy.put(family, "note", {"title": "Milk"})
    mine = cy.put(cy.user.id, "note", {"title": "mine"})
    world.settle()

    ben.remove(family, cy.user.id)
    world.settle()

    assert cy.membership(family) is Membership.REMOVED
    assert cy.get(family, note.id) == note
    assert cy.get(cy.user.id, mine.id) == mine
    assert ben.get(cy.user.id, mine.id) is None
    assert ana.members(family).keys() == {ana.user.id, ben.user.id}


def test_who_lies_about_what_has_arrived_is_believed_of_itself_and_of_whom_it_alone_meets() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    cleo.go_offline()
    kept_back, passed_on = (ana.put(family, "note", {"n": n}) for n in range(2))
    world.settle()
    ana.go_offline()
    world.run(1_000)
    ben.tampered = True
    take_away(ben.store, family, [kept_back])
    later = ana.put(family, "note", {"n": 2})
    cleo.go_online()
    world.settle()
    assert cleo.get(family, passed_on.id) == passed_on
    cleo.go_offline()
    world.run(1_000)
    ana.go_online()
    world.settle()

    # Ben has lost it, and goes on to say that he has all; and cleo has what ben says he has.
    assert cleo.get(family, kept_back.id) is None
    assert cleo.user.device in ana.reached(family, kept_back.id)
    assert cleo.user.device not in ana.reached(family, later.id)

    cleo.go_online()
    world.settle()
    assert cleo.get(family, kept_back.id) == kept_back

"""What a member with the code and all its own keys tries, over the wire: none of it is ever live.

The rules that decide are tried one by one in `tests/groups/test_hostile_member.py`; here is what
real devices make of it, whatever they hear first, and at every moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from msgspec import UNSET, to_builtins

from peerstack import limits
from peerstack.engine import ending
from peerstack.engine.writing import name_of
from peerstack.groups.invites import decode_untrusted_link, invite_signer
from peerstack.groups.statements import Founding, GrantForm, Join, Role
from peerstack.identity import DEVICE_TYPE, Certificate, device_id
from peerstack.ids import RecordId, as_group
from peerstack.keys import Secret
from peerstack.record import Signed, compose
from peerstack.session.wire import Batch, Kind, Level, Ranges
from peerstack.testing.device import Device
from tests.groups import endings
from tests.people import Person, person, signer
from tests.simulation.ends import stored
from tests.simulation.hostile import Order, Scene, keys_of, note_by, raw
from tests.simulation.people import assert_level
from tests.simulation.scripted import Scripted, secret_of

ORDERS = pytest.mark.parametrize("order", list(Order), ids=lambda order: order.name.lower())
PLAIN_ORDERS = pytest.mark.parametrize(
    "order",
    [each for each in Order if each is not Order.UNHEARD],
    ids=lambda each: each.name.lower(),
)
"""Where no end has to be heard of."""


def join_by(device: Device, link_text: str, scene: Scene) -> Signed:
    """The consent of a user who has a link, made now."""
    link = decode_untrusted_link(link_text)
    invite, at_ms = scene.state().forms[link.invite_hash][0], scene.world.wall_ms
    who = keys_of(device)
    return who.joins(invite, at_ms, who.proves(invite, at_ms, invite_signer(Secret(link.seed))))


def name_at(device: Device, scene: Scene) -> str:
    return device.perform(lambda turn: name_of(turn, scene.group))


def at_later_root(who: Person, name: str, at_ms: int, under: Signed) -> Person:
    """The same user at a device that the root key behind a rotation has certified."""
    phone = who.at_new_device(name, at_ms, under=under.hash)
    key = phone.user.device_key
    root = endings.second_root(who)
    certificate = who.certifies(at_ms, under=under.hash, key=key, root=root)
    return replace(phone, user=replace(phone.user, statements=(*who.user.statements, certificate)))


def versions_over(who: Person, note: Signed, scene: Scene, *, unseen: bool) -> Iterator[Signed]:
    """More versions than history keeps of one signer, each over the one before."""
    over = note
    for n in range(limits.HISTORY_PER_SIGNER + 5):
        at_ms = max(scene.world.wall_ms, over.modified) + 1
        before, over = over, note_by(who, scene.group, at_ms, {"flood": n}, over)
        if unseen:
            over = who.writes(scene.group, at_ms, {"flood": n}, id=before.id)
        yield over


# --- After it was removed. ------------------------------------------------------------------------


@ORDERS
def test_what_is_dated_back_behind_a_removal_is_never_live(order: Order) -> None:
    scene = Scene.begin()
    shared = scene.ana.put(scene.group, "note", {"text": "ana's"})
    scene.world.settle()
    seen = scene.ben.put(scene.group, "note", {"text": "seen by all"})
    scene.world.settle()
    scene.off_the_net()
    scene.world.run(60_000)
    at_ms, ben = scene.world.wall_ms - 30_000, scene.mallory
    backdated = [
        note_by(ben, scene.group, at_ms, {"text": "new"}),
        note_by(ben, scene.group, at_ms, {"text": "over"}, stored(scene.ana, shared)),
        note_by(ben, scene.group, at_ms, {"text": "own"}, stored(scene.ana, seen)),
        ben.writes(scene.group, at_ms, type_name="$data.file"),
    ]
    late = note_by(ben, scene.group, at_ms + 60_000, {"text": "late"}, stored(scene.ana, shared))
    scene.forbid(*backdated, late)

    scene.carry_out(
        order,
        [*backdated, late],
        lambda: scene.ana.remove(scene.group, scene.ben.user.id),
    )

    for device in scene.honest:
        assert device.get(scene.group, shared.id) == shared
        assert device.get(scene.group, seen.id) == seen
        assert scene.ben.user.id not in device.members(scene.group)


@ORDERS
def test_what_a_deposed_admin_states_with_an_early_date_changes_nothing(order: Order) -> None:
    scene = Scene.begin(ben="admin")
    scene.off_the_net()
    scene.world.run(60_000)
    at_ms, ben, right = scene.world.wall_ms - 30_000, scene.mallory, scene.right_of
    bens, puppet = right(scene.ben, Role.ADMIN), person("puppet")
    invite = ben.invites(bens, at_ms)
    join = puppet.joins(invite, at_ms + 1)
    consent = puppet.consents(scene.group, at_ms + 1)
    tried = [
        *puppet.user.statements,
        invite,
        join,
        consent,
        ben.admits(bens, join, at_ms + 2),
        keys_of(scene.eve).admits(right(scene.eve), join, at_ms + 3),
        ben.grants(bens, puppet.id, "admin", consent, at_ms + 4),
        ben.grants(bens, scene.eve.user.id, "admin", scene.consent_of(scene.eve), at_ms + 4),
        endings.closes(ben, bens, right(scene.dora), at_ms + 5),
        endings.leaves(ben, bens, at_ms - 20_000),
        endings.revokes(ben, ben.user.device, at_ms),
    ]
    by_puppet = puppet.writes(scene.group, at_ms + 10)
    scene.forbid(by_puppet, outsiders=[puppet.id])
    scene.never.roles[scene.eve.user.id] = Role.WRITER

    scene.carry_out(
        order, [*tried, by_puppet], lambda: scene.ana.remove(scene.group, scene.ben.user.id)
    )

    for device in scene.honest:
        staying = (scene.ana, scene.cy, scene.dora, scene.eve)
        assert device.members(scene.group).keys() == {each.user.id for each in staying}


@ORDERS
def test_an_old_link_lets_nobody_in_under_any_identity_once_it_has_ended(order: Order) -> None:
    """Ben knows the link by which he came; others who know none may be in his hands."""
    scene = Scene.begin()
    link = scene.ana.invite(scene.group)
    fresh = scene.world.device("ben again", online=False)
    back = scene.world.device("ben's puppet", online=False)
    scene.world.settle()
    scene.off_the_net()
    scene.world.run(60_000)
    joins = [join_by(each, link, scene) for each in (fresh, back)]
    own = join_by(scene.ben, link, scene)
    invite = decode_untrusted_link(link).invite_hash

    def end() -> None:
        scene.ana.remove(scene.group, scene.ben.user.id)
        scene.ana.perform(lambda turn: ending.end_invite(turn, scene.group, invite))

    eve, right = keys_of(scene.eve), scene.right_of(scene.eve)
    later_ms = scene.world.wall_ms + 30_000
    admits = [eve.admits(right, join, later_ms) for join in (*joins, own)]
    identities = [one for each in (fresh, back) for one in each.user.statements]
    by_fresh = keys_of(fresh).writes(scene.group, later_ms + 1)
    scene.forbid(by_fresh, outsiders=[fresh.user.id, back.user.id])

    scene.carry_out(order, [*identities, *joins, own, *admits, by_fresh], end)

    # Nor do honest hosts let it in, who are asked by the link itself.
    back.join(link)
    back.go_online()
    scene.world.settle()
    scene.nothing_counts()
    assert set(back.refused_joins) == {(scene.group, "invite-ended")}
    assert all(scene.ben.user.id not in each.members(scene.group) for each in scene.honest)


@ORDERS
def test_an_invite_made_after_a_demotion_lets_nobody_in(order: Order) -> None:
    scene = Scene.begin(ben="admin")
    scene.off_the_net()
    scene.world.run(60_000)
    ben, puppet = scene.mallory, person("puppet")
    bens, eves = scene.right_of(scene.ben, Role.ADMIN), scene.right_of(scene.eve)
    tried = list(puppet.user.statements)
    for at_ms in (scene.world.wall_ms - 30_000, scene.world.wall_ms + 30_000):
        invite = ben.invites(bens, at_ms)
        join = puppet.joins(invite, at_ms + 1)
        tried += [invite, join, keys_of(scene.eve).admits(eves, join, at_ms + 40_000)]
        tried.append(ben.admits(scene.right_of(scene.ben), join, at_ms + 40_000))
    by_puppet = puppet.writes(scene.group, scene.world.wall_ms)
    scene.forbid(by_puppet, outsiders=[puppet.id])

    def end() -> None:
        scene.ana.set_role(scene.group, scene.ben.user.id, "writer")

    scene.carry_out(order, [*tried, by_puppet], end)

    for device in scene.honest:
        assert device.members(scene.group)[scene.ben.user.id] is Role.WRITER


# --- Rising. --------------------------------------------------------------------------------------


@PLAIN_ORDERS
def test_nobody_promotes_itself_or_a_puppet(order: Order) -> None:
    scene = Scene.begin()
    for_admins = scene.ana.invite(scene.group, "admin")
    puppet = scene.world.device("puppet", online=False)
    scene.world.settle()
    scene.off_the_net()
    scene.world.run(60_000)
    ben, at_ms, right = scene.mallory, scene.world.wall_ms - 30_000, scene.right_of
    bens, consent = right(scene.ben), scene.consent_of(scene.ben)
    agrees = keys_of(puppet).consents(scene.group, at_ms)
    join = join_by(puppet, for_admins, scene)
    tried = [
        *puppet.user.statements,
        agrees,
        join,
        ben.grants(bens, ben.id, "admin", consent, at_ms + 1),
        ben.grants(right(scene.ana), ben.id, "admin", consent, at_ms + 2),
        ben.grants(right(scene.cy, Role.ADMIN), ben.id, "admin", consent, at_ms + 3),
        ben.grants(bens, puppet.user.id, "writer", agrees, at_ms + 4),
        ben.admits(bens, join, at_ms + 5),
        ben.invites(bens, at_ms + 6, "admin"),
        endings.closes(ben, bens, right(scene.cy, Role.ADMIN), at_ms + 7),
        endings.closes(ben, bens, right(scene.dora), at_ms + 8),
        ben.states(scene.group, "$group", at_ms, Founding("00" * 16), id=RecordId(scene.group)),
    ]
    profile = ben.writes(scene.group, at_ms, {"name": "Ben's"}, type_name="$profile")
    secret = ben.writes(scene.group, at_ms, {"secret": "ab" * 32}, type_name="$secret")
    scene.forbid(profile, secret, outsiders=[puppet.user.id])
    scene.never.roles[scene.ben.user.id] = Role.WRITER
    names = [each.user.id for each in (*scene.honest, scene.ben, scene.eve)]

    scene.carry_out(order, [*tried, profile, secret])

    assert all(list(each.members(scene.group)) != [] for each in scene.honest)
    assert all(each.members(scene.group).keys() == set(names) for each in scene.honest)


@PLAIN_ORDERS
def test_an_admin_brings_nobody_in_by_a_consent_that_they_did_not_give(order: Order) -> None:
    scene = Scene.begin(ben="admin")
    elsewhere = scene.ben.create_group("Elsewhere")
    stranger = person("stranger")
    left = scene.world.device("gone")
    left.join(scene.ana.invite(scene.group))
    scene.world.settle()
    old_consent = scene.consent_of(left)
    left.leave(scene.group)
    scene.world.settle()
    scene.off_the_net()
    scene.world.run(60_000)
    ben, at_ms = scene.mallory, scene.world.wall_ms - 30_000
    bens = scene.right_of(scene.ben, Role.ADMIN)
    consents = [
        stranger.consents(elsewhere, at_ms),
        ben.states(scene.group, "$join", at_ms, Join(), signer=stranger.id),
        ben.states(
            scene.group, "$join", at_ms, Join(), signer=stranger.id, device=stranger.user.device
        ),
        scene.consent_of(scene.ben),
    ]
    grants = [ben.grants(bens, stranger.id, "writer", each, at_ms + 1) for each in consents]
    grants += [
        ben.grants(bens, left.user.id, role, old_consent, at_ms + 1) for role in ("reader", "admin")
    ]
    by_stranger = stranger.writes(scene.group, at_ms + 2)
    by_left = keys_of(left).writes(scene.group, at_ms + 2)
    scene.forbid(by_stranger, by_left, outsiders=[stranger.id, left.user.id])
    forged = consents[1:3]

    scene.carry_out(order, [*stranger.user.statements, *forged, *grants, by_stranger, by_left])


# --- Who somebody is. -----------------------------------------------------------------------------


@PLAIN_ORDERS
def test_behind_two_rotations_of_one_parent_nothing_counts_and_before_them_all_does(
    order: Order,
) -> None:
    scene = Scene.begin()
    kept = scene.ben.put(scene.group, "note", {"by": "ben, before"})
    scene.world.settle()
    scene.off_the_net()
    scene.world.run(60_000)
    ben, at_ms = scene.mallory, scene.world.wall_ms - 30_000
    certificate = ben.user.statements[1]
    one, other = (endings.rotates(ben, at_ms + n, [certificate]) for n in range(2))
    phone = at_later_root(ben, "phone", at_ms + 10, one)
    tablet = at_later_root(ben, "tablet", at_ms + 10, other)
    by_new = [each.writes(scene.group, at_ms + 20) for each in (phone, tablet)]
    said = [one, other, phone.user.statements[-1], tablet.user.statements[-1]]
    scene.forbid(*by_new)
    goes_on = ben.writes(scene.group, at_ms + 20, {"by": "ben's old device"})

    scene.carry_out(order, [*said, *by_new, goes_on])

    for device in scene.honest:
        assert device.get(scene.group, kept.id) == kept
        assert device.get(scene.group, goes_on.id) is not None
        assert device.perform(lambda turn: turn.state(scene.group)).identities[ben.id].forked


@PLAIN_ORDERS
def test_nobody_writes_or_states_under_anothers_id(order: Order) -> None:
    scene = Scene.begin()
    note = scene.ana.put(scene.group, "note", {"text": "ana's"})
    scene.world.settle()
    scene.off_the_net()
    scene.world.run(60_000)
    ben, at_ms, ana = scene.mallory, scene.world.wall_ms - 30_000, scene.ana.user
    as_ana: dict[str, Any] = {"signer": ana.id, "device": ana.device}
    own_device: dict[str, Any] = {"signer": ana.id}
    key = signer("a device of ana's, says ben")
    form = Certificate(
        ana.statements[0].hash.hex(), device_id(ana.id, key.public, at_ms), key.public.hex(), "mine"
    )
    body = ben.body(
        as_group(ana.id), DEVICE_TYPE, at_ms, to_builtins(form), signer=ana.id, device=UNSET
    )
    certificate = compose(ben.root, body)
    consent = scene.consent_of(scene.ben)
    over = stored(scene.ana, note)
    tried = [
        certificate,
        ben.states(
            scene.group, "$grant", at_ms + 1,
            GrantForm(scene.right_of(scene.ana).hash.hex(), ben.id, "admin", consent.hash.hex()),
            **as_ana,
        ),
    ]  # fmt: skip
    records = [
        ben.writes(scene.group, at_ms + 2, id=note.id, **as_ana),
        ben.writes(
            scene.group, at_ms + 3, id=note.id, seen={over.device: over.modified}, **own_device
        ),
        ben.writes(scene.group, at_ms + 3, type_name="$secret", **as_ana),
    ]
    scene.forbid(*records)
    scene.never.roles[ben.id] = Role.WRITER

    scene.carry_out(order, [*tried, *records])

    for device in scene.honest:
        assert device.get(scene.group, note.id) == note


@pytest.mark.parametrize("claims", ["device too", "user alone"])
def test_who_claims_to_be_another_user_in_a_session_gets_nothing_and_leaves_nothing(
    claims: str,
) -> None:
    scene = Scene.begin()
    scene.off_the_net()
    scene.world.run(60_000)
    ana, ben = scene.ana.user, scene.ben.user
    device = ana.device if claims == "device too" else ben.device
    liar = replace(ana, device=device, device_key=ben.device_key)
    note = scene.mallory.writes(scene.group, scene.world.wall_ms, signer=ana.id, device=device)
    scene.forbid(note)
    scene.world.watch(scene.group, scene.never, *scene.honest)

    script = Scripted(scene.world, scene.cy, liar).shake_hands()
    script.name_groups(scene.group, secret_of(scene.ben, scene.group))
    script.gives(note)

    assert script.is_cut_off
    assert not [message for kind in (Batch, Ranges, Level) for message in script.heard(kind)]
    scene.all_know()
    scene.nothing_counts()


# --- Reserved records and others. -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["profile", "secret"])
@pytest.mark.parametrize("type_name", ["note", "$data.file"])
def test_a_writer_does_not_take_the_place_of_the_groups_own_records(
    name: str, type_name: str
) -> None:
    """The id decides which records replace each other: by an app's type, Ben named the group."""
    scene = Scene.begin()
    scene.off_the_net()
    scene.world.run(60_000)
    before = [(name_at(each, scene), secret_of(each, scene.group)) for each in scene.honest]
    value = {"name": "Ben's", "secret": "ab" * 32}
    tried = raw(
        scene.ben.user,
        scene.group,
        id=f"{scene.group}:{name}",
        type=type_name,
        modified=scene.world.wall_ms,
        value=value,
    )
    scene.forbid(tried)

    scene.carry_out(Order.HEARD, [tried])

    assert before == [(name_at(each, scene), secret_of(each, scene.group)) for each in scene.honest]
    assert all(each.engine.refusals()["malformed"] == 1 for each in scene.honest)


def test_an_admin_does_not_hide_a_note_behind_a_reserved_type() -> None:
    scene = Scene.begin(ben="admin")
    note = scene.ana.put(scene.group, "note", {"text": "ana's"})
    scene.world.settle()
    scene.off_the_net()
    scene.world.run(60_000)
    tried = [
        raw(scene.ben.user, scene.group, id=note.id, type=type_name, modified=scene.world.wall_ms)
        for type_name in ("$profile", "$secret")
    ]
    scene.forbid(*tried)

    for one in tried:
        scene.carry_out(Order.HEARD, [one])

    assert all(each.get(scene.group, note.id) == note for each in scene.honest)


def test_no_statement_comes_as_a_record_and_no_record_as_a_statement() -> None:
    scene = Scene.begin()
    scene.off_the_net()
    scene.world.run(60_000)
    ben, at_ms = scene.mallory, scene.world.wall_ms
    right, consent = scene.right_of(scene.ben), scene.consent_of(scene.ben)
    statement = ben.grants(right, ben.id, "admin", consent, at_ms)
    record = ben.writes(scene.group, at_ms)
    scene.forbid(record, statement)
    scene.never.hashes.add(statement.hash)
    scene.world.watch(scene.group, scene.never, *scene.honest)
    before = len(scene.state().forms)

    for listener in scene.honest:
        for kind, item in ((Kind.RECORDS, statement), (Kind.STATEMENTS, record)):
            script = Scripted(scene.world, listener, scene.eve.user).shake_hands()
            script.name_groups(scene.group, secret_of(scene.eve, scene.group))
            script.gives(item, kind=kind)
            assert script.is_cut_off
            assert listener.hangups[-1].startswith("wrong-group")

    scene.all_know()
    scene.nothing_counts()
    assert len(scene.state().forms) == before


# --- Before it is removed. ------------------------------------------------------------------------


@pytest.mark.parametrize("unseen", [False, True])
def test_what_others_wrote_comes_back_however_often_it_was_overwritten_before_a_removal(
    unseen: bool,
) -> None:
    """By more versions than history keeps, by several in his hands, and by conflicts.

    Ana, the only admin, has seen none of it: an admin's device names what it had, in good faith.
    """
    scene = Scene.begin()
    scene.ana.set_role(scene.group, scene.cy.user.id, "writer")
    puppets = [scene.world.device(f"puppet {n}") for n in range(2)]
    link = scene.ana.invite(scene.group)
    for each in puppets:
        each.join(link)
    authors = scene.honest
    notes = [each.put(scene.group, "note", {"by": each.name, "n": 0}) for each in authors]
    scene.world.settle()
    for n in range(limits.HISTORY_PER_SIGNER + 2):
        notes = [
            author.put(scene.group, "note", {"by": author.name, "n": n}, over=note)
            for author, note in zip(authors, notes, strict=True)
        ]
    scene.world.settle()
    flooders = [scene.ben, scene.eve, *puppets]
    flood = [
        version
        for flooder in flooders
        for note in notes
        for version in versions_over(
            keys_of(flooder), stored(scene.ana, note), scene, unseen=unseen
        )
    ]
    for each in flooders:
        each.go_offline()
    scene.world.settle()
    scene.forbid(*flood)
    scene.world.partition({scene.ana}, {scene.cy, scene.dora})
    scene.tell(scene.dora, flood)
    scene.world.settle()
    flooded = scene.cy.records(scene.group)
    assert all(flooded[note.id].hash in scene.never.hashes for note in notes)

    for each in flooders:
        scene.ana.remove(scene.group, each.user.id)
    scene.world.heal()
    scene.all_know()

    scene.nothing_counts()
    for device in scene.honest:
        assert [device.get(scene.group, each.id) for each in notes] == notes
    assert_level(scene.group, scene.honest)

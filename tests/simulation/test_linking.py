"""A new device of one's own: a link, six digits, a confirmation. Real engines, everyone honest."""

from __future__ import annotations

import msgspec
import pytest

from peerstack import limits
from peerstack.engine import Turn, enrolling, kept_secrets, linking, revoking, writing
from peerstack.engine.link_state import Ending
from peerstack.engine.statements import add_own_identity
from peerstack.errors import InvalidValue, LinkEnded, LinkPending, NotAllowed, NotFound, StoreFull
from peerstack.identity.linking import decode_untrusted_device_link
from peerstack.ids import DeviceId
from peerstack.keys import Signer
from peerstack.session import wire
from peerstack.session.wire import LinkCommit
from peerstack.testing.conditions import STORMY, Conditions
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.simulation.linking import link, links_of, messages, own_devices, show_digits
from tests.simulation.people import family_of
from tests.simulation.test_taking_up import fail_to_commit


def root_of(device: Device) -> bytes | None:
    return device.user.root.public if device.user.root is not None else None


# --- All goes well. -------------------------------------------------------------------------------


def test_a_device_is_linked_once_both_show_the_same_digits_and_the_old_one_confirms() -> None:
    world = World()
    ana = world.device("ana")
    ana.put(ana.user.id, "note", {"title": "Milk"})

    laptop = show_digits(world, ana)
    assert ana.digits == laptop.digits
    world.run(60_000)
    assert own_devices(ana).keys() == {ana.user.device}
    assert not laptop.is_linked

    device = ana.confirm_link()
    world.run_until(lambda: laptop.is_linked)
    world.settle()

    assert device == laptop.user.device
    assert own_devices(laptop) == own_devices(ana)
    assert own_devices(ana)[device].name == "laptop's device"
    assert laptop.records(ana.user.id) == ana.records(ana.user.id)
    assert laptop.user.name == "ana"
    assert ana.is_level(ana.user.id)
    assert laptop.is_level(ana.user.id)
    assert ana.hangups == laptop.hangups == []
    assert ana.engine.refusals() == laptop.engine.refusals() == {}


def test_digits_are_six_and_others_each_time() -> None:
    shown = set()
    for seed in range(5):
        world = World(seed)
        ana = world.device("ana")
        laptop = show_digits(world, ana)
        assert laptop.digits == ana.digits
        assert ana.digits is not None
        assert len(ana.digits) == 7
        assert ana.digits.replace(" ", "").isdecimal()
        shown.add(ana.digits)
    assert len(shown) == 5


@pytest.mark.parametrize("full", [True, False])
def test_a_full_device_is_given_the_root_key_and_a_limited_one_is_not(full: bool) -> None:
    world = World()
    ana = world.device("ana")
    laptop = link(world, ana, full=full)
    assert root_of(laptop) == (root_of(ana) if full else None)
    assert laptop.user.kit_key == (ana.user.kit_key if full else None)
    assert laptop.user.recovery is None
    if full:
        link(world, laptop, "phone")
        assert len(own_devices(ana)) == 3
    else:
        with pytest.raises(NotAllowed, match="without the root key"):
            laptop.link_device()


def test_the_key_of_a_new_device_never_leaves_it() -> None:
    world = World()
    ana = world.device("ana")
    laptop = link(world, ana)
    seed = laptop.user.device_key.seed
    said = [msgspec.msgpack.encode(each) for each in messages(sent.data for sent in world.sent)]
    assert not any(bytes(seed) in each for each in said)
    assert ana.user.root is not None
    root = bytes(ana.user.root.seed)
    assert sum(root in each for each in said) == 1


@pytest.mark.parametrize("skew_ms", [-40 * 24 * 3_600_000, -90_000, 90_000, 3_600_000])
def test_the_clock_of_a_new_device_does_not_matter(skew_ms: int) -> None:
    world = World()
    ana = world.device("ana")
    laptop = world.device("laptop", link=ana.link_device(), skew_ms=skew_ms)
    world.run_until(lambda: ana.digits is not None)
    ana.confirm_link()
    world.run_until(lambda: laptop.is_linked)
    assert root_of(laptop) == root_of(ana)
    note = laptop.put(ana.user.id, "note", {"title": "Milk"})
    world.run(max(0, skew_ms) + 60_000)
    assert ana.get(ana.user.id, note.id) == note
    # Held until that time comes, the members' secret is not there to be met by.
    is_held = skew_ms < -limits.FUTURE_MS
    assert (laptop.user.device in ana.perform(linking.owed)) is is_held


def test_a_group_is_told_of_the_new_device_of_a_member() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    laptop = link(world, ana)
    identity = ben.perform(lambda turn: turn.state(family)).identities[ana.user.id]
    assert laptop.user.device in identity.devices


def test_devices_are_linked_however_bad_the_network_is() -> None:
    world = World(3, STORMY)
    ana = world.device("ana")
    laptop = world.device("laptop", link=ana.link_device())
    for _ in range(200):
        world.run(5_000)
        opened = links_of(ana).open
        if opened is None or opened.ending is not None:
            break
        if ana.digits is not None and ana.digits == laptop.digits:
            ana.confirm_link()
    world.conditions = Conditions()
    world.settle()
    assert laptop.is_linked
    assert laptop.records(ana.user.id) == ana.records(ana.user.id)


# --- It does not come about. ----------------------------------------------------------------------


def test_a_refusal_ends_the_link_and_the_new_device_is_told() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    ana.refuse_link()
    world.settle()
    pending = links_of(laptop).pending
    assert pending is not None
    assert pending.ending is Ending.REFUSED
    assert own_devices(ana).keys() == {ana.user.device}
    with pytest.raises(LinkEnded, match="refused"):
        ana.perform(lambda turn: linking.check_open(ana.opened_link()))


def test_a_link_ends_by_itself() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    opened = ana.opened_link()
    shown = opened.candidate
    assert shown is not None
    world.run(limits.LINK_MS)
    assert opened.ending is Ending.EXPIRED
    pending = links_of(laptop).pending
    assert pending is not None
    assert pending.ending is Ending.CLOSED
    with pytest.raises(LinkEnded, match="expired"):
        ana.perform(lambda turn: linking.confirm(turn, opened, shown))
    late = world.device("late", link=opened.text)
    world.settle()
    assert late.digits is None
    assert ana.user.device not in late.peers()
    assert own_devices(ana).keys() == {ana.user.device}


def test_a_link_links_one_device() -> None:
    world = World()
    ana = world.device("ana")
    text = ana.link_device()
    laptop = world.device("laptop", link=text)
    world.run_until(lambda: ana.digits is not None)
    ana.confirm_link()
    world.run_until(lambda: laptop.is_linked)
    phone = world.device("phone", link=text)
    world.settle()
    assert not phone.is_linked
    assert phone.digits is None
    assert own_devices(ana).keys() == {ana.user.device, laptop.user.device}


def test_who_comes_by_a_used_link_while_its_device_is_still_owed_something_is_told() -> None:
    world = World()
    ana = world.device("ana")
    text = ana.link_device()
    laptop = world.device("laptop", link=text)
    world.run_until(lambda: ana.digits is not None)
    laptop.go_offline()
    ana.confirm_link()
    phone = world.device("phone", link=text)
    world.settle()
    pending = links_of(phone).pending
    assert pending is not None
    assert pending.ending is Ending.CLOSED
    laptop.go_online()
    world.settle()
    assert laptop.is_linked
    assert not phone.is_linked


def test_while_one_device_is_linked_a_second_one_is_turned_away_and_the_owner_told() -> None:
    world = World()
    ana = world.device("ana")
    text = ana.link_device()
    laptop = world.device("laptop", link=text)
    world.run_until(lambda: ana.digits is not None)
    digits = ana.digits
    phone = world.device("phone", link=text)
    world.run(60_000)
    pending = links_of(phone).pending
    assert pending is not None
    assert pending.ending is Ending.BUSY
    assert ana.opened_link().turned_away == 1
    # Two new devices that meet by the link show each other nothing.
    assert phone.digits is None
    assert ana.digits == laptop.digits == digits
    ana.confirm_link()
    world.settle()
    assert laptop.is_linked
    assert not phone.is_linked


def test_another_link_leads_nowhere() -> None:
    world = World()
    ana, ben = world.device("ana"), world.device("ben")
    ana.link_device()
    laptop = world.device("laptop", link=ben.link_device())
    world.run_until(lambda: ben.digits is not None)
    world.run(60_000)
    assert ana.digits is None
    assert laptop.peers() == [ben.user.device]


def test_cut_off_before_the_confirmation_the_devices_show_other_digits() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    opened = ana.opened_link()
    before, shown = ana.digits, opened.candidate
    assert shown is not None
    world.partition({ana}, {laptop})
    world.run_until(lambda: ana.digits is None and laptop.digits is None)
    with pytest.raises(LinkPending, match="other digits"):
        ana.perform(lambda turn: linking.confirm(turn, opened, shown))
    world.heal()
    world.run_until(lambda: ana.digits is not None and laptop.digits is not None)
    assert ana.digits == laptop.digits
    assert ana.digits != before
    with pytest.raises(LinkPending, match="other digits"):
        ana.perform(lambda turn: linking.confirm(turn, opened, shown))
    assert own_devices(ana).keys() == {ana.user.device}
    ana.confirm_link()
    world.run_until(lambda: laptop.is_linked)


def test_a_link_shows_digits_a_few_times_and_then_ends() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    for _ in range(limits.LINK_ATTEMPTS - 1):
        world.partition({ana}, {laptop})
        world.run_until(lambda: ana.digits is None and laptop.digits is None)
        world.heal()
        world.run_until(lambda: ana.digits is not None and laptop.digits is not None)
    world.partition({ana}, {laptop})
    world.run_until(lambda: ana.opened_link().ending is not None)
    assert ana.opened_link().ending is Ending.ATTEMPTS
    late = world.device("late", link=ana.opened_link().text)
    world.settle()
    assert ana.user.device not in late.peers()


# --- Who may. -------------------------------------------------------------------------------------


def test_without_a_server_no_link_is_made() -> None:
    ana = World().device("ana")
    with pytest.raises(InvalidValue, match="no signaling server"):
        ana.perform(lambda turn: linking.open_link(turn, [], full=True))


def test_one_link_is_open_at_a_time() -> None:
    world = World()
    ana = world.device("ana")
    first = decode_untrusted_device_link(ana.link_device())
    with pytest.raises(NotAllowed, match="open already"):
        ana.link_device()
    ana.refuse_link()
    second = decode_untrusted_device_link(ana.link_device())
    assert first.seed != second.seed


def test_no_link_is_made_where_a_recovery_could_not_keep_all_devices() -> None:
    world = World()
    ana = world.device("ana")
    user = ana.user

    def certify(turn: Turn) -> None:
        identity = turn.state(user.id).identities[user.id]
        many = [
            user.sign_certificate(
                identity,
                Signer(bytes([number]) * 32).public,
                "one of many",
                turn.now.wall_ms + number,
                SeededEntropy(str(number)),
            )
            for number in range(1, limits.ROTATION_KEEPS)
        ]
        add_own_identity(turn, many)

    ana.perform(certify)
    assert len(own_devices(ana)) == limits.ROTATION_KEEPS
    with pytest.raises(NotAllowed, match="revoke one"):
        ana.link_device()
    one = next(device for device in own_devices(ana) if device != ana.user.device)
    ana.perform(lambda turn: revoking.revoke_device(turn, one, force=False))
    ana.link_device()


def test_a_link_made_before_a_rotation_links_nobody() -> None:
    world = World()
    ana = world.device("ana")
    show_digits(world, ana)
    opened = ana.opened_link()
    shown = opened.candidate
    assert shown is not None
    user = ana.user

    def rotate(turn: Turn) -> None:
        identity = turn.state(user.id).identities[user.id]
        next_key = Signer(b"\7" * 32).public
        keeps = [device.certificate for device in identity.devices.values()]
        entropy = SeededEntropy("rotation")
        signed = user.sign_rotation(identity, next_key, keeps, turn.now.wall_ms, entropy)
        add_own_identity(turn, [signed])

    ana.perform(rotate)
    with pytest.raises(LinkEnded, match="root key has changed"):
        ana.perform(lambda turn: linking.confirm(turn, opened, shown))
    with pytest.raises(NotAllowed, match="replaced the root key"):
        ana.link_device()
    assert own_devices(ana).keys() == {ana.user.device}


# --- Revoking. ------------------------------------------------------------------------------------


def revoke(device: Device, target: DeviceId, *, force: bool = False) -> None:
    device.perform(lambda turn: revoking.revoke_device(turn, target, force=force))


def test_a_revoked_device_ends_on_all_devices_later_than_all_that_led_to_it() -> None:
    world = World()
    ana = world.device("ana")
    # By a clock that is behind, too.
    laptop = link(world, ana)
    ana.skew_ms = -3_600_000
    revoke(ana, laptop.user.device)
    laptop.go_offline()
    ended = own_devices(ana)[laptop.user.device]
    assert ended.end_ms is not None
    assert ended.end_ms > ended.since_ms
    phone = link(world, ana, "phone")
    assert own_devices(phone)[laptop.user.device].end_ms == ended.end_ms


def test_revoking_twice_is_revoking_once() -> None:
    world = World()
    ana = world.device("ana")
    laptop = link(world, ana)
    revoke(ana, laptop.user.device)
    before = own_devices(ana)
    world.run(1_000)
    revoke(ana, laptop.user.device)
    assert own_devices(ana) == before


def test_only_a_full_device_revokes_and_itself_only_by_force() -> None:
    world = World()
    ana = world.device("ana")
    laptop = link(world, ana, full=False)
    with pytest.raises(NotAllowed, match="without the root key"):
        revoke(laptop, ana.user.device)
    with pytest.raises(NotAllowed, match="this very device"):
        revoke(ana, ana.user.device)
    with pytest.raises(NotFound, match="you have no device"):
        revoke(ana, DeviceId("01J8Z0000000000000000000AB"))
    revoke(ana, ana.user.device, force=True)
    assert own_devices(ana)[ana.user.device].end_ms is not None


def test_a_device_that_was_revoked_before_it_had_all_is_given_nothing() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    laptop.go_offline()
    revoke(ana, ana.confirm_link())
    laptop.go_online()
    world.settle()
    assert not laptop.is_linked
    assert laptop.user.root is None


# --- Crashes. -------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["ana", "laptop"])
@pytest.mark.parametrize("turns", [*range(1, 13), 15, 20, 30])
def test_whatever_moment_a_device_crashes_at_before_the_confirmation_it_can_begin_again(
    victim: str, turns: int
) -> None:
    world = World()
    ana = world.device("ana")
    laptop = world.device("laptop", link=ana.link_device())
    world.devices[victim].crash_after(turns)
    world.run(60_000)
    if links_of(ana).open is None:
        # The link went with the old device, and its new device is one no more that can be linked.
        laptop.go_offline()
        laptop = world.device("laptop again", link=ana.link_device())
    world.run_until(lambda: ana.digits is not None and ana.digits == laptop.digits)
    ana.confirm_link()
    world.run_until(lambda: laptop.is_linked)
    world.settle()
    assert own_devices(ana).keys() == {ana.user.device, laptop.user.device}
    assert laptop.records(ana.user.id) == ana.records(ana.user.id)


@pytest.mark.parametrize("victim", ["ana", "laptop"])
@pytest.mark.parametrize("turns", range(1, 25))
def test_whatever_moment_a_device_crashes_at_once_confirmed_linking_completes(
    victim: str, turns: int
) -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    world.devices[victim].crash_after(turns)
    ana.confirm_link()
    world.settle()
    assert laptop.is_linked
    assert root_of(laptop) == root_of(ana)
    assert laptop.records(ana.user.id) == ana.records(ana.user.id)
    assert links_of(laptop).pending is None
    assert ana.perform(linking.owed) == {}


def test_a_device_certified_while_it_was_away_completes_weeks_later() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    ana.confirm_link()
    laptop.restart()
    laptop.go_offline()
    ana.restart()
    world.run(20 * 24 * 3_600_000)
    assert not laptop.is_linked
    laptop.go_online()
    world.settle()
    assert laptop.is_linked
    assert root_of(laptop) == root_of(ana)
    assert sum(isinstance(each, LinkCommit) for each in messages(s.data for s in world.sent)) <= 2


def test_a_linked_device_links_others_before_the_old_one_knows_that_it_has_all() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    ana.confirm_link()
    world.run_until(lambda: laptop.engine.me.user.root is not None)
    ana.go_offline()
    assert links_of(laptop).pending is not None
    phone = link(world, laptop, "phone")
    assert phone.is_linked
    ana.go_online()
    world.settle()
    assert len(own_devices(ana)) == 3
    assert ana.perform(linking.owed) == {}


def test_keys_that_could_not_be_written_are_offered_again() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    ana.confirm_link()
    laptop.fails_to_keep = True
    world.settle()
    assert laptop.user.root is None
    laptop.fails_to_keep = False
    world.partition({ana}, {laptop})
    world.run(60_000)
    world.heal()
    world.settle()
    assert root_of(laptop) == root_of(ana)
    assert laptop.is_linked


def test_a_device_that_comes_after_its_time_is_given_nothing() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    ana.confirm_link()
    laptop.go_offline()
    world.run(limits.NEWCOMER_MS)
    # It finds the old one all the same, since both are devices of one user.
    user = ana.user.id
    said = ana.perform(lambda turn: turn.statements(user))
    secret = ana.perform(lambda turn: kept_secrets.secret_of(turn, user))
    assert secret is not None
    laptop.perform(lambda turn: writing.add_own_statements(turn, user, said))
    laptop.perform(lambda turn: kept_secrets.remember(turn, user, [secret]))
    laptop.go_online()
    world.settle()

    assert ana.user.device in laptop.peers() or laptop.user.device in ana.peers()
    assert laptop.engine.me.user.root is None


def test_what_was_noted_of_a_link_is_not_so_where_the_turn_was_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    with monkeypatch.context() as patch:
        fail_to_commit(ana, patch)
        with pytest.raises(StoreFull):
            ana.confirm_link()
    assert ana.opened_link().ending is None
    assert ana.opened_link().linked is None
    assert ana.digits == laptop.digits is not None

    ana.confirm_link()
    world.run_until(lambda: laptop.is_linked)


def test_a_new_device_goes_on_to_be_linked_where_the_end_of_it_was_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    ana.confirm_link()
    pending = links_of(laptop).pending
    assert pending is not None
    world.run_until(lambda: bool(pending.told))
    connection = next(iter(pending.told))
    with monkeypatch.context() as patch:
        fail_to_commit(laptop, patch)
        with pytest.raises(StoreFull):
            laptop.perform(
                lambda turn: enrolling.ended_untrusted(turn, connection, wire.LinkEnded("complete"))
            )
    assert links_of(laptop).pending is pending
    world.settle()
    assert links_of(laptop).pending is None

"""Who knows the link and is up to no good: in the middle, as the new device, as the old one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import msgspec
import pytest

from peerstack import limits
from peerstack.engine import linking
from peerstack.engine.link_state import Ending
from peerstack.identity import User
from peerstack.identity.linking import DeviceLink, decode_untrusted_device_link, linked_user
from peerstack.identity.signing import sign_certificate
from peerstack.keys import Signer
from peerstack.record import Signed
from peerstack.session.linking import NewSide, OldSide, Parties
from peerstack.session.wire import (
    Batch,
    Enrolled,
    Handover,
    Kind,
    Level,
    LinkCommit,
    LinkEnded,
    LinkMessage,
    LinkNonce,
    LinkReveal,
)
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.simulation.linking import links_of, messages, own_devices, show_digits
from tests.simulation.scripted import Scripted, secret_of, stranger

NONCE = b"\x11" * 32


def as_new(world: World, old: Device, text: str, seed: str = "mallory") -> Scripted:
    """Somebody who has the link, and connects to the old device as if a new one."""
    link = decode_untrusted_device_link(text)
    user = linked_user(link, SeededEntropy(seed))
    return meet(Scripted(world, old, user, seed=seed), link)


def as_old(world: World, new: Device, old: Device, text: str, seed: str = "mallory") -> Scripted:
    """Somebody who has the link, and connects to the new device as if the old one."""
    key = Signer(SeededEntropy(seed).draw(32))
    user = replace(old.user, device_key=key)
    return meet(Scripted(world, new, user, seed=seed), decode_untrusted_device_link(text))


def meet(script: Scripted, link: DeviceLink) -> Scripted:
    script.shake_hands().name_groups(link.user, link.topic)
    return script


def parties(script: Scripted, text: str, *, is_new: bool, name: str = "laptop") -> Parties:
    """Whom the digits on a script's connection stand for."""
    assert script.proven is not None
    mine, theirs = script.user.device_key.public, script.proven.key
    topic = decode_untrusted_device_link(text).topic
    old, new = (theirs, mine) if is_new else (mine, theirs)
    return Parties(topic, script.proven.transcript, old, new, name)


def is_alone(device: Device) -> bool:
    """Whether nobody else was certified."""
    return own_devices(device).keys() == {device.user.device}


# --- In the middle. -------------------------------------------------------------------------------


class Relay(NamedTuple):
    """Somebody between two devices, with the link and a handshake of their own with each."""

    world: World
    ana: Device
    laptop: Device
    text: str
    to_ana: Scripted
    to_laptop: Scripted


def relay(seed: int = 0) -> Relay:
    world = World(seed)
    ana = world.device("ana")
    text = ana.link_device()
    laptop = world.device("laptop", link=text, online=False)
    world.partition({ana}, {laptop})
    laptop.go_online()
    to_laptop = as_old(world, laptop, ana, text)
    return Relay(world, ana, laptop, text, as_new(world, ana, text), to_laptop)


class Drawn:
    """Entropy that is what somebody wants it to be."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = drawn

    def draw(self, size_bytes: int) -> bytes:
        return self._drawn[:size_bytes]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("order", ["old first", "new first", "with the nonce of the other"])
def test_somebody_in_the_middle_makes_the_digits_differ(seed: int, order: str) -> None:
    world, ana, laptop, text, to_ana, to_laptop = relay(seed)
    (commit,) = to_laptop.heard(LinkCommit)
    as_laptop = NewSide(parties(to_ana, text, is_new=True, name=commit.name), Drawn(NONCE))

    def with_ana() -> LinkNonce:
        to_ana.say(as_laptop.commit())
        (answer,) = to_ana.heard(LinkNonce)
        to_ana.say(as_laptop.answered_untrusted(answer))
        return answer

    def with_laptop(nonce: bytes) -> str | None:
        whom = parties(to_laptop, text, is_new=False, name=commit.name)
        as_ana = OldSide(whom, commit.commitment, Drawn(nonce))
        to_laptop.say(as_ana.answer())
        as_ana.revealed_untrusted(to_laptop.heard(LinkReveal)[0])
        return as_ana.digits

    if order == "new first":
        shown = with_laptop(NONCE)
        with_ana()
    else:
        answer = with_ana()
        shown = with_laptop(NONCE if order == "old first" else answer.nonce)

    # Both are deceived, and show what somebody in the middle can work out, but not choose.
    assert ana.digits == as_laptop.digits
    assert laptop.digits == shown
    assert ana.digits is not None
    assert shown is not None
    assert ana.digits != shown

    ana.refuse_link()
    world.run(60_000)
    assert to_ana.heard(LinkEnded)[-1].reason == "refused"
    world.heal()
    world.run(600_000)
    assert is_alone(ana)
    assert own_devices(laptop) == {}
    assert not any(isinstance(each, Handover) for each in messages(s.data for s in world.sent))


def test_what_one_device_said_in_the_middle_is_not_taken_by_the_other() -> None:
    world, ana, laptop, _, to_ana, to_laptop = relay()
    to_ana.say(*to_laptop.heard(LinkCommit))
    to_laptop.say(*to_ana.heard(LinkNonce))
    to_ana.say(*to_laptop.heard(LinkReveal))
    # It is bound to the transcript of its own connection.
    assert to_ana.is_cut_off
    assert ana.engine.refusals() == {"bad-proof": 1}
    assert ana.digits is None
    assert is_alone(ana)
    assert laptop.digits is not None
    world.run(1_000)


def test_a_commitment_cannot_be_opened_to_another_nonce() -> None:
    world = World()
    ana = world.device("ana")
    text = ana.link_device()
    script = as_new(world, ana, text)
    side = NewSide(parties(script, text, is_new=True), SeededEntropy("first"))
    script.say(side.commit())
    # Now that the other nonce is known, any digits could be had by choosing among nonces.
    script.say(LinkReveal(NONCE))
    assert script.is_cut_off
    assert ana.digits is None


@pytest.mark.parametrize("cut_by", ["ana", "laptop"])
def test_digits_cannot_be_tried_until_they_come_out_alike(cut_by: str) -> None:
    world, ana, laptop, text, *_ = relay()
    shown = set()
    for number in range(2 * limits.LINK_ATTEMPTS):
        if cut_by == "ana":
            script = as_new(world, ana, text, f"mallory {number}")
            side = NewSide(parties(script, text, is_new=True), SeededEntropy(str(number)))
            script.say(side.commit())
            for answer in script.heard(LinkNonce):
                script.say(side.answered_untrusted(answer))
            shown.add(ana.digits)
        else:
            script = as_old(world, laptop, ana, text, f"mallory {number}")
            script.say(LinkNonce(NONCE))
            shown.add(laptop.digits)
        script.plug.end_it()
        world.run(1_000)
    assert len(shown - {None}) == limits.LINK_ATTEMPTS
    if cut_by == "ana":
        assert ana.opened_link().ending is Ending.ATTEMPTS
    else:
        pending = links_of(laptop).pending
        assert pending is not None
        assert pending.ending is Ending.ATTEMPTS
    assert is_alone(ana)


# --- As a new device. -----------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["another device", "a device of another link", "another user"])
def test_a_new_device_has_the_id_that_link_and_key_give_it(claim: str) -> None:
    world = World()
    ana, ben = world.device("ana"), world.device("ben")
    text = ana.link_device()
    link = decode_untrusted_device_link(text)
    honest = linked_user(link, SeededEntropy("mallory"))
    earlier = msgspec.structs.replace(link, made_ms=link.made_ms - 1)
    claimed = {
        "another device": replace(honest, device=ben.user.device),
        "a device of another link": linked_user(earlier, SeededEntropy("mallory")),
        "another user": replace(honest, id=ben.user.id),
    }[claim]
    script = meet(Scripted(world, ana, claimed), link)
    script.say(LinkCommit(bytes(32), "laptop"))
    assert script.is_cut_off
    assert ana.engine.refusals() == {"bad-derived-id": 1}
    # An honest device that comes later is none the worse for it.
    assert ana.opened_link().attempts == 0
    laptop = world.device("laptop", link=text)
    world.run_until(lambda: ana.digits is not None and laptop.digits is not None)


COMMIT = LinkCommit(bytes(32), "laptop")


@pytest.mark.parametrize("said", [
    [LinkReveal(NONCE)],
    [LinkNonce(NONCE)],
    [LinkEnded("refused")],
    [Handover(NONCE, None)],
    [COMMIT, COMMIT],
    [COMMIT, LinkNonce(NONCE)],
    [COMMIT, Handover(NONCE, None)],
    [COMMIT, LinkReveal(NONCE)],
])  # fmt: skip
def test_what_is_out_of_order_ends_the_connection(said: list[LinkMessage]) -> None:
    world = World()
    ana = world.device("ana")
    script = as_new(world, ana, ana.link_device())
    script.say(*said)
    assert script.is_cut_off
    assert ana.digits is None


def test_a_second_reveal_ends_the_connection_and_the_digits() -> None:
    world = World()
    ana = world.device("ana")
    text = ana.link_device()
    script = as_new(world, ana, text)
    side = NewSide(parties(script, text, is_new=True), SeededEntropy("new"))
    script.say(side.commit())
    reveal = side.answered_untrusted(script.heard(LinkNonce)[0])
    script.say(reveal)
    assert ana.digits == side.digits
    script.say(reveal)
    assert script.is_cut_off
    assert ana.digits is None


def test_who_has_not_the_link_cannot_begin() -> None:
    world = World()
    ana = world.device("ana")
    ana.link_device()
    script = Scripted(world, ana, stranger(world)).shake_hands()
    script.say(COMMIT)
    assert script.is_cut_off
    assert ana.opened_link().attempts == 0


def test_who_never_reveals_makes_room_for_another_after_a_while() -> None:
    world = World()
    ana = world.device("ana")
    text = ana.link_device()
    script = as_new(world, ana, text)
    script.say(COMMIT)
    assert script.heard(LinkNonce)
    laptop = world.device("laptop", link=text, online=False)
    world.run(limits.HANDSHAKE_MS)
    assert script.heard(LinkEnded)
    laptop.go_online()
    world.run_until(lambda: ana.digits is not None and ana.digits == laptop.digits)


def test_who_comes_with_many_keys_neither_displaces_a_device_nor_goes_unseen() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    digits = ana.digits
    for number in range(20):
        script = as_new(world, ana, ana.opened_link().text, f"mallory {number}")
        script.say(COMMIT)
        assert [each.reason for each in script.heard(LinkEnded)] == ["busy"]
    assert ana.digits == laptop.digits == digits
    assert ana.opened_link().turned_away == 20
    assert ana.opened_link().attempts == 1


def test_a_device_that_comes_again_and_again_uses_the_link_up() -> None:
    world = World()
    ana = world.device("ana")
    text = ana.link_device()
    # Each connection takes the place of the one before, which is still there.
    scripts = [as_new(world, ana, text) for _ in range(limits.LINK_ATTEMPTS + 1)]
    for script in scripts:
        script.say(COMMIT)
    assert sum(len(script.heard(LinkNonce)) for script in scripts) == limits.LINK_ATTEMPTS
    assert ana.opened_link().ending is Ending.ATTEMPTS


def test_who_has_only_the_link_is_shown_nothing_and_given_nothing() -> None:
    world = World()
    ana = world.device("ana")
    ana.put(ana.user.id, "note", {"title": "Milk"})
    text = ana.link_device()
    script = as_new(world, ana, text)
    side = NewSide(parties(script, text, is_new=True), SeededEntropy("new"))
    script.say(side.commit())
    script.say(side.answered_untrusted(script.heard(LinkNonce)[0]))
    script.say(Enrolled(complete=False), Enrolled(complete=True))
    world.run(60_000)
    assert not script.heard(Handover)
    assert not script.heard(Level)
    assert not script.heard(Batch)
    assert is_alone(ana)


def test_a_linked_device_is_given_the_root_key_once_and_asks_once() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    laptop.go_offline()
    ana.confirm_link()
    script = Scripted(world, ana, laptop.user).shake_hands()
    script.name_groups(ana.user.id, secret_of(ana, ana.user.id))
    script.say(Enrolled(complete=False))
    assert len(script.heard(Handover)) == 1
    script.say(Enrolled(complete=False))
    assert script.is_cut_off
    again = Scripted(world, ana, laptop.user, seed="again").shake_hands()
    again.name_groups(ana.user.id, secret_of(ana, ana.user.id))
    again.say(Enrolled(complete=True), Enrolled(complete=False))
    assert not again.heard(Handover)


def test_a_device_of_another_user_is_given_nothing() -> None:
    world = World()
    ana = world.device("ana")
    laptop = show_digits(world, ana)
    laptop.go_offline()
    ana.confirm_link()
    # With the id of the new device, and another key.
    impostor = replace(stranger(world), id=ana.user.id, device=laptop.user.device)
    script = Scripted(world, ana, impostor).shake_hands()
    script.say(Enrolled(complete=False))
    world.run(1_000)
    assert not script.heard(Handover)
    assert laptop.user.device in ana.perform(linking.owed)


# --- As an old device. ----------------------------------------------------------------------------


def new_alone(world: World) -> tuple[Device, Device, str]:
    """A new device that waits for its old one, which is away."""
    ana = world.device("ana")
    text = ana.link_device()
    ana.go_offline()
    laptop = world.device("laptop", link=text)
    world.run(1_000)
    return ana, laptop, text


@pytest.mark.parametrize("said", [
    [LinkReveal(NONCE)],
    [Handover(NONCE, None)],
    [LinkNonce(NONCE), LinkNonce(NONCE)],
    [LinkNonce(NONCE), Handover(NONCE, None)],
])  # fmt: skip
def test_what_an_old_device_says_out_of_order_ends_the_connection(
    said: list[LinkMessage],
) -> None:
    world = World()
    ana, laptop, text = new_alone(world)
    script = as_old(world, laptop, ana, text)
    script.say(*said)
    assert script.is_cut_off
    assert laptop.digits is None
    assert laptop.user.root is None


def test_of_two_that_want_to_link_it_a_new_device_shows_the_digits_of_one() -> None:
    world = World()
    ana, laptop, text = new_alone(world)
    first, second = (as_old(world, laptop, ana, text, seed) for seed in ("one", "two"))
    first.say(LinkNonce(NONCE))
    digits = laptop.digits
    second.say(LinkNonce(NONCE))
    assert second.is_cut_off
    assert laptop.digits == digits
    second.plug.end_it()
    assert not first.is_cut_off


def certificate_of(laptop: Device, text: str, root: Signer, ana: User) -> Signed:
    """The certificate that a root key makes of the new device, by the link."""
    link = decode_untrusted_device_link(text)
    key, entropy = laptop.user.device_key.public, SeededEntropy("certificate")
    inception = ana.statements[0].hash
    return sign_certificate(root, ana.id, inception, key, "laptop", link.made_ms, entropy)


def test_nobody_makes_a_new_device_one_of_a_user_without_that_users_root_key() -> None:
    world = World()
    ana, laptop, text = new_alone(world)
    mallory = stranger(world)
    assert mallory.root is not None
    script = as_old(world, laptop, ana, text)
    # Who Ana is, others know too.
    forged = certificate_of(laptop, text, mallory.root, ana.user)
    script.gives(*ana.user.statements, forged, kind=Kind.STATEMENTS)
    script.say(Handover(NONCE, None))
    world.run(1_000)
    assert own_devices(laptop).keys() == {ana.user.device}
    assert not laptop.is_linked
    assert laptop.user.root is None
    assert laptop.engine.refusals() == {"bad-signature": 1, "unexpected": 1}


def test_a_root_key_that_is_not_the_users_is_not_kept() -> None:
    world = World()
    ana, laptop, text = new_alone(world)
    assert ana.user.root is not None
    # One of Ana's own devices, with its own keys, hands over something else.
    script = meet(Scripted(world, laptop, ana.user), decode_untrusted_device_link(text))
    certificate = certificate_of(laptop, text, ana.user.root, ana.user)
    script.gives(*ana.user.statements, certificate, kind=Kind.STATEMENTS)
    assert script.heard(Enrolled) == [Enrolled(complete=False)]
    script.say(Handover(NONCE, NONCE))
    world.run(1_000)
    assert laptop.user.root is None
    assert laptop.user.kit_key is None
    assert not laptop.is_linked
    script.say(Handover(ana.user.root.seed, None))
    world.run(1_000)
    assert laptop.user.root is not None
    assert laptop.user.root.public == ana.user.root.public
    assert laptop.is_linked


def test_what_kits_are_sealed_under_is_not_kept_without_the_root_key() -> None:
    world = World()
    ana, laptop, text = new_alone(world)
    assert ana.user.root is not None
    script = meet(Scripted(world, laptop, ana.user), decode_untrusted_device_link(text))
    certificate = certificate_of(laptop, text, ana.user.root, ana.user)
    script.gives(*ana.user.statements, certificate, kind=Kind.STATEMENTS)
    script.say(Handover(None, NONCE))
    world.run(1_000)
    assert laptop.is_linked
    assert laptop.user.root is None
    assert laptop.user.kit_key is None

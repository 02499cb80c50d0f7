"""A server that lies, and an insider who knows the secret, cost no more than service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import Reason
from peerstack.keys import PublicKey, seal_to
from peerstack.signaling.rendezvous import (
    Abandon,
    Announce,
    Effect,
    MakeAnswer,
    MakeOffer,
    SignalTo,
)
from peerstack.signaling.rendezvous.boxes import (
    Answer,
    Echo,
    Offer,
    open_signal_untrusted,
    read_description_untrusted,
    seal_greeting,
    topic_of,
)
from tests.signaling.insider import ENTROPY, FAMILY, TOPIC, Insider, box_key_of, lone
from tests.signaling.meeting import (
    DAY,
    Delivery,
    Device,
    World,
    make_me,
    secret,
)

HOUR_MS = 60 * 60 * 1000


def pair(*servers: str) -> tuple[World, Device, Device]:
    world = World()
    one, two = (world.add(make_me(number), FAMILY, *servers) for number in (10, 20))
    world.drain()
    return world, one, two


# --- What a server learns. ----------------------------------------------------------------------


def test_what_a_server_handles_names_no_user_device_key_or_sdp() -> None:
    world, one, two = pair()
    told = [effect for effect in world.asked if isinstance(effect, Announce | SignalTo)]
    handled = b"".join(effect.box for effect in told)
    for device in (one, two):
        peer = device.me.peer
        presence = device.rendezvous._beacon.presences["a"]
        named = (peer.user.encode(), peer.device.encode(), peer.key, presence.nonce)
        assert all(each not in handled for each in (*named, presence.box_key.public))
    assert b"v=0" not in handled
    assert bytes(secret(1)) not in handled
    assert len(told) >= 5


def test_the_same_announcement_never_looks_the_same_twice() -> None:
    world, one, two = pair()
    world.cut(one, two)
    world.pass_time(HOUR_MS)

    boxes = [effect.box for effect in world.asked if isinstance(effect, Announce | SignalTo)]
    assert len(set(boxes)) == len(boxes)


# --- A server that lies. ------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 2)), max_size=60))
@settings(max_examples=40)
def test_a_server_that_repeats_and_swaps_all_it_saw_ends_no_link(
    lies: list[tuple[int, int]],
) -> None:
    world, one, two = pair("a", "b")
    for device in (one, two):
        world.disconnect(device)
        world.connect(device)
    world.drain()
    senders = [seen.sender for seen in world.seen]
    for place, way in lies:
        seen = world.seen[place % len(world.seen)]
        to = (seen.to, one, two)[way]
        sender = seen.sender if way else senders[place % 7 % len(senders)]
        effects = Delivery(to, "a", sender, seen.box, seen.topic).arrive(world.now_ms)
        made = [effect for effect in effects if isinstance(effect, MakeOffer | MakeAnswer)]
        assert all(effect.peer in (one.me.peer, two.me.peer) for effect in made)
        dropped = {effect.link for effect in effects if isinstance(effect, Abandon)}
        assert not dropped & {*one.up, *two.up}
        world.do(to, effects)
    world.pass_time(HOUR_MS)

    assert (one.linked, two.linked) == ([two.me.peer], [one.me.peer])


@given(st.binary(max_size=600), st.booleans(), st.integers(0, 10**6))
def test_boxes_of_noise_are_refused_and_counted(
    noise: bytes, is_announced: bool, place: int
) -> None:
    world, one, _ = pair()
    box = bytearray(world.seen[place % len(world.seen)].box)
    start = place % len(box)
    box[start : start + len(noise)] = noise
    before = one.rendezvous.refused.total()
    for each in (noise, bytes(box)):
        if is_announced:
            effects = one.rendezvous.announced("a", TOPIC, each, "x", world.now_ms)
        else:
            effects = one.rendezvous.signalled("a", each, "x", world.now_ms)
        assert effects == []

    assert one.rendezvous.refused.total() == before + 2


def test_an_announcement_under_another_address_is_refused() -> None:
    victim, insider = lone(), Insider(20)

    effects = victim.rendezvous.announced("a", TOPIC, insider.box(), "elsewhere", 0)

    assert effects == []
    assert victim.rendezvous.refused == {Reason.BAD_PROOF: 1}


def test_what_comes_from_an_unknown_server_or_topic_is_refused() -> None:
    victim, insider = lone(), Insider(20)
    elsewhere = topic_of(secret(2), DAY)

    assert victim.rendezvous.announced("z", TOPIC, insider.box(), insider.address, 0) == []
    assert victim.rendezvous.announced("a", elsewhere, insider.box(), insider.address, 0) == []
    assert victim.rendezvous.signalled("z", b"box", insider.address, 0) == []
    assert victim.rendezvous.refused == {Reason.UNEXPECTED: 3}


def test_a_server_that_says_that_all_are_gone_ends_no_link() -> None:
    world, one, two = pair()
    effects = one.rendezvous.gone("a", two.addresses["a"], world.now_ms)

    assert effects == []
    assert one.linked == [two.me.peer]


def test_a_repeated_offer_is_not_answered_again() -> None:
    victim, insider = lone(), Insider(5)
    insider.announce(victim)
    assert any(isinstance(effect, MakeAnswer) for effect in insider.describe(victim, number=7))

    for number in (7, 6, 1):
        assert insider.describe(victim, number=number) == []
    assert victim.rendezvous.refused == {Reason.UNEXPECTED: 3}


# --- An insider who lies. -----------------------------------------------------------------------


def test_who_claims_the_id_of_a_device_under_another_key_takes_nothing_from_it() -> None:
    world, one, two = pair()
    thief = Insider(20, key=66)
    effects = thief.announce(one)
    world.do(one, [effect for effect in effects if isinstance(effect, MakeOffer)])
    world.drain()

    assert [each.peer for each in effects if isinstance(each, MakeOffer)] == [thief.me.peer]
    assert one.linked == [two.me.peer]
    world.cut(one, two)
    world.pass_time(10_000)
    assert one.linked == [two.me.peer]


def test_who_claims_to_be_the_very_device_that_hears_it_is_just_another_peer() -> None:
    victim, insider = lone(), Insider(10, key=66)

    insider.announce(victim)

    assert [contact.peer for contact in victim.rendezvous._contacts] == [insider.me.peer]


def test_an_offer_sealed_on_to_a_third_device_is_refused_there() -> None:
    world = World()
    caller = world.add(make_me(10), FAMILY)
    third = world.add(make_me(30), FAMILY)
    # The insider claims the third device's id and nonce, so that the offer would fit it.
    insider = Insider(30, key=66)
    insider.nonce = third.rendezvous._beacon.presences["a"].nonce
    link = next(each.link for each in insider.announce(caller) if isinstance(each, MakeOffer))
    sent = caller.rendezvous.offered(link, "v=0", world.now_ms)
    signal = open_signal_untrusted(insider.box_key, _signal_box(sent, insider.address))
    assert isinstance(signal, Offer)
    assert read_description_untrusted(signal).echo == insider.nonce
    world.drain()
    before = third.rendezvous.refused[Reason.BAD_PROOF]

    effects = _seal_on(signal, third, caller.addresses["a"])

    assert effects == []
    assert third.rendezvous.refused[Reason.BAD_PROOF] == before + 1


def _signal_box(effects: Sequence[Effect], address: str) -> bytes:
    return next(e.box for e in effects if isinstance(e, SignalTo) and e.address == address)


def _seal_on(signal: Offer, to: Device, sender: str) -> list[Effect]:
    box = seal_to(box_key_of(to), msgspec.msgpack.encode(signal), ENTROPY)
    return to.rendezvous.signalled("a", box, sender, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recipient": make_me(30).peer}, Reason.BAD_PROOF),
        ({"echo": b"e" * 16}, Reason.BAD_PROOF),
        ({"nonce": b"n" * 16}, Reason.UNKNOWN_DEVICE),
        ({"sender": make_me(6).peer}, Reason.BAD_SIGNATURE),
    ],
)
def test_an_offer_that_does_not_fit_what_was_announced_is_refused(
    change: dict[str, Any], reason: Reason
) -> None:
    victim, insider = lone(), Insider(5)
    insider.announce(victim)

    assert insider.describe(victim, **change) == []
    assert victim.rendezvous.refused == {reason: 1}


def test_an_offer_from_another_address_than_was_announced_is_refused() -> None:
    victim, insider = lone(), Insider(5)
    insider.announce(victim)
    insider.address = "elsewhere"

    assert insider.describe(victim) == []
    assert victim.rendezvous.refused == {Reason.BAD_PROOF: 1}


def test_an_offer_from_a_device_that_never_announced_itself_is_refused() -> None:
    victim, insider = lone(), Insider(5)

    assert insider.describe(victim) == []
    assert victim.rendezvous.refused == {Reason.UNKNOWN_DEVICE: 1}


def test_an_offer_from_the_device_that_is_to_be_called_is_refused() -> None:
    victim, insider = lone(), Insider(20)
    insider.announce(victim)

    assert insider.describe(victim) == []
    assert victim.rendezvous.refused == {Reason.UNEXPECTED: 1}


def test_an_answer_without_an_open_offer_is_refused() -> None:
    victim, insider = lone(), Insider(20)
    link = next(e.link for e in insider.announce(victim) if isinstance(e, MakeOffer))

    assert insider.describe(victim, Answer, answers=1) == []
    victim.rendezvous.offered(link, "v=0", 0)
    assert insider.describe(victim, Answer, answers=1) == []
    assert len(insider.describe(victim, Answer, answers=2)) == 1
    assert insider.describe(victim, Answer, answers=2) == []
    assert victim.rendezvous.refused == {Reason.UNEXPECTED: 3}


def test_an_answer_by_another_server_than_its_offer_is_refused() -> None:
    victim, insider = World().add(make_me(10), FAMILY, "a", "b"), Insider(20)
    insider.announce(victim)
    link = next(iter(victim.rendezvous._contacts)).attempt
    assert link is not None
    victim.rendezvous.ended(link.link, 0)
    # Sighted at b last, so the next offer goes that way, with the same number as one by a has.
    box, address = insider.box(), insider.address
    called = victim.rendezvous.announced("b", TOPIC, box, address, 0)
    call = next(effect.link for effect in called if isinstance(effect, MakeOffer))
    victim.rendezvous.offered(call, "v=0", 0)

    assert insider.describe(victim, Answer, answers=2) == []
    assert victim.rendezvous.refused == {Reason.UNEXPECTED: 1}


def test_a_peer_that_asks_again_and_again_is_called_no_more_often() -> None:
    victim, insider = lone(), Insider(20)
    announced = insider.announce(victim)
    nonce = insider.learn(announced).nonce
    victim.rendezvous.ended(next(e.link for e in announced if isinstance(e, MakeOffer)), 0)

    asked = [insider.greet(victim, Echo(nonce, number, True)) for number in range(2, 9)]

    assert asked == [[]] * 7
    assert not victim.rendezvous.refused


def test_a_greeting_that_echoes_nothing_of_ours_or_goes_to_everyone_is_refused() -> None:
    victim, insider = lone(), Insider(20)

    assert insider.greet(victim, Echo(b"e" * 16, 1, True)) == []
    assert insider.announce(victim, echo=Echo(b"e" * 16, 1, True)) == []
    unsolicited = seal_greeting(TOPIC, insider.box(), box_key_of(victim), ENTROPY)
    assert victim.rendezvous.signalled("a", unsolicited, insider.address, 0) == []
    assert victim.rendezvous.refused == {Reason.BAD_PROOF: 2, Reason.UNEXPECTED: 1}


def test_a_repeated_greeting_asks_for_nothing_again() -> None:
    victim, insider = lone(), Insider(20)
    nonce = insider.learn(insider.announce(victim))
    link = next(iter(victim.rendezvous._contacts)).attempt
    assert link is not None
    victim.rendezvous.connected(link.link, 0)

    first = insider.greet(victim, Echo(nonce.nonce, 5, True))
    again = insider.greet(victim, Echo(nonce.nonce, 5, True))

    assert [type(effect) for effect in first] == [MakeOffer]
    assert again == []
    assert victim.rendezvous.refused == {Reason.UNEXPECTED: 1}


def test_a_key_that_nothing_can_be_sealed_to_is_refused() -> None:
    victim, insider = lone(), Insider(20)

    assert insider.announce(victim, box_key=PublicKey(b"\0" * 32)) == []
    assert victim.rendezvous.refused == {Reason.BAD_PROOF: 1}
    assert list(victim.rendezvous._contacts) == []


def test_a_description_that_fits_in_no_box_is_abandoned_and_tried_again_later() -> None:
    victim, insider = lone(), Insider(20)
    link = next(e.link for e in insider.announce(victim) if isinstance(e, MakeOffer))

    effects = victim.rendezvous.offered(link, "x" * limits.BOX_BYTES, 0)

    assert effects == [Abandon(link)]
    assert victim.rendezvous.next_wake_ms is not None


def test_a_peer_that_restarts_while_it_is_called_is_called_anew_at_once() -> None:
    victim, peer = lone(), Insider(20)
    link = next(e.link for e in peer.announce(victim) if isinstance(e, MakeOffer))
    victim.rendezvous.offered(link, "v=0", 0)

    effects = Insider(20).announce(victim)

    assert [type(effect) for effect in effects] == [Abandon, SignalTo, MakeOffer]
    assert effects[0] == Abandon(link)


def test_late_reports_of_links_that_were_given_up_are_passed_over() -> None:
    victim, insider = lone(), Insider(20)
    link = next(e.link for e in insider.announce(victim) if isinstance(e, MakeOffer))
    assert Abandon(link) in victim.rendezvous.lost("a", 0)

    for effects in (
        victim.rendezvous.offered(link, "v=0", 0),
        victim.rendezvous.answered(link, "v=0", 0),
        victim.rendezvous.connected(link, 0),
        victim.rendezvous.ended(link, 0),
    ):
        assert effects == []

"""Two devices name their groups to each other, and what that says of whom."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ids import DeviceId, GroupId, as_group, as_user, compose
from peerstack.keys import PublicKey, Secret, sha256
from peerstack.session.handshake import Authenticated
from peerstack.session.naming import Match, Naming
from peerstack.session.replica import SecretKind, SharedSecret

MEMBER, OLD, INVITE = SecretKind.MEMBER, SecretKind.OLD, SecretKind.INVITE


def _id(number: int) -> str:
    return compose(number, bytes(10))


ANA, BEN = DeviceId(_id(1)), DeviceId(_id(2))
FAMILY, WORK = as_group(_id(3)), as_group(_id(4))


def shared(number: int, kind: SecretKind = MEMBER, group: GroupId = FAMILY) -> SharedSecret:
    return SharedSecret(group, Secret(bytes([number]) * 32), kind)


def two() -> tuple[Naming, Naming]:
    """Ana's side of one connection, and ben's."""

    def side(me: DeviceId, other: DeviceId) -> Naming:
        peer = Authenticated(as_user(_id(5)), other, PublicKey(bytes(32)), sha256(b"both"), 0)
        return Naming(me, peer)

    return side(ANA, BEN), side(BEN, ANA)


def tell(one: Naming, other: Naming, secrets: Sequence[SharedSecret]) -> int:
    names = one.name(secrets)
    other.take_untrusted(names)
    return len(names)


def test_what_both_have_is_known_to_both_by_the_places_of_its_names() -> None:
    ana, ben = two()
    tell(ana, ben, [shared(1), shared(2, group=WORK)])
    tell(ben, ana, [shared(3), shared(1, OLD)])
    assert list(ana.matches()) == [Match(FAMILY, 0, 1)]
    assert list(ben.matches()) == [Match(FAMILY, 1, 0)]
    assert ana.kind(FAMILY) is MEMBER
    assert ben.kind(FAMILY) is OLD


def test_a_secret_of_one_group_names_no_other() -> None:
    ana, ben = two()
    tell(ana, ben, [shared(1)])
    tell(ben, ana, [shared(1, group=WORK)])
    assert not list(ana.matches())


def test_who_repeats_the_names_that_it_heard_has_named_nothing() -> None:
    ana, _ = two()
    ana.take_untrusted(ana.name([shared(1)]))
    assert not list(ana.matches())


def test_each_secret_is_named_once_whatever_becomes_of_it() -> None:
    ana, ben = two()
    assert tell(ana, ben, [shared(1), shared(9, INVITE)]) == 2
    tell(ben, ana, [shared(1), shared(9, INVITE), shared(2)])
    assert len(list(ana.matches())) == 2
    assert ana.kind(FAMILY) is MEMBER
    # The secret changes, and the invite ends.
    assert tell(ana, ben, [shared(2), shared(1, OLD)]) == 1
    assert ana.kind(FAMILY) is OLD
    assert [match.mine for match in ana.matches()] == [0, 1, 2]
    assert ana.kind(FAMILY) is MEMBER
    # With all of them gone, the peer is one who held an old secret.
    assert tell(ana, ben, []) == 0
    assert ana.kind(FAMILY) is OLD


def test_an_invite_that_is_gone_says_no_more_than_before() -> None:
    ana, ben = two()
    tell(ana, ben, [shared(9, INVITE)])
    tell(ben, ana, [shared(9, INVITE)])
    assert list(ana.matches())
    ana.name([])
    assert ana.kind(FAMILY) is INVITE


def test_of_one_secret_in_two_roles_the_better_counts() -> None:
    for order in (1, -1):
        ana, ben = two()
        tell(ana, ben, [shared(1), shared(1, OLD)][::order])
        tell(ben, ana, [shared(1)])
        assert list(ana.matches()) == [Match(FAMILY, 0, 0)]
        assert ana.kind(FAMILY) is MEMBER


def test_what_the_peer_has_is_news_once() -> None:
    ana, ben = two()
    tell(ana, ben, [shared(1), shared(2, OLD)])
    tell(ben, ana, [shared(1), shared(2, OLD)])
    assert list(ana.matches())
    assert set(ana.take_news(FAMILY)) == {shared(1).secret, shared(2).secret}
    assert not ana.take_news(FAMILY)
    tell(ana, ben, [shared(3)])
    tell(ben, ana, [shared(3)])
    assert list(ana.matches())
    assert set(ana.take_news(FAMILY)) == {shared(3).secret}


def test_no_more_is_named_or_heard_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GROUP_TAGS", 3)
    ana, _ = two()
    assert len(ana.name([shared(number) for number in range(5)])) == 3
    assert not ana.name([shared(7)])
    ana.take_untrusted([bytes(16)] * 2)
    with pytest.raises(RemoteError) as refused:
        ana.take_untrusted([bytes(16)] * 2)
    assert refused.value.reason is Reason.TOO_MANY

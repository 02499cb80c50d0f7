"""The rules of `docs/rules.md` for identity statements, by their numbers."""

from __future__ import annotations

import itertools
from typing import Any

from peerstack.errors import Reason
from peerstack.identity import (
    REVOKE_TYPE,
    ROTATE_TYPE,
    Identity,
    Revocation,
    Rotation,
)
from peerstack.keys import Signer
from peerstack.record import Signed
from tests.groups import endings
from tests.groups.admins import judged
from tests.groups.folding import fold
from tests.groups.samples import (
    ANA,
    BO,
    CERTIFICATE,
    INCEPTION,
    MALLORY,
    NOWHERE,
    PEOPLE,
    changed,
    user_verdict,
)
from tests.people import T0, Person, signer


def test_i1_a_user_statement_is_about_its_signer_and_names_no_device() -> None:
    root = ANA.root
    for wrong in (
        changed(INCEPTION, root, id=BO.id),
        changed(INCEPTION, root, group=BO.id),
        changed(INCEPTION, root, device=ANA.user.device),
        changed(INCEPTION, root, value=INCEPTION.value | {"more": 1}),
    ):
        assert user_verdict(wrong) == Reason.MALFORMED


def test_i2_a_user_statement_is_signed_by_the_root_key_in_it() -> None:
    assert user_verdict(INCEPTION) == "admitted"
    assert user_verdict(changed(INCEPTION, BO.root)) == Reason.BAD_SIGNATURE


def test_i3_a_user_id_derives_from_what_its_statement_says() -> None:
    for changes in (
        {"value": INCEPTION.value | {"name": "bo"}},
        {"value": INCEPTION.value | {"next": NOWHERE}},
        {"modified": T0 + 1},
        {"id": BO.id, "group": BO.id, "signer": BO.id},
    ):
        wrong = changed(INCEPTION, ANA.root, **changes)
        assert user_verdict(wrong) == Reason.BAD_ID


def _identity_statements(under: Signed) -> list[Signed]:
    """One of each kind made under another statement, signed as each should be."""
    next_key = Signer(ANA.recovery)
    rotation = Rotation(under.hash.hex(), next_key.public.hex(), NOWHERE, [])
    revocation = Revocation(under.hash.hex(), ANA.user.device)
    return [
        ANA.states_as_root(ROTATE_TYPE, T0 + 50, rotation, root=next_key),
        ANA.certifies(T0 + 50, under=under.hash),
        ANA.states_as_root(REVOKE_TYPE, T0 + 50, revocation),
    ]


def test_i4_identity_statements_are_in_their_users_group_and_name_no_device() -> None:
    for right in _identity_statements(INCEPTION):
        assert user_verdict(right, INCEPTION) == "admitted"
        wrong_fields: list[dict[str, Any]] = [
            {"modified": 2**47},
            {"group": BO.id},
            {"device": ANA.user.device},
            {"value": right.value | {"more": 1}},
            {"value": {}},
        ]
        for changes in wrong_fields:
            wrong = changed(right, ANA.root, **changes)
            assert user_verdict(wrong, INCEPTION) == Reason.MALFORMED


def test_i5_identity_statements_are_made_under_a_root_key_of_the_same_user() -> None:
    for right in _identity_statements(INCEPTION):
        assert user_verdict(right) == "held"
    for parent in (CERTIFICATE, BO.user.statements[0]):
        for wrong in _identity_statements(parent):
            known = (*PEOPLE, wrong)
            assert fold(ANA.id, known).verdict(wrong) == Reason.DOES_NOT_STAND


def test_i6_only_the_key_that_was_committed_to_rotates() -> None:
    right = _identity_statements(INCEPTION)[0]
    thief = signer("thief")
    with_own_key = right.value | {"key": thief.public.hex()}

    assert user_verdict(right, INCEPTION) == "admitted"
    for wrong in (
        changed(right, ANA.root),
        changed(right, thief),
        changed(right, thief, value=with_own_key),
    ):
        assert user_verdict(wrong, INCEPTION) == Reason.BAD_SIGNATURE


def test_i7_the_root_key_of_its_time_signs_certificates_and_ends() -> None:
    for right in _identity_statements(INCEPTION)[1:]:
        for key in (ANA.user.device_key, Signer(ANA.recovery), MALLORY.root):
            assert user_verdict(changed(right, key), INCEPTION) == Reason.BAD_SIGNATURE


def test_i8_a_device_id_derives_from_user_key_and_time() -> None:
    for changes in (
        {"modified": CERTIFICATE.modified + 1},
        {"value": CERTIFICATE.value | {"device": BO.user.device}},
        {"value": CERTIFICATE.value | {"key": BO.user.device_key.public.hex()}},
    ):
        wrong = changed(CERTIFICATE, ANA.root, **changes)
        assert user_verdict(wrong, INCEPTION) == Reason.BAD_ID


# --- Which devices count, and where they end. -----------------------------------------------------

PHONE, TABLET = ANA.at_new_device("phone", T0 + 20), ANA.at_new_device("tablet", T0 + 30)
CERTIFICATES = [CERTIFICATE, PHONE.user.statements[-1], TABLET.user.statements[-1]]
LAPTOP = ANA.user.device


def identity(*statements: Signed) -> Identity:
    """Ana's, with a laptop, a phone and a tablet; every statement is admitted."""
    known = fold(ANA.id, [INCEPTION, *CERTIFICATES, *statements])
    assert (known.held, known.refused) == ({}, {})
    return known.state.identities[ANA.id]


def test_i9_the_root_keys_are_a_chain_that_ends_where_two_rotations_are_under_one() -> None:
    second, third = endings.second_root(ANA), endings.third_root(ANA)
    one = endings.rotates(ANA, T0 + 50, CERTIFICATES)
    after = endings.rotates(ANA, T0 + 60, CERTIFICATES, under=one, root=third)
    other = endings.rotates(ANA, T0 + 70, CERTIFICATES, next_root=signer("another"))

    assert identity().root == ANA.root.public
    assert identity(one).root == second.public
    assert (identity(one, after).root, identity(one, after).head) == (third.public, after.hash)
    assert not identity(one, after).forked
    for arriving in itertools.permutations((one, after, other)):
        forked = identity(*arriving)
        assert forked.forked
        assert (forked.root, forked.head) == (ANA.root.public, INCEPTION.hash)
    twin = endings.rotates(ANA, T0 + 80, CERTIFICATES, under=one, root=third)
    assert (identity(one, after, twin).head, identity(one, after, twin).forked) == (one.hash, True)


def test_i10_inceptions_of_one_user_are_each_as_good_as_the_other() -> None:
    twin = changed(INCEPTION, ANA.root, value=dict(reversed(INCEPTION.value.items())))
    under_twin = ANA.certifies(T0 + 50, under=twin.hash, key=signer("phone"))
    known = fold(ANA.id, [INCEPTION, CERTIFICATE, twin, under_twin])

    assert twin.hash != INCEPTION.hash
    assert len(known.admitted) == 4
    assert len(known.state.identities[ANA.id].devices) == 2


def test_i11_a_device_counts_while_every_later_root_keeps_its_certificate() -> None:
    backdated = ANA.certifies(T0, key=signer("backdated"))
    keeping = endings.rotates(ANA, T0 + 50, CERTIFICATES[:2])
    by_second = ANA.certifies(
        T0 + 55, under=keeping.hash, key=signer("new"), root=endings.second_root(ANA)
    )
    by_first = ANA.certifies(T0 + 56, key=signer("of the thief"))
    again = endings.certifies_again(ANA, CERTIFICATES[2], keeping, endings.second_root(ANA))
    dropping = endings.rotates(
        ANA, T0 + 60, CERTIFICATES[1:], under=keeping, root=endings.third_root(ANA)
    )

    def counting(*statements: Signed) -> set[str]:
        names = {LAPTOP: "laptop", PHONE.user.device: "phone", TABLET.user.device: "tablet"}
        return {names.get(each, "new") for each in identity(*statements).devices}

    assert len(identity(backdated, keeping, by_first).certified) == 4, "from the beginning on"
    assert counting() == {"laptop", "phone", "tablet"}
    assert counting(keeping) == {"laptop", "phone"}
    assert counting(keeping, by_first) == {"laptop", "phone"}
    assert counting(keeping, by_second) == {"laptop", "phone", "new"}
    assert counting(keeping, again) == {"laptop", "phone", "tablet"}
    assert counting(keeping, dropping, by_second, again) == {"phone"}
    renamed = identity(again, keeping).devices[TABLET.user.device]
    assert renamed.since_ms == T0 + 30
    both = [CERTIFICATES[2], again]
    named = identity(endings.rotates(ANA, T0 + 50, CERTIFICATES), keeping, again).certified
    lowest = min(both, key=lambda each: each.hash)
    assert named[TABLET.user.device].name == lowest.value["name"]


def test_i12_a_revoke_has_effect_while_no_later_root_stands_by_the_device() -> None:
    second = endings.second_root(ANA)
    late, early = (endings.revokes(ANA, LAPTOP, T0 + at) for at in (45, 40))
    keeping, dropping = (endings.rotates(ANA, T0 + 50, each) for each in (CERTIFICATES, []))
    again = endings.certifies_again(ANA, CERTIFICATE, dropping, second)
    by_second = endings.revokes(ANA, LAPTOP, T0 + 55, under=keeping, root=second)

    def end_ms(*statements: Signed) -> int | None:
        end = identity(*statements).devices[LAPTOP].end_ms
        return end and end - T0

    assert end_ms() is None
    assert end_ms(late) == 45
    assert end_ms(late, early) == 40
    assert identity(late, early).devices[LAPTOP].ends == {late.hash, early.hash}
    assert end_ms(late, keeping) is None
    assert end_ms(late, dropping, again) is None, "a thief of the old key revokes nothing"
    assert end_ms(late, keeping, by_second) == 55
    fork = endings.rotates(ANA, T0 + 51, [])
    assert end_ms(late, keeping, by_second, fork) == 45, "as if there were no rotation"


# --- What devices that ended leave behind. --------------------------------------------------------

AT = T0 + 300
PERSONAL = [CERTIFICATES[1], CERTIFICATES[2]]
OF_LAPTOP = endings.revokes(ANA, LAPTOP, AT)


def spared(record: Signed, *statements: Signed) -> str:
    """What becomes of a record in Ana's personal group."""
    known = fold(ANA.id, [INCEPTION, *CERTIFICATES, *statements])
    assert (known.held, known.refused) == ({}, {})
    return judged(record, known.state)


def sealed(by: Person, revoke: Signed, at_ms: int, *stays: Signed) -> list[Signed]:
    return endings.seals(by, INCEPTION, revoke, at_ms, stays)


def test_d1_a_device_is_sealed_by_others_of_its_user_that_count_and_have_not_ended() -> None:
    record = ANA.writes(ANA.id, T0 + 200)
    of_phone = endings.revokes(ANA, PHONE.user.device, AT + 20)
    dropping = endings.rotates(ANA, AT, [CERTIFICATE, CERTIFICATES[2]])
    again = endings.revokes(ANA, LAPTOP, AT, under=dropping, root=endings.second_root(ANA))

    assert spared(record, OF_LAPTOP, *sealed(PHONE, OF_LAPTOP, AT + 1)) == "quarantined"
    for at_ms, expected in ((AT + 19, "quarantined"), (AT + 20, "admitted")):
        seal = sealed(PHONE, OF_LAPTOP, at_ms)
        assert spared(record, OF_LAPTOP, of_phone, *seal) == expected
    before = endings.revokes(ANA, PHONE.user.device, AT - 50)
    too_late = sealed(PHONE, OF_LAPTOP, AT + 1)
    assert spared(record, OF_LAPTOP, before, *too_late) == "admitted"
    in_time = sealed(PHONE, OF_LAPTOP, AT + 10)
    of_phone_without, of_phone_with = (
        sealed(TABLET, of_phone, AT + 30, *named) for named in ([], in_time)
    )
    assert spared(record, OF_LAPTOP, of_phone, *in_time, *of_phone_without) == "admitted"
    assert spared(record, OF_LAPTOP, of_phone, *in_time, *of_phone_with) == "quarantined"
    assert spared(record, dropping, again, *sealed(PHONE, again, AT + 1)) == "admitted"
    assert spared(record, dropping, again, *sealed(TABLET, again, AT + 1)) == "quarantined"


def test_d2_what_a_device_signed_before_its_end_stays_and_then_what_is_named() -> None:
    earlier, at_the_end = (ANA.writes(ANA.id, at_ms) for at_ms in (AT - 1, AT))
    naming = sealed(PHONE, OF_LAPTOP, AT + 1, at_the_end)
    dropped = endings.rotates(ANA, AT, PERSONAL)

    assert spared(at_the_end) == "admitted"
    assert [spared(each, OF_LAPTOP) for each in (earlier, at_the_end)] == [
        "admitted",
        "device-ended",
    ]
    assert [spared(each, OF_LAPTOP, *naming) for each in (earlier, at_the_end)] == [
        "quarantined",
        "admitted",
    ]
    assert spared(earlier, dropped) == "device-ended"
    assert spared(PHONE.writes(ANA.id, AT), OF_LAPTOP, dropped) == "admitted"


def test_d3_any_complete_seal_of_any_of_its_revokes_seals_a_device() -> None:
    record, other = (ANA.writes(ANA.id, T0 + at) for at in (200, 201))
    earlier = endings.revokes(ANA, LAPTOP, AT - 1)
    parts = endings.seals_over(
        PHONE, INCEPTION, OF_LAPTOP, AT + 1, endings.hashes([record, other]), part_hashes=1
    )
    first, second = parts
    third = ANA.writes(ANA.id, T0 + 202)

    assert spared(third, OF_LAPTOP, first) == "admitted"
    assert spared(third, OF_LAPTOP, first, second) == "quarantined"
    for revoke in (OF_LAPTOP, earlier):
        seal = sealed(TABLET, revoke, AT + 1)
        assert spared(third, OF_LAPTOP, earlier, *seal) == "quarantined"
    both = [spared(each, OF_LAPTOP, first, second) for each in (record, other)]
    assert both == ["admitted", "admitted"]

"""The rules of `docs/rules.md` for identity statements, by their numbers."""

from __future__ import annotations

from typing import Any

from peerstack.errors import Reason
from peerstack.identity import (
    REVOKE_TYPE,
    ROTATE_TYPE,
    Revocation,
    Rotation,
)
from peerstack.keys import Signer
from peerstack.record import Signed
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
from tests.people import T0, signer


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


def test_i9_a_certificate_counts_from_its_time_under_an_earlier_inception() -> None:
    backdated = ANA.certifies(T0, key=signer("backdated"))
    known = fold(ANA.id, [INCEPTION, CERTIFICATE, backdated])

    assert known.verdict(backdated) == "admitted"
    devices = known.state.identities[ANA.id].devices
    assert {each: it.since_ms for each, it in devices.items()} == {ANA.user.device: T0 + 1}


def test_i10_inceptions_of_one_user_are_each_as_good_as_the_other() -> None:
    twin = changed(INCEPTION, ANA.root, value=dict(reversed(INCEPTION.value.items())))
    under_twin = ANA.certifies(T0 + 50, under=twin.hash, key=signer("phone"))
    known = fold(ANA.id, [INCEPTION, CERTIFICATE, twin, under_twin])

    assert twin.hash != INCEPTION.hash
    assert len(known.admitted) == 4
    assert len(known.state.identities[ANA.id].devices) == 2

"""The rules of `docs/rules.md` for group statements, by their numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from msgspec import UNSET

from peerstack.errors import Reason
from peerstack.groups.statements import (
    GROUP_TYPE,
    JOIN_TYPE,
    Admit,
    Founding,
    Invite,
    Join,
)
from peerstack.record import Signed
from tests.groups import endings
from tests.groups.folding import fold
from tests.groups.samples import (
    ADMIT,
    ANA,
    BO,
    CY,
    FOUNDING,
    GROUP,
    INCEPTION,
    INVITE,
    JOIN,
    MALLORY,
    NOWHERE,
    PEOPLE,
    READ_ADMIT,
    READ_INVITE,
    STORY,
    changed,
    verdict,
)
from tests.people import T0, signer

RULES = Path(__file__).parents[2] / "docs" / "rules.md"


def test_every_rule_has_a_test_and_every_test_a_rule() -> None:
    rows = re.findall(r"^\| ([A-Z]\d+) \|", RULES.read_text(encoding="utf-8"), re.MULTILINE)
    files = sorted(Path(__file__).parent.glob("test_rules*.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    tests = [name.upper() for name in re.findall(r"^def test_([a-z]\d+)_", text, re.MULTILINE)]

    assert set(tests) == set(rows)
    assert len(set(rows)) == len(rows)


# --- What holds for every statement of a group. ---------------------------------------------------


def test_s1_a_group_statement_has_its_form_and_names_a_device() -> None:
    key = ANA.user.device_key
    for right in (FOUNDING, INVITE, ADMIT):
        first = next(iter(right.value))
        wrong_fields: list[dict[str, Any]] = [
            {"device": UNSET},
            {"value": right.value | {"more": 1}},
            {"value": {name: each for name, each in right.value.items() if name != first}},
            {"value": right.value | {first: right.value[first][:-1] + "A"}},
        ]
        for changes in wrong_fields:
            assert verdict(changed(right, key, **changes)) == Reason.MALFORMED
    assert verdict(changed(FOUNDING, key, type="$later", device=UNSET)) == Reason.MALFORMED
    for modified, expected in ((2**47 - 1, "admitted"), (2**47, Reason.MALFORMED)):
        assert verdict(changed(INVITE, key, modified=modified)) == expected


def test_s2_a_group_statement_waits_until_its_signers_device_is_known() -> None:
    phone = ANA.at_new_device("phone", T0 + 110)
    invite = phone.invites(FOUNDING, T0 + 250)
    as_bo = changed(INVITE, ANA.user.device_key, signer=BO.id)

    assert verdict(invite) == "held"
    assert verdict(invite, phone.user.statements[-1]) == "admitted"
    assert verdict(as_bo) == "held", "a device of Ana's is none of Bo's"


def test_s3_a_group_statement_is_signed_by_its_device() -> None:
    for at, right in enumerate(STORY):
        forged = changed(right, MALLORY.user.device_key)
        known = fold(GROUP, [*PEOPLE, *STORY[:at], forged])
        assert known.verdict(forged) == Reason.BAD_SIGNATURE
    by_root = changed(INVITE, ANA.root)
    assert fold(GROUP, [*PEOPLE, FOUNDING, by_root]).verdict(by_root) == Reason.BAD_SIGNATURE


def test_s4_a_statement_of_another_group_is_nothing_here() -> None:
    other = ANA.founds(T0 + 120, nonce=b"other".ljust(16))
    elsewhere = changed(INVITE, ANA.user.device_key, group=other.group)

    assert verdict(other) == Reason.WRONG_GROUP
    assert verdict(elsewhere) == Reason.WRONG_GROUP


def test_s5_a_statement_is_later_than_its_devices_certificate() -> None:
    phone = ANA.at_new_device("phone", T0 + 300)

    for modified, expected in ((T0 + 300, Reason.DOES_NOT_STAND), (T0 + 301, "admitted")):
        invite = phone.invites(FOUNDING, modified)
        assert verdict(invite, phone.user.statements[-1]) == expected


def test_s6_a_personal_group_has_no_founder_and_no_invites() -> None:
    key = ANA.user.device_key
    form = Invite(INCEPTION.hash.hex(), NOWHERE, NOWHERE, "writer")
    statements = [
        ANA.states(ANA.id, "$invite", T0 + 50, form),
        MALLORY.consents(ANA.id, T0 + 50),
        endings.closes_over(ANA, INCEPTION, INCEPTION, T0 + 50, []),
        *(changed(each, key, group=ANA.id) for each in (ADMIT, _grant(BO, JOIN))),
    ]
    known = fold(ANA.id, [*PEOPLE, *statements])

    assert [known.verdict(each) for each in statements] == [Reason.DOES_NOT_STAND] * 5
    claim = changed(FOUNDING, key, id=ANA.id, group=ANA.id)
    assert fold(ANA.id, [*PEOPLE, claim]).verdict(claim) == Reason.BAD_ID


# --- Founding, inviting, joining, admitting, granting. --------------------------------------------


def _grant(to: Any, consent: Signed, role: Any = "writer", modified: int = T0 + 500) -> Signed:
    return ANA.grants(FOUNDING, to.id, role, consent, modified)


def test_g1_a_group_id_derives_from_founder_nonce_and_time() -> None:
    theirs = MALLORY.states(GROUP, GROUP_TYPE, T0 + 100, Founding("00" * 16), id=GROUP)
    later = changed(FOUNDING, ANA.user.device_key, modified=T0 + 101)
    with_other_nonce = changed(FOUNDING, ANA.user.device_key, value={"nonce": "11" * 16})
    with_own_id = changed(FOUNDING, ANA.user.device_key, id=INVITE.id)

    assert verdict(theirs) == verdict(later) == verdict(with_other_nonce) == Reason.BAD_ID
    assert verdict(with_own_id) == Reason.MALFORMED


def test_v1_an_invite_is_made_under_ones_own_earlier_grant_of_admin() -> None:
    missing = changed(INVITE, ANA.user.device_key, value=INVITE.value | {"under": NOWHERE})

    assert verdict(ANA.invites(FOUNDING, T0 + 250)) == "admitted"
    assert verdict(missing) == "held"
    for wrong in (
        BO.invites(ADMIT, T0 + 500),
        BO.invites(FOUNDING, T0 + 500),
        ANA.invites(FOUNDING, FOUNDING.modified),
        ANA.invites(JOIN, T0 + 500),
        MALLORY.invites(FOUNDING, T0 + 500),
    ):
        assert verdict(wrong) == Reason.DOES_NOT_STAND


def test_j1_a_join_has_both_an_invite_and_its_proof_or_neither() -> None:
    key = BO.user.device_key
    for half in ("invite", "proof"):
        wrong = changed(JOIN, key, value={half: JOIN.value[half]})
        assert verdict(wrong) == Reason.MALFORMED


def test_j2_consent_without_an_invite_waits_for_the_group_to_be_known() -> None:
    consent = MALLORY.consents(GROUP, T0 + 300)

    assert fold(GROUP, [*PEOPLE, consent]).verdict(consent) == "held"
    assert verdict(consent) == "admitted"
    known = fold(GROUP, [*PEOPLE, *STORY, consent])
    assert known.state.role(MALLORY.id) is None


def test_j3_a_join_names_an_earlier_invite() -> None:
    missing = MALLORY.states(GROUP, JOIN_TYPE, T0 + 300, Join(NOWHERE, "00" * 64))
    no_invite = MALLORY.states(GROUP, JOIN_TYPE, T0 + 350, Join(JOIN.hash.hex(), "00" * 64))

    assert verdict(missing) == "held"
    assert verdict(MALLORY.joins(INVITE, T0 + 201)) == "admitted"
    assert verdict(MALLORY.joins(INVITE, T0 + 200)) == Reason.DOES_NOT_STAND
    assert verdict(no_invite) == Reason.DOES_NOT_STAND


def test_j4_an_invites_proof_is_good_for_one_newcomer_and_one_join_only() -> None:
    at = JOIN.modified
    other_invite = ANA.invites(FOUNDING, T0 + 220, key=signer("other invite"))
    phone = BO.at_new_device("phone", T0 + 110)
    wrong = [
        MALLORY.joins(INVITE, at, proof=JOIN.value["proof"]),
        BO.joins(INVITE, at + 1, proof=JOIN.value["proof"]),
        phone.joins(INVITE, at, proof=JOIN.value["proof"]),
        MALLORY.joins(INVITE, at, proof=MALLORY.proves(INVITE, at, key=signer("guess"))),
        MALLORY.joins(other_invite, at, proof=MALLORY.proves(INVITE, at)),
        MALLORY.joins(READ_INVITE, at, proof=MALLORY.proves(INVITE, at)),
    ]

    for each in wrong:
        before = (phone.user.statements[-1], other_invite)
        assert verdict(each, *before) == Reason.BAD_PROOF
    assert verdict(MALLORY.joins(INVITE, at)) == "admitted"


def test_a1_an_admit_names_an_earlier_join_with_an_invite() -> None:
    consent = MALLORY.consents(GROUP, T0 + 300)
    missing = ANA.states(
        GROUP, "$admit", T0 + 500, Admit(FOUNDING.hash.hex(), MALLORY.user.statements[0].hash.hex())
    )

    assert verdict(missing) == "held"
    assert verdict(ANA.admits(FOUNDING, JOIN, T0 + 301)) == "admitted"
    for wrong in (
        ANA.admits(FOUNDING, JOIN, T0 + 300),
        ANA.admits(FOUNDING, consent, T0 + 500),
        ANA.admits(FOUNDING, INVITE, T0 + 500),
    ):
        assert verdict(wrong, consent) == Reason.DOES_NOT_STAND


def test_a2_nobody_is_let_in_after_the_invites_end() -> None:
    assert verdict(ANA.admits(FOUNDING, JOIN, T0 + 1_000)) == "admitted"
    assert verdict(ANA.admits(FOUNDING, JOIN, T0 + 1_001)) == Reason.INVITE_ENDED


def test_a3_any_member_lets_in_and_for_admin_an_admin() -> None:
    join = MALLORY.joins(INVITE, T0 + 300)
    admin_invite = ANA.invites(FOUNDING, T0 + 220, "admin")
    admin_join = MALLORY.joins(admin_invite, T0 + 300)
    before = (join, admin_invite, admin_join)
    missing = Admit(NOWHERE, join.hash.hex())

    for right in (
        CY.admits(READ_ADMIT, join, T0 + 500),
        BO.admits(ADMIT, join, T0 + 500),
        ANA.admits(FOUNDING, admin_join, T0 + 500),
    ):
        assert verdict(right, *before) == "admitted"
    for wrong in (
        BO.admits(ADMIT, admin_join, T0 + 500),
        BO.admits(FOUNDING, admin_join, T0 + 500),
        CY.admits(ADMIT, join, T0 + 500),
        CY.admits(READ_ADMIT, join, READ_ADMIT.modified),
        MALLORY.admits(FOUNDING, join, T0 + 500),
        BO.admits(INVITE, join, T0 + 500),
    ):
        assert verdict(wrong, *before) == Reason.DOES_NOT_STAND
    assert verdict(ANA.states(GROUP, "$admit", T0 + 500, missing), *before) == "held"


def test_n1_nobody_is_given_a_role_without_their_own_earlier_consent() -> None:
    missing = _grant(MALLORY, MALLORY.user.statements[0])
    consent = MALLORY.consents(GROUP, T0 + 300)

    assert verdict(missing) == "held"
    assert verdict(_grant(MALLORY, consent), consent) == "admitted"
    assert verdict(_grant(ANA, FOUNDING)) == "admitted"
    for wrong in (
        _grant(MALLORY, JOIN),
        _grant(MALLORY, FOUNDING),
        _grant(MALLORY, consent, modified=T0 + 300),
        _grant(BO, ADMIT),
        _grant(ANA, INVITE),
    ):
        assert verdict(wrong, consent) == Reason.DOES_NOT_STAND


def test_n2_a_grant_is_made_under_ones_own_earlier_grant_of_admin() -> None:
    consent = MALLORY.consents(GROUP, T0 + 90)
    missing = changed(
        _grant(MALLORY, consent),
        ANA.user.device_key,
        value=_grant(MALLORY, consent).value | {"under": NOWHERE},
    )

    assert verdict(missing, consent) == "held"
    for wrong in (
        BO.grants(ADMIT, MALLORY.id, "reader", consent, T0 + 500),
        BO.grants(FOUNDING, MALLORY.id, "reader", consent, T0 + 500),
        MALLORY.grants(FOUNDING, MALLORY.id, "admin", consent, T0 + 500),
        ANA.grants(JOIN, MALLORY.id, "reader", consent, T0 + 500),
        _grant(MALLORY, consent, modified=FOUNDING.modified),
    ):
        assert verdict(wrong, consent) == Reason.DOES_NOT_STAND

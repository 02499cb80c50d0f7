"""The rules of `docs/rules.md` for what ends rights and says what stays, by their numbers."""

from __future__ import annotations

from typing import Any

import pytest

from peerstack.errors import Reason
from peerstack.groups.seals import NO_HASHES
from peerstack.groups.statements import CLOSE_TYPE, SEAL_TYPE, Close, Seal
from peerstack.record import Signed, compose
from tests.groups import endings
from tests.groups.admins import (
    ANA,
    BO,
    BOS,
    CONSENTS,
    CY,
    CYS,
    DI,
    DIS,
    ELI,
    ELIS,
    FLO,
    FLOS,
    FOUNDING,
    GROUP,
    INVITE,
    JOIN,
    MALLORY,
    makes,
    verdict,
)
from tests.groups.samples import NOWHERE
from tests.people import T0, Person

AT = T0 + 300
NO = Reason.DOES_NOT_STAND


def closing(by: Person, **fields: Any) -> Signed:
    """A `$close` of Eli's grant by Bo, but for these fields."""
    right: dict[str, Any] = {
        "under": BOS.hash.hex(),
        "target": ELIS.hash.hex(),
        "count": 0,
        "root": NO_HASHES.hex(),
    }
    return by.states(GROUP, CLOSE_TYPE, AT, Close(**(right | fields)))


def test_c1_a_close_is_made_under_ones_own_earlier_grant() -> None:
    assert verdict(closing(BO)) == "admitted"
    assert verdict(closing(BO, under=NOWHERE)) == "held"
    for wrong in (
        closing(MALLORY),
        closing(BO, under=CYS.hash.hex()),
        closing(BO, under=INVITE.hash.hex()),
        endings.closes(BO, BOS, ELIS, BOS.modified),
    ):
        assert verdict(wrong) == NO


def test_c2_a_close_ends_a_grant_or_an_invite_be_it_earlier_or_later() -> None:
    in_the_future = DI.admits(DIS, JOIN, T0 + 10**9)

    assert verdict(closing(BO, target=NOWHERE)) == "held"
    assert verdict(endings.closes(BO, BOS, in_the_future, AT)) == "held"
    assert verdict(endings.closes(BO, BOS, in_the_future, AT), in_the_future) == "admitted"
    for wrong in (JOIN, CONSENTS[ELI.id]):
        assert verdict(endings.closes(BO, BOS, wrong, AT)) == NO


def test_c3_a_parting_has_no_seal_of_its_own() -> None:
    second = makes(ANA, FOUNDING, DI, "reader", T0 + 200)
    for under, target in ((DIS, DIS), (DIS, second), (second, DIS)):
        for count, expected in ((0, "admitted"), (1, NO)):
            form = Close(under.hash.hex(), target.hash.hex(), count, NO_HASHES.hex())
            parting = DI.states(GROUP, CLOSE_TYPE, AT, form)
            assert verdict(parting, second) == expected


@pytest.mark.parametrize(
    ("by", "under", "target", "expected"),
    [
        (ANA, FOUNDING, BOS, "admitted"),
        (ANA, FOUNDING, DIS, "admitted"),
        (BO, BOS, DIS, "admitted"),
        (BO, BOS, CYS, NO),
        (CY, CYS, DIS, NO),
        (DI, DIS, BOS, NO),
        (BO, BOS, FOUNDING, NO),
        (CY, CYS, ELIS, "admitted"),
        (DI, DIS, FLOS, "admitted"),
        (ELI, ELIS, FLOS, NO),
        (FLO, FLOS, ELIS, NO),
    ],
    ids=lambda value: value.user.name if isinstance(value, Person) else None,
)
def test_c4_admins_end_who_is_below_them_and_whoever_is_no_admin(
    by: Person, under: Signed, target: Signed, expected: str
) -> None:
    assert verdict(endings.closes(by, under, target, AT)) == expected


def test_c5_any_admin_ends_an_invite_and_one_that_makes_admins_its_author_or_who_is_above() -> None:
    for_admins = DI.invites(DIS, T0 + 200, "admin")
    of_founder = ANA.invites(FOUNDING, T0 + 210, "admin")
    second = makes(CY, CYS, DI, "admin", T0 + 220)
    counted = closing(CY, under=CYS.hash.hex(), target=INVITE.hash.hex(), count=1)
    before = (for_admins, of_founder, second)

    for by, under, target in (
        (CY, CYS, INVITE),
        (DI, DIS, INVITE),
        (DI, DIS, for_admins),
        (DI, second, for_admins),
        (BO, BOS, for_admins),
        (ANA, FOUNDING, for_admins),
        (ANA, FOUNDING, of_founder),
    ):
        assert verdict(endings.closes(by, under, target, AT), *before) == "admitted"
    for wrong in (
        counted,
        endings.closes(ELI, ELIS, INVITE, AT),
        endings.closes(CY, CYS, for_admins, AT),
        endings.closes(DI, DIS, of_founder, AT),
    ):
        assert verdict(wrong, *before) == NO


# --- Seals. ---------------------------------------------------------------------------------------

CLOSE = endings.closes(BO, BOS, ELIS, AT)
PHONE = ELI.at_new_device("phone", T0 + 145)
CERTIFICATE = PHONE.user.statements[-1]
REVOKE = endings.revokes(ELI, ELI.user.device, AT)
ENDS = (CLOSE, CERTIFICATE, REVOKE)


def sealing(by: Person, under: Signed, ends: Signed, modified: int = AT + 1) -> Signed:
    return endings.seals(by, under, ends, modified)[0]


def test_z1_a_seal_is_made_under_ones_own_earlier_grant() -> None:
    form = Seal(NOWHERE, CLOSE.hash.hex(), 0, NO_HASHES.hex(), 0, [])

    assert verdict(sealing(BO, BOS, CLOSE), *ENDS) == "admitted"
    assert verdict(BO.states(GROUP, SEAL_TYPE, AT + 1, form), *ENDS) == "held"
    for wrong in (
        sealing(MALLORY, BOS, CLOSE),
        sealing(BO, CYS, CLOSE),
        sealing(BO, JOIN, CLOSE),
        sealing(BO, makes(ANA, FOUNDING, BO, "admin", AT + 1), CLOSE),
    ):
        assert verdict(wrong, *ENDS, makes(ANA, FOUNDING, BO, "admin", AT + 1)) in (NO, "held")


def test_z2_a_seal_is_of_an_earlier_close_of_a_grant_or_revoke() -> None:
    of_invite = endings.closes(BO, BOS, INVITE, AT)

    for by, under, ends in ((BO, BOS, CLOSE), (PHONE, ELIS, REVOKE)):
        assert verdict(sealing(by, under, ends), CERTIFICATE) == "held"
        assert verdict(sealing(by, under, ends), *ENDS) == "admitted"
        assert verdict(sealing(by, under, ends, AT), *ENDS) == NO
    for wrong in (of_invite, ELIS, JOIN):
        assert verdict(sealing(BO, BOS, wrong), of_invite) == NO


def test_z2_the_last_close_that_there_can_be_is_sealed() -> None:
    last = endings.closes(BO, BOS, ELIS, 2**47 - 1)

    assert verdict(sealing(BO, BOS, last, 2**47), last) == "admitted"
    assert verdict(endings.closes(BO, BOS, ELIS, 2**47)) == Reason.MALFORMED


def test_z3_a_close_is_sealed_by_admins() -> None:
    second = makes(ANA, FOUNDING, BO, "writer", T0 + 200)

    for by, under in ((BO, BOS), (CY, CYS), (DI, DIS), (ANA, FOUNDING)):
        assert verdict(sealing(by, under, CLOSE), *ENDS) == "admitted"
    for by, under in ((BO, second), (FLO, FLOS), (ELI, ELIS)):
        assert verdict(sealing(by, under, CLOSE), *ENDS, second) == NO


def test_z4_a_device_is_sealed_by_another_of_its_user() -> None:
    assert verdict(sealing(PHONE, ELIS, REVOKE), *ENDS) == "admitted"
    assert verdict(sealing(ELI, ELIS, REVOKE), *ENDS) == NO
    for by, under in ((ANA, FOUNDING), (BO, BOS), (FLO, FLOS)):
        assert verdict(sealing(by, under, REVOKE), *ENDS) == NO
    before_it_is_certified = (REVOKE, sealing(PHONE, ELIS, REVOKE))
    assert verdict(before_it_is_certified[1], REVOKE, CERTIFICATE) == "admitted"


def test_b1_what_a_later_version_says_is_kept_where_its_signer_ever_had_a_role() -> None:
    def later(by: Person, modified: int) -> Signed:
        return compose(by.user.device_key, by.body(GROUP, "$later.version", modified, {"any": []}))

    removal = endings.closes(CY, CYS, FLOS, AT)
    assert verdict(later(FLO, FLOS.modified + 1)) == "admitted"
    assert verdict(later(FLO, AT + 1), removal) == "admitted", "admission asks for no effect"
    assert verdict(later(FLO, FLOS.modified)) == "held"
    assert verdict(later(MALLORY, AT)) == "held"

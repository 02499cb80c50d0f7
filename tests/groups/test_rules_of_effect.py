"""The rules of `docs/rules.md` for seals, and for which grants stand, by their numbers."""

from __future__ import annotations

import itertools

from peerstack.groups.membership import GroupState
from peerstack.groups.statements import SEAL_TYPE, Role, Seal
from peerstack.keys import Hash
from peerstack.record import Signed
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
    FOUNDING,
    GROUP,
    INVITE,
    JOIN,
    MALLORY,
    is_open,
    judged,
    makes,
    standing,
    state,
)
from tests.people import T0, Person

AT = T0 + 300
WROTE = [ELI.writes(GROUP, T0 + 200 + n, {"n": n}) for n in range(4)]


def stays(now: GroupState) -> list[str]:
    """What becomes of what Eli wrote before the end."""
    return [judged(each, now) for each in WROTE]


def part(by: Person, under: Signed, ends: Signed, named: list[Hash], whole: list[Hash]) -> Signed:
    """One part of a seal over all of `whole`."""
    *_, seal = endings.seals_over(by, under, ends, AT + 1, sorted(whole))
    hashes = [each.hex() for each in named]
    form = Seal(
        under.hash.hex(),
        ends.hash.hex(),
        len(whole),
        seal.value["root"],
        seal.value["part"],
        hashes,
    )
    return by.states(GROUP, SEAL_TYPE, AT + 1, form)


def test_z5_a_seal_is_complete_when_one_device_has_said_all_of_its_parts() -> None:
    one, other, *_ = whole = sorted(each.hash for each in WROTE[:2])
    close = endings.closes(BO, BOS, ELIS, AT, WROTE[:2])
    phone = BO.at_new_device("phone", T0 + 112)
    first, second = (part(BO, BOS, close, [each], whole) for each in (one, other))
    at_phone = part(phone, BOS, close, [other], whole)
    junk = part(CY, CYS, close, [WROTE[3].hash], whole)
    before = (close, phone.user.statements[-1])

    def is_sealed(*parts: Signed) -> bool:
        found = standing(ELIS, state(*before, *parts))
        assert found is not None
        assert found.end is not None
        return found.end.sealed

    assert not is_sealed(first)
    assert not is_sealed(first, at_phone), "parts of two devices make no seal"
    assert is_sealed(first, second)
    assert is_sealed(first, second, first, part(BO, BOS, close, [one, other], whole))
    assert is_sealed(first, second, junk), "another admin cannot spoil it"
    assert not is_sealed(first, second, part(BO, BOS, close, [WROTE[3].hash], whole))


def test_z6_seals_add_up_and_none_takes_away_from_another() -> None:
    close = endings.closes(BO, BOS, ELIS, AT, WROTE[:1])
    whole = [each.hash for each in WROTE]
    seals = [
        *endings.seals(BO, BOS, close, AT + 1, WROTE[:1]),
        *endings.seals(CY, CYS, close, AT + 2, WROTE[1:2]),
        *endings.seals(ANA, FOUNDING, close, AT + 3),
        part(DI, DIS, close, whole[2:3], whole),
    ]
    for order in itertools.permutations(seals):
        assert stays(state(close, *order)) == ["admitted"] * 3 + ["quarantined"]
    assert stays(state(close, seals[0])) == ["admitted"] + ["quarantined"] * 3


def test_z7_statements_are_sealed_by_who_may_end_a_grant_and_records_by_any_admin() -> None:
    join = FLO.joins(INVITE, T0 + 180)
    let_in = DI.admits(DIS, join, T0 + 190)
    record = DI.writes(GROUP, T0 + 195)
    close = endings.closes(ANA, FOUNDING, DIS, AT)
    before = (join, let_in, close)
    named = [let_in, record]

    unnamed = state(*before)
    by_cy = state(*before, *endings.seals(CY, CYS, close, AT + 1, named))
    by_bo = state(*before, *endings.seals(BO, BOS, close, AT + 1, named))

    assert (is_open(let_in, unnamed), judged(record, unnamed)) == (False, "quarantined")
    assert (is_open(let_in, by_cy), judged(record, by_cy)) == (False, "admitted")
    assert (is_open(let_in, by_bo), judged(record, by_bo)) == (True, "admitted")


# --- Which statements have effect, and which grants stand. ----------------------------------------


def test_e1_a_statement_has_effect_where_grant_and_device_spare_it_or_a_seal_names_it() -> None:
    granted = [makes(DI, DIS, MALLORY, "writer", at) for at in (AT - 1, AT, AT + 1)]
    close = endings.closes(BO, BOS, DIS, AT, granted[:1])
    seal = endings.seals(BO, BOS, close, AT + 1, granted[:1])
    late = endings.seals(ANA, FOUNDING, close, AT + 2, granted[2:])
    revoke = endings.revokes(DI, DI.user.device, AT - 1)

    def open_grants(*ends: Signed) -> list[bool]:
        now = state(*granted, *ends)
        return [is_open(each, now) for each in granted]

    assert open_grants() == [True, True, True]
    assert open_grants(close) == [True, False, False]
    assert open_grants(close, *seal) == [True, False, False]
    assert open_grants(close, *late) == [True, False, True]
    assert open_grants(close, *late, *seal) == [True, False, True]
    assert open_grants(endings.closes(BO, BOS, DIS, AT)) == [False, False, False]
    assert open_grants(revoke) == [False, False, False]
    assert open_grants(revoke, close, *seal) == [True, False, False], "the seal decides"


def test_e2_a_founding_stands_whatever_becomes_of_its_device() -> None:
    phone = ANA.at_new_device("phone", T0 + 101)
    certificate = phone.user.statements[-1]
    rotation = endings.rotates(ANA, AT, [certificate])
    granted = phone.grants(FOUNDING, MALLORY.id, "reader", CONSENTS[MALLORY.id], AT)
    by_founding = phone.grants(FOUNDING, ANA.id, "reader", FOUNDING, AT)

    now = state(certificate, granted, by_founding, rotation)

    assert is_open(by_founding, now), "the founding is consent, too"
    assert now.members() == {ANA.id: Role.ADMIN, MALLORY.id: Role.READER}
    assert now.device(ANA.id, ANA.user.device) is None


def test_e3_a_grant_stands_by_what_it_is_under_and_by_a_consent() -> None:
    of_bos_device = endings.revokes(BO, BO.user.device, T0 + 1)
    of_elis_device = endings.revokes(ELI, ELI.user.device, T0 + 1)
    close = endings.closes(BO, BOS, ELIS, AT, WROTE[:1])
    seal = endings.seals(BO, BOS, close, AT + 1, WROTE[:1])

    assert standing(ELIS, state()) is not None
    assert standing(DIS, state(of_bos_device)) is None
    assert standing(ELIS, state(of_bos_device)) is None, "Di, whose grant it is under, is none"
    assert standing(ELIS, state(of_elis_device)) is None
    assert standing(ELIS, state(of_elis_device, close)) is None
    sealed = state(of_elis_device, close, *seal)
    assert standing(ELIS, sealed) is not None, "Eli can take back no more what others keep"
    assert judged(WROTE[0], sealed) == "admitted"


def test_e4_who_is_let_in_comes_by_an_open_invite() -> None:
    for at_ms, expected in ((ELIS.modified, True), (ELIS.modified - 1, False)):
        for end in (
            endings.closes(CY, CYS, INVITE, at_ms),
            endings.closes(ANA, FOUNDING, BOS, at_ms, [INVITE, DIS]),
            endings.leaves(BO, BOS, at_ms),
        ):
            assert (standing(ELIS, state(end)) is not None) is expected
    for kept, expected in (([DIS, INVITE], True), ([DIS], False)):
        close = endings.closes(ANA, FOUNDING, BOS, AT, kept)
        seal = endings.seals(ANA, FOUNDING, close, AT + 1, kept)
        assert (standing(ELIS, state(close, *seal)) is not None) is expected


def test_e5_who_was_removed_comes_back_by_a_newer_invite_or_a_grant_alone() -> None:
    close = endings.closes(BO, BOS, ELIS, AT)
    again = [CY.admits(CYS, JOIN, at) for at in (AT - 1, AT, AT + 1)]
    granted = CY.grants(CYS, ELI.id, "reader", JOIN, AT + 1)
    old_link = ELI.joins(INVITE, AT + 1)
    invites = [DI.invites(DIS, at) for at in (AT - 1, AT)]
    joins = [old_link, *(ELI.joins(invite, AT + 2) for invite in invites)]
    admits = [CY.admits(CYS, join, AT + 3) for join in joins]

    now = state(close, *again, granted, *invites, *joins, *admits)

    assert [standing(each, now) is not None for each in again] == [True, True, False]
    assert [is_open(each, now) for each in again] == [False, True, False]
    assert [is_open(each, now) for each in admits] == [False, False, True]
    assert is_open(granted, now)
    assert [signed for signed, _ in now.joins_of(ELI.id, ELI.user.device)] == joins[2:]


def test_e5_nobody_keeps_out_an_admin_whom_they_could_not_end() -> None:
    invite = ANA.invites(FOUNDING, T0 + 200, "admin")
    join = ELI.joins(invite, T0 + 210)
    admit = ANA.admits(FOUNDING, join, T0 + 240)
    trick = CY.grants(CYS, ELI.id, "reader", join, T0 + 220)
    close = endings.closes(CY, CYS, trick, T0 + 230)

    assert is_open(admit, state(invite, join, trick, close, admit))

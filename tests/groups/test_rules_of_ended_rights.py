"""The rules of `docs/rules.md` for where grants end, and for roles, by their numbers."""

from __future__ import annotations

from peerstack import limits
from peerstack.groups.membership import GroupState, Membership
from peerstack.groups.statements import Role
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
    FLOS,
    FOUNDING,
    GROUP,
    JOIN,
    MALLORY,
    PEOPLE,
    is_open,
    judged,
    makes,
    standing,
    state,
)
from tests.groups.folding import fold
from tests.people import NOW, T0

AT = T0 + 300


def end_ms(grant: Signed, now: GroupState) -> int | None:
    """When a grant that stands ended."""
    found = standing(grant, now)
    assert found is not None
    return found.end.at_ms - T0 if found.end else None


def test_e6_a_removal_ends_all_that_gave_no_less_by_one_consent() -> None:
    also_let_in = BO.admits(BOS, JOIN, AT - 10)
    later = BO.admits(BOS, JOIN, AT)
    raised = ANA.grants(FOUNDING, ELI.id, "admin", JOIN, T0 + 200)
    lowered = CY.grants(CYS, ELI.id, "reader", JOIN, T0 + 210)
    otherwise = makes(CY, CYS, ELI, "writer", T0 + 220)
    grants = (also_let_in, later, raised, lowered, otherwise)

    def open_after(*ends: Signed) -> list[bool]:
        now = state(*grants, *ends)
        return [is_open(each, now) for each in (ELIS, *grants)]

    by_admin = open_after(endings.closes(CY, CYS, ELIS, AT))
    by_founder = open_after(endings.closes(ANA, FOUNDING, ELIS, AT))
    of_lowest = open_after(endings.closes(ANA, FOUNDING, lowered, AT))
    of_later = open_after(endings.closes(CY, CYS, later, AT - 20))

    assert by_admin == [False, False, True, True, True, True], "Cy is not above the raised one"
    assert by_founder == [False, False, True, False, True, True], "not the lower one"
    assert of_lowest == [False, False, True, False, False, True], "not by the other consent"
    assert of_later == [False, False, False, True, True, True]
    without_effect = endings.closes(CY, CYS, ELIS, AT)
    assert is_open(ELIS, state(without_effect, endings.closes(ANA, FOUNDING, CYS, AT)))


def test_e7_a_parting_ends_its_target_and_a_leave_all_that_was_consented_to_before() -> None:
    second = makes(ANA, FOUNDING, DI, "writer", T0 + 200)
    new_consent = DI.consents(GROUP, AT - 1)
    of_new = ANA.grants(FOUNDING, DI.id, "reader", new_consent, AT - 1 + 5)
    by_old = makes(ANA, FOUNDING, DI, "reader", AT + 10)
    before = (second, new_consent, of_new, by_old)

    gives_up = state(*before, endings.closes(DI, DIS, second, AT))
    leaves = state(*before, endings.leaves(DI, second, AT - 2))

    assert [is_open(each, gives_up) for each in (DIS, second, of_new, by_old)] == [
        True,
        False,
        True,
        True,
    ]
    assert [end_ms(each, leaves) for each in (DIS, second, of_new, by_old)] == [
        298,
        298,
        None,
        298,
    ]


def test_e7_a_leave_by_a_device_that_ended_counts_once_others_have_sealed_it() -> None:
    phone = DI.at_new_device("phone", T0 + 132)
    leave = endings.leaves(phone, DIS, AT)
    before = (phone.user.statements[-1], leave, endings.revokes(DI, phone.user.device, AT - 1))

    assert is_open(DIS, state(*before))
    assert end_ms(DIS, state(*before, *endings.seals(BO, BOS, leave, AT + 1))) == 300
    assert is_open(DIS, state(*before, *endings.seals(CY, CYS, leave, AT + 1)))


def test_e8_who_was_removed_and_sealed_cannot_leave_before_that() -> None:
    invite = DI.invites(DIS, T0 + 200)
    join = FLO.joins(invite, T0 + 210)
    by_invite = CY.admits(CYS, join, T0 + 220)
    close = endings.closes(BO, BOS, DIS, AT, [invite])
    seal = endings.seals(BO, BOS, close, AT + 1, [invite])
    leave = endings.leaves(DI, DIS, T0 + 201)
    before = (invite, join, by_invite)

    assert is_open(by_invite, state(*before, close))
    assert not is_open(by_invite, state(*before, close, leave))
    assert is_open(by_invite, state(*before, close, leave, *seal))
    naming = endings.seals(ANA, FOUNDING, close, AT + 2, [leave])
    assert not is_open(by_invite, state(*before, close, leave, *seal, *naming))


def test_e8_who_left_and_was_sealed_cannot_leave_earlier() -> None:
    late, early = (endings.leaves(DI, DIS, at) for at in (AT, AT - 50))
    of_late, of_early = (endings.seals(BO, BOS, leave, AT + 1) for leave in (late, early))
    naming = endings.seals(BO, BOS, late, AT + 1, [early])

    assert end_ms(DIS, state(late, early)) == 250
    assert end_ms(DIS, state(late, early, *of_late)) == 300
    assert end_ms(DIS, state(late, early, *of_late, *of_early)) == 250
    assert end_ms(DIS, state(late, early, *naming)) == 250


def test_e8_a_leave_beyond_all_time_is_undone_by_a_removal_whose_seal_does_not_name_it() -> None:
    phone = DI.at_new_device("phone", T0 + 132)
    leave = endings.leaves(phone, DIS, limits.STATEMENT_MS_MAX)
    stolen = (phone.user.statements[-1], leave, endings.revokes(DI, phone.user.device, AT - 1))
    of_leave = endings.seals(ANA, FOUNDING, leave, limits.STATEMENT_MS_MAX + 1)
    removal = endings.closes(BO, BOS, DIS, AT)
    again = makes(BO, BOS, DI, "admin", AT + 10)
    by_another = makes(CY, CYS, DI, "admin", AT + 10)
    before = (*stolen, *of_leave, again)

    assert not is_open(again, state(*before))
    now = state(*before, removal, by_another)
    assert is_open(again, now)
    assert not is_open(by_another, now), "it lies beyond the authority of who removed"
    assert end_ms(DIS, now) == 300
    assert now.consent_of(DI.id) == CONSENTS[DI.id].hash
    assert now.membership(DI.id) is Membership.MEMBER
    naming = endings.seals(BO, BOS, leave, limits.STATEMENT_MS_MAX + 2, [leave])
    named = state(*before, removal, *naming)
    assert not is_open(again, named)
    assert named.consent_of(DI.id) is None


def test_e9_a_removal_is_sealed_as_it_commits_and_a_parting_by_any_seal() -> None:
    record = ELI.writes(GROUP, T0 + 200)
    committed = endings.closes(BO, BOS, ELIS, AT, [record])
    empty = endings.closes(BO, BOS, ELIS, AT)
    leave = endings.leaves(ELI, ELIS, AT)

    def is_sealed(*ends: Signed) -> bool:
        found = standing(ELIS, state(*ends))
        assert found is not None
        assert found.end is not None
        return found.end.sealed

    assert not is_sealed(committed)
    assert not is_sealed(committed, *endings.seals(BO, BOS, committed, AT + 1))
    assert is_sealed(committed, *endings.seals(CY, CYS, committed, AT + 1, [record]))
    assert is_sealed(empty)
    assert not is_sealed(leave)
    assert is_sealed(leave, *endings.seals(CY, CYS, leave, AT + 1))
    assert is_sealed(committed, leave, *endings.seals(CY, CYS, leave, AT + 1))


def test_e10_a_grant_ends_at_the_earliest_and_spares_what_is_earlier_until_it_is_sealed() -> None:
    removals = [
        endings.closes(by, grant, ELIS, at)
        for by, grant, at in ((BO, BOS, AT + 20), (CY, CYS, AT), (ANA, FOUNDING, AT + 10))
    ]
    earlier, at_the_end = (ELI.writes(GROUP, at) for at in (AT - 1, AT))
    parting = endings.leaves(ELI, ELIS, AT)

    assert end_ms(ELIS, state(*removals)) == 300
    now = state(parting)
    assert [judged(each, now) for each in (earlier, at_the_end)] == ["admitted", "no-role"]
    now = state(parting, *endings.seals(BO, BOS, parting, AT + 1, [at_the_end]))
    assert [judged(each, now) for each in (earlier, at_the_end)] == ["quarantined", "admitted"]


# --- Roles. ---------------------------------------------------------------------------------------


def test_m1_a_role_is_the_highest_of_the_grants_of_that_time() -> None:
    lower = makes(ANA, FOUNDING, FLO, "reader", T0 + 210)
    higher = makes(ANA, FOUNDING, FLO, "admin", T0 + 200)
    close = endings.closes(ANA, FOUNDING, higher, T0 + 220)
    now = state(lower, higher, close)

    roles = [now.role_at(FLO.id, T0 + at) for at in (170, 171, 200, 201, 211, 219, 220)]
    reader, admin = Role.READER, Role.ADMIN
    assert roles == [None, reader, reader, admin, admin, admin, reader]
    assert [now.role_at(ANA.id, T0 + at) for at in (100, 101)] == [None, Role.ADMIN]


def test_m2_in_a_personal_group_its_user_is_admin() -> None:
    personal = fold(ANA.id, PEOPLE).state

    assert personal.members() == {ANA.id: Role.ADMIN}
    assert personal.role_at(ANA.id, T0) is None
    assert personal.role_at(ANA.id, T0 + 1) is Role.ADMIN
    assert personal.role_at(BO.id, NOW) is None


def test_m3_members_have_an_open_grant_and_others_were_removed_or_left() -> None:
    later = endings.leaves(FLO, FLOS, AT + 10)
    removal = endings.closes(CY, CYS, FLOS, AT)
    now = state(removal, endings.leaves(ELI, ELIS, AT))

    assert now.members() == dict.fromkeys([each.id for each in (ANA, BO, CY, DI)], Role.ADMIN)
    assert now.membership(ANA.id) is Membership.MEMBER
    assert now.membership(FLO.id) is Membership.REMOVED
    assert now.membership(ELI.id) is Membership.LEFT
    assert now.membership(MALLORY.id) is Membership.NONE
    assert state(later).membership(FLO.id) is Membership.LEFT
    back = makes(CY, CYS, FLO, "reader", AT + 20)
    assert state(removal, back).membership(FLO.id) is Membership.MEMBER


def test_m4_nobody_is_in_again_by_a_consent_that_is_not_later_than_their_leave() -> None:
    leave = endings.leaves(FLO, FLOS, AT)
    by_old = makes(CY, CYS, FLO, "writer", AT + 10)
    consents = [FLO.consents(GROUP, at) for at in (AT, AT + 1)]
    by_new = [CY.grants(CYS, FLO.id, "writer", each, AT + 20) for each in consents]

    now = state(leave, by_old, *consents, *by_new)

    assert [is_open(each, now) for each in (by_old, *by_new)] == [False, False, True]
    assert state(leave).consent_of(FLO.id) is None
    assert state(leave, *consents).consent_of(FLO.id) == consents[1].hash
    assert state().consent_of(FLO.id) == CONSENTS[FLO.id].hash


def test_m5_uses_are_counted_over_those_who_came_in_and_all_stand_beyond_them() -> None:
    once = BO.invites(BOS, T0 + 200, uses=1)
    joins = [each.joins(once, T0 + 210) for each in (FLO, MALLORY)]
    admits = [CY.admits(CYS, join, T0 + 220) for join in joins]
    by_removed = FLO.admits(FLOS, joins[1], AT + 1)
    removal = endings.closes(CY, CYS, FLOS, AT)

    assert state(once, *joins, *admits).uses_of(once.hash) == 2
    assert state(once, *joins, *admits).latest_use_ms(once.hash) == T0 + 220
    assert state(once, *joins, by_removed, removal).uses_of(once.hash) == 0
    assert state(once).uses_of(once.hash) == 0

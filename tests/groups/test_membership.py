"""Who holds which role when: the same statements, the same answer, in whatever order they come."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerstack.errors import Reason
from peerstack.groups.membership import GroupState, Membership
from peerstack.groups.rules import ADMITTED, Refused, judge_record
from peerstack.groups.seals import NO_HASHES
from peerstack.groups.statements import (
    CLOSE_TYPE,
    GROUP_TYPE,
    Close,
    Founding,
    Role,
)
from peerstack.identity import is_identity_type
from peerstack.ids import as_group
from peerstack.record import Signed
from tests.groups.folding import Fold, fold
from tests.people import NOW, T0, Person, person

ANA, BO, CY, DI, MALLORY = (person(name) for name in ("ana", "bo", "cy", "di", "mallory"))
PEOPLE = [each for who in (ANA, BO, CY, DI, MALLORY) for each in who.user.statements]

FOUNDING = ANA.founds(T0 + 100)
GROUP = FOUNDING.group
INVITE = ANA.invites(FOUNDING, T0 + 200)
JOIN = BO.joins(INVITE, T0 + 300)
ADMIT = ANA.admits(FOUNDING, JOIN, T0 + 400)


def _story() -> list[Signed]:
    """Honest and hostile statements of every kind, some of which wait for others."""
    phone = BO.at_new_device("phone", T0 + 450)
    consent = CY.consents(GROUP, T0 + 500)
    promotion = ANA.grants(FOUNDING, BO.id, "admin", JOIN, T0 + 510)
    by_bo = phone.grants(promotion, CY.id, "writer", consent, T0 + 520)
    join = DI.joins(INVITE, T0 + 530)
    # Two members let Di in, apart from each other.
    admit, earlier_admit = CY.admits(by_bo, join, T0 + 700), ANA.admits(FOUNDING, join, T0 + 540)
    closing = Close(admit.hash.hex(), admit.hash.hex(), 0, NO_HASHES.hex())
    return [
        FOUNDING,
        INVITE,
        JOIN,
        ADMIT,
        phone.user.statements[-1],
        consent,
        promotion,
        by_bo,
        join,
        admit,
        earlier_admit,
        DI.states(GROUP, CLOSE_TYPE, T0 + 600, closing),
        DI.states(GROUP, CLOSE_TYPE, T0 + 800, closing),
        MALLORY.consents(GROUP, T0 + 300),
        MALLORY.invites(FOUNDING, T0 + 600, "admin"),
        MALLORY.joins(JOIN, T0 + 600, proof="00" * 64),
        MALLORY.joins(INVITE, T0 + 600, proof="00" * 64),
        MALLORY.founds(T0 + 600),
        DI.admits(admit, MALLORY.joins(INVITE, T0 + 710), T0 + 720),
        msgspec.structs.replace(ANA.invites(FOUNDING, T0 + 601), signature=b"\x01" + bytes(64)),
    ]


STORY = _story()
RECORDS = [
    who.writes(GROUP, T0 + at, type_name=type_name)
    for who in (ANA, BO, CY, DI, MALLORY)
    for at in (0, 401, 541, 701, 900)
    for type_name in ("note", "$profile")
]
EXPECTED = fold(GROUP, [*PEOPLE, *STORY])


def outcome(known: Fold) -> tuple[object, ...]:
    state = known.state
    verdicts = [judge_record(state, record, NOW) for record in RECORDS]
    members = {who: state.role(who) for who in state.identities}
    return (known.admitted.keys(), known.held.keys(), known.refused, members, verdicts)


@settings(max_examples=60)
@given(st.permutations([*PEOPLE, *STORY]))
def test_the_order_in_which_statements_arrive_does_not_matter(arriving: list[Signed]) -> None:
    """In the original, a record counted or not by its order of arrival."""
    assert outcome(fold(GROUP, arriving)) == outcome(EXPECTED)


def test_the_story_has_every_outcome_in_it() -> None:
    assert len(EXPECTED.admitted) == len(PEOPLE) + 13
    assert len(EXPECTED.held) == 1
    assert set(EXPECTED.refused.values()) == {
        Reason.DOES_NOT_STAND,
        Reason.BAD_PROOF,
        Reason.WRONG_GROUP,
        Reason.BAD_SIGNATURE,
    }
    assert {judge_record(EXPECTED.state, each, NOW) for each in RECORDS} == {
        ADMITTED,
        Refused(Reason.NO_ROLE),
    }


@given(st.permutations(STORY), st.integers(0, len(STORY)))
def test_statements_read_at_once_say_what_they_say_one_by_one(
    arriving: list[Signed], at: int
) -> None:
    admitted = [each for each in arriving if each.hash in EXPECTED.admitted]
    own = sorted((s for s in admitted if not is_identity_type(s.type)), key=lambda s: s.order)
    identities = [s for s in EXPECTED.admitted.values() if is_identity_type(s.type)]

    at_once = GroupState.of(GROUP, [*identities, *admitted])
    one_by_one = GroupState.of(GROUP, identities).extended(own[:at]).extended(own[at:])

    assert one_by_one == at_once


def test_extending_a_state_leaves_the_one_before_as_it_was() -> None:
    before = GroupState.of(GROUP, PEOPLE)
    after = before.extended([FOUNDING])

    assert before.members() == {}
    assert after.members() == {ANA.id: Role.ADMIN}


# --- Faults of the original. ----------------------------------------------------------------------


def test_a_non_member_cannot_overwrite_a_group_and_become_its_owner() -> None:
    takeover = [
        MALLORY.states(GROUP, GROUP_TYPE, T0 + 900, Founding("00" * 16), id=GROUP),
        MALLORY.states(GROUP, GROUP_TYPE, T0 + 100, Founding("00" * 16), id=GROUP),
        MALLORY.grants(FOUNDING, MALLORY.id, "admin", FOUNDING, T0 + 900),
    ]
    known = fold(GROUP, [*PEOPLE, *takeover, *STORY, *takeover])

    assert not known.admitted.keys() & {each.hash for each in takeover}
    assert known.state.role(MALLORY.id) is None
    profile = MALLORY.writes(GROUP, type_name="$profile")
    assert judge_record(known.state, profile, NOW) == Refused(Reason.NO_ROLE)


def test_a_stranger_cannot_overwrite_somebodys_private_note() -> None:
    note = ANA.writes(ANA.id)
    personal = fold(ANA.id, PEOPLE).state
    over_it = MALLORY.writes(ANA.id, NOW + 1, id=note.id)

    assert judge_record(personal, note, NOW) == ADMITTED
    assert judge_record(personal, over_it, NOW) == Refused(Reason.NO_ROLE)


def test_a_right_is_that_of_the_time_of_writing_not_of_arrival() -> None:
    record = BO.writes(GROUP, T0 + 399)

    for state in (fold(GROUP, [*PEOPLE, FOUNDING]).state, EXPECTED.state):
        assert judge_record(state, record, NOW) == Refused(Reason.NO_ROLE)


def test_a_member_cannot_write_in_another_members_name() -> None:
    in_anas_name = BO.writes(GROUP, type_name="$profile", signer=ANA.id)
    at_anas_device = BO.writes(GROUP, signer=ANA.id, device=ANA.user.device)
    certified = EXPECTED.state.device(ANA.id, ANA.user.device)

    assert judge_record(EXPECTED.state, in_anas_name, NOW) != ADMITTED
    assert certified is not None
    assert not at_anas_device.signature_check(certified.key).holds()


# --- What a state says. ---------------------------------------------------------------------------


def test_members_are_those_who_hold_a_grant() -> None:
    assert EXPECTED.state.members() == {
        ANA.id: Role.ADMIN,
        BO.id: Role.ADMIN,
        CY.id: Role.WRITER,
    }
    assert EXPECTED.state.membership(DI.id) is Membership.LEFT


def test_the_grant_to_write_under_is_the_oldest_that_fits() -> None:
    state = EXPECTED.state

    writing, ruling = state.grant_for(BO.id, Role.READER), state.grant_for(BO.id, Role.ADMIN)

    assert writing is not None
    assert ruling is not None
    assert writing.hash == ADMIT.hash
    assert (writing.under, ruling.since_ms) == (FOUNDING.hash, T0 + 510)
    assert state.grant_for(CY.id, Role.ADMIN) is None
    assert state.grant_for(MALLORY.id, Role.READER) is None


@pytest.mark.parametrize("who", [ANA, BO, CY], ids=["ana", "bo", "cy"])
def test_vouching_statements_alone_show_that_somebody_is_a_member(who: Person) -> None:
    chain = EXPECTED.state.vouching(who.id)

    alone = fold(GROUP, [*PEOPLE, *_certificates(), *chain])

    assert alone.held == {}
    assert alone.state.role(who.id) is not None
    assert len(chain) < len(EXPECTED.admitted)


def test_the_statements_of_a_parting_alone_show_that_somebody_is_a_member_no_more() -> None:
    parting = EXPECTED.state.parting(DI.id, sealed=False)

    alone = fold(GROUP, [*PEOPLE, *_certificates(), *parting])

    assert alone.held == {}
    assert alone.state.membership(DI.id) is Membership.LEFT
    assert len(parting) < len(EXPECTED.admitted)
    assert EXPECTED.state.parting(BO.id, sealed=False) == []


def _certificates() -> list[Signed]:
    return [each for each in STORY if is_identity_type(each.type)]


def test_nobody_vouches_for_a_stranger() -> None:
    assert EXPECTED.state.vouching(MALLORY.id) == []


def test_vouching_in_a_personal_group_takes_no_group_statement() -> None:
    assert fold(ANA.id, PEOPLE).state.vouching(ANA.id) == []


def test_uses_count_newcomers_however_many_members_let_each_in() -> None:
    """Two members' devices may admit the same join, apart from each other."""
    assert EXPECTED.state.uses_of(INVITE.hash) == 2


def test_the_invites_of_a_state_are_those_that_stand() -> None:
    assert [signed for signed, _ in EXPECTED.state.invites()] == [INVITE]
    assert EXPECTED.state.invite(FOUNDING.hash) is None
    assert EXPECTED.state.join(INVITE.hash) is None
    assert EXPECTED.state.join(JOIN.hash) is not None


def test_a_group_is_personal_where_its_id_is_a_users() -> None:
    assert GroupState.of(ANA.id, PEOPLE).is_personal
    assert not EXPECTED.state.is_personal
    assert not GroupState.of(as_group(ANA.id)).is_personal


@pytest.mark.parametrize("role", Role)
def test_roles_have_the_names_that_apps_use(role: Role) -> None:
    assert Role.named(role.label) is role
    assert Role.READER < Role.WRITER < Role.ADMIN

"""What a member tries in other people's names: to consent, to sign, to come and go for them."""

from __future__ import annotations

import pytest

from peerstack import limits
from peerstack.errors import Reason
from peerstack.groups.membership import GroupState
from peerstack.groups.statements import Join
from tests.groups import endings
from tests.groups.admins import (
    ANA,
    BO,
    BOS,
    CY,
    CYS,
    ELI,
    ELIS,
    FLO,
    FLOS,
    FOUNDING,
    GROUP,
    INVITE,
    JOIN,
    MALLORY,
    everywhere,
    judged,
    known,
    makes,
    members,
    state,
    verdict,
)
from tests.groups.folding import fold
from tests.people import NOW, T0, person

AT = T0 + 300
ALL = {"ana", "bo", "cy", "di", "eli", "flo"}
RECORD = ELI.writes(GROUP, T0 + 200)


def test_nobody_is_brought_in_by_a_forged_consent() -> None:
    stranger = person("stranger")
    elsewhere = stranger.consents(ANA.founds(T0 + 100, nonce=b"other".ljust(16)).group, T0 + 105)
    in_their_name = MALLORY.states(GROUP, "$join", T0 + 180, Join(), signer=stranger.id)
    at_their_device = MALLORY.states(
        GROUP, "$join", T0 + 180, Join(), signer=stranger.id, device=stranger.user.device
    )
    tried = (elsewhere, in_their_name, at_their_device)
    grants = [ANA.grants(FOUNDING, stranger.id, "writer", each, AT) for each in (*tried, JOIN)]

    device = fold(GROUP, [*stranger.user.statements, *known().admitted.values(), *tried, *grants])

    assert device.verdict(elsewhere) == Reason.WRONG_GROUP
    assert device.verdict(in_their_name) == "held", "a device of Mallory's is none of theirs"
    assert device.verdict(at_their_device) == Reason.BAD_SIGNATURE
    assert [device.verdict(each) for each in grants] == ["held"] * 3 + [Reason.DOES_NOT_STAND]
    assert members(device.state) == ALL


def test_who_left_is_not_brought_back_without_a_new_consent() -> None:
    leave = endings.leaves(FLO, FLOS, AT)
    tried = [makes(CY, CYS, FLO, role, AT + 10) for role in ("reader", "admin")]

    assert everywhere(members, leave, *tried) == ALL - {"flo"}
    backdated = makes(CY, CYS, FLO, "writer", AT - 10)
    assert everywhere(members, leave, backdated) == ALL - {"flo"}


def test_nobody_signs_as_another_user_with_its_own_keys() -> None:
    in_bos_name = MALLORY.states(GROUP, "$join", AT, Join(), signer=BO.id, device=BO.user.device)
    record = MALLORY.writes(GROUP, NOW, signer=BO.id)

    assert verdict(in_bos_name) == Reason.BAD_SIGNATURE
    assert judged(record, state()) == "held", "Bo has no such device"


def test_two_rotations_of_one_parent_stop_what_follows_and_nothing_else() -> None:
    phone = ELI.at_new_device("phone", T0 + 145)
    kept = [ELI.user.statements[-1], phone.user.statements[-1]]
    one, other = endings.rotates(ELI, AT, kept), endings.rotates(ELI, AT + 10, kept[:1])
    records = [RECORD, phone.writes(GROUP, T0 + 210)]

    def outcome(now: GroupState) -> tuple[bool, list[str]]:
        return now.identities[ELI.id].forked, [judged(each, now) for each in records]

    of_one, of_other = ["admitted"] * 2, ["admitted", Reason.DEVICE_ENDED]
    assert everywhere(outcome, kept[1], one) == (False, of_one)
    assert everywhere(outcome, kept[1], other) == (False, of_other)
    assert everywhere(outcome, kept[1], one, other) == (True, of_one)


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_a_right_dated_into_the_future_can_be_ended(role: str) -> None:
    join = MALLORY.joins(INVITE, T0 + 180)
    last_moment = limits.STATEMENT_MS_MAX
    let_in = ELI.admits(ELIS, join, last_moment)
    granted = makes(BO, BOS, MALLORY, "reader", last_moment)
    target = let_in if role == "writer" else granted

    assert "mallory" in everywhere(members, join, target)
    end = endings.closes(CY, CYS, target, AT)
    assert everywhere(members, join, target, end) == ALL

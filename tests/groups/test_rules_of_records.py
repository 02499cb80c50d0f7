"""The rules of `docs/rules.md` for records, by their numbers."""

from __future__ import annotations

from typing import Any

import pytest

from peerstack import limits
from peerstack.errors import Reason
from peerstack.groups.rules import ADMITTED, MISSING, Held, Refused, judge_record
from peerstack.ids import as_group
from tests.groups.folding import fold, holds
from tests.groups.samples import (
    ANA,
    BO,
    CY,
    FOUNDING,
    GROUP,
    INVITE,
    MALLORY,
    PEOPLE,
    STATE,
    STORY,
    changed,
    device,
)
from tests.people import NOW, T0, person


def test_r1_a_record_is_signed_by_its_device() -> None:
    genuine = BO.writes(GROUP)
    forged = changed(genuine, MALLORY.user.device_key)
    certified = STATE.device(BO.id, genuine.device)

    assert certified is not None
    assert holds(genuine.signature_check(certified.key))
    assert not holds(forged.signature_check(certified.key))


def test_r2_a_record_of_another_group_is_nothing_here() -> None:
    elsewhere = BO.writes(as_group(BO.id))

    assert judge_record(STATE, elsewhere, NOW) == Refused(Reason.WRONG_GROUP)


def test_r3_a_record_from_more_than_10_minutes_ahead_is_held_until_its_time() -> None:
    ahead = BO.writes(GROUP, NOW + limits.FUTURE_MS + 1)
    verdict = judge_record(STATE, ahead, NOW)

    assert limits.FUTURE_MS == 600_000
    assert verdict == Held(until_ms=NOW + 1)
    assert judge_record(STATE, ahead, NOW + 1) == ADMITTED
    assert judge_record(STATE, BO.writes(GROUP, NOW + limits.FUTURE_MS), NOW) == ADMITTED


def test_r4_a_record_waits_until_its_signers_device_is_known() -> None:
    stranger = person("stranger")
    phone = BO.at_new_device("phone", T0 + 450)

    assert judge_record(STATE, stranger.writes(GROUP), NOW) == MISSING
    assert judge_record(STATE, phone.writes(GROUP), NOW) == MISSING
    known = fold(GROUP, [*PEOPLE, *STORY, phone.user.statements[-1]]).state
    assert judge_record(known, phone.writes(GROUP), NOW) == ADMITTED


def test_r5_a_record_is_later_than_its_devices_certificate() -> None:
    phone = BO.at_new_device("phone", T0 + 450)
    state = fold(GROUP, [*PEOPLE, *STORY, phone.user.statements[-1]]).state

    assert judge_record(state, phone.writes(GROUP, T0 + 450), NOW) == Refused(Reason.NO_ROLE)
    assert judge_record(state, phone.writes(GROUP, T0 + 451), NOW) == ADMITTED


@pytest.mark.parametrize("writer", [CY, MALLORY], ids=["a reader", "no member"])
def test_r6_only_writers_write(writer: Any) -> None:
    assert judge_record(STATE, writer.writes(GROUP), NOW) == Refused(Reason.NO_ROLE)
    assert judge_record(STATE, BO.writes(GROUP), NOW) == ADMITTED
    assert judge_record(STATE, BO.writes(GROUP, T0 + 400), NOW) == Refused(Reason.NO_ROLE)
    assert judge_record(STATE, BO.writes(GROUP, T0 + 401), NOW) == ADMITTED


@pytest.mark.parametrize("type_name", ["$profile", "$secret"])
def test_r7_only_admins_write_profile_and_secret(type_name: str) -> None:
    for writer in (BO, CY, MALLORY):
        record = writer.writes(GROUP, type_name=type_name)
        assert judge_record(STATE, record, NOW) == Refused(Reason.NO_ROLE)
    assert judge_record(STATE, ANA.writes(GROUP, type_name=type_name), NOW) == ADMITTED


def test_r8_of_two_versions_the_higher_modified_and_then_hash_is_live() -> None:
    versions = [BO.writes(GROUP, NOW, {"n": n}, id=INVITE.id) for n in range(5)]
    later = ANA.writes(GROUP, NOW + 1, {}, id=INVITE.id)
    highest = max(versions, key=lambda each: each.hash)

    assert all(highest.order > each.order for each in versions if each != highest)
    assert later.order > highest.order


def test_r9_a_record_without_a_role_has_it_once_an_earlier_grant_arrives() -> None:
    record = MALLORY.writes(GROUP)
    join = MALLORY.joins(INVITE, T0 + 300)
    late = ANA.admits(FOUNDING, join, T0 + 500)

    assert judge_record(STATE, record, NOW) == Refused(Reason.NO_ROLE)
    known = device()
    for each in (join, late):
        known.receive(each)
    assert judge_record(known.state, record, NOW) == ADMITTED

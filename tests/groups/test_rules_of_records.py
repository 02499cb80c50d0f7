"""The rules of `docs/rules.md` for records, by their numbers."""

from __future__ import annotations

from typing import Any

import pytest

from peerstack import limits
from peerstack.errors import Reason
from peerstack.groups.rules import ADMITTED, MISSING, Held, Quarantined, Refused, judge_record
from peerstack.ids import as_group
from peerstack.record import Signed
from tests.groups import endings
from tests.groups.admins import judged
from tests.groups.folding import fold, holds
from tests.groups.samples import (
    ADMIT,
    ANA,
    BO,
    CY,
    FOUNDING,
    GROUP,
    INVITE,
    JOIN,
    MALLORY,
    PEOPLE,
    STATE,
    STORY,
    changed,
    device,
)
from tests.people import NOW, T0, person, signer


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


def test_r7_a_mark_is_written_by_whoever_has_a_role() -> None:
    for writer in (ANA, BO, CY):
        assert judge_record(STATE, writer.writes(GROUP, type_name="$reached"), NOW) == ADMITTED
    stranger = MALLORY.writes(GROUP, type_name="$reached")
    assert judge_record(STATE, stranger, NOW) == Refused(Reason.NO_ROLE)


AT = NOW
KEPT = BO.writes(GROUP, AT - 9)
CLOSE = endings.closes(ANA, FOUNDING, ADMIT, AT, [KEPT])
PHONE = BO.at_new_device("phone", T0 + 450)
LAPTOPS, CERTIFICATE = BO.user.statements[-1], PHONE.user.statements[-1]
REVOKE = endings.revokes(BO, PHONE.user.device, AT)


def becomes(record: Signed, *ends: Signed) -> str:
    known = fold(GROUP, [*PEOPLE, *STORY, CERTIFICATE, *ends])
    assert (known.held, known.refused) == ({}, {})
    return judged(record, known.state)


def test_r6_what_was_written_by_an_ended_right_stays_as_the_end_says() -> None:
    earlier, at_the_end = (BO.writes(GROUP, at) for at in (AT - 1, AT))

    assert becomes(earlier, CLOSE) == "admitted"
    assert becomes(at_the_end, CLOSE) == Reason.NO_ROLE
    for naming in (at_the_end, BO.writes(GROUP, AT + 1)):
        seal = endings.seals(ANA, FOUNDING, CLOSE, AT + 1, [naming])
        assert becomes(naming, CLOSE, *seal) == "admitted"
    again = ANA.grants(FOUNDING, BO.id, "writer", JOIN, AT + 5)
    assert becomes(BO.writes(GROUP, AT + 5), CLOSE, again) == Reason.NO_ROLE
    assert becomes(BO.writes(GROUP, AT + 6), CLOSE, again) == "admitted"


def test_r7_what_an_admin_wrote_is_not_kept_by_a_seal_of_a_lower_right() -> None:
    profile = BO.writes(GROUP, AT - 1, type_name="$profile")
    seal = endings.seals(ANA, FOUNDING, CLOSE, AT + 1, [profile])

    assert becomes(profile, CLOSE, *seal) == Reason.NO_ROLE


def test_r8_a_record_is_by_a_device_that_counts_and_spares_it() -> None:
    earlier, at_the_end = (PHONE.writes(GROUP, at) for at in (AT - 1, AT))
    dropping, fork = (endings.rotates(BO, AT, [LAPTOPS]) for _ in range(2))
    new_key = signer("Bo's new laptop")
    new = BO.certifies(AT - 5, under=dropping.hash, key=new_key, root=endings.second_root(BO))
    by_new = changed(BO.writes(GROUP, AT - 1), new_key, device=new.value["device"])

    assert becomes(earlier, REVOKE) == "admitted"
    assert becomes(at_the_end, REVOKE) == Reason.DEVICE_ENDED
    assert becomes(earlier, dropping) == Reason.DEVICE_ENDED
    assert becomes(BO.writes(GROUP, AT - 1), dropping) == "admitted"
    assert becomes(by_new, dropping, new) == "admitted"
    assert becomes(by_new, dropping, new, fork) == "held"
    assert becomes(earlier, dropping, new, fork) == "admitted"


def test_r8_what_a_seal_of_the_right_names_stays_whatever_becomes_of_the_device() -> None:
    by_admin = endings.seals(ANA, FOUNDING, CLOSE, AT + 1, [KEPT])

    for taking_back in (
        endings.revokes(BO, BO.user.device, T0 + 2),
        endings.rotates(BO, AT, []),
    ):
        assert becomes(KEPT, taking_back) == Reason.NO_ROLE, "the consent is taken back, too"
        assert becomes(KEPT, taking_back, CLOSE) == Reason.NO_ROLE
        assert becomes(KEPT, taking_back, CLOSE, *by_admin) == "admitted"


def test_r9_what_is_earlier_than_a_sealed_end_and_not_named_is_quarantined() -> None:
    earlier, at_the_end = (PHONE.writes(GROUP, at) for at in (AT - 1, AT))
    of_right = endings.seals(ANA, FOUNDING, CLOSE, AT + 1, [KEPT])
    of_device = endings.seals(BO, ADMIT, REVOKE, AT + 1)

    for end, seal, by, under, reason in (
        (CLOSE, of_right, ANA, FOUNDING, Reason.NO_ROLE),
        (REVOKE, of_device, BO, ADMIT, Reason.DEVICE_ENDED),
    ):
        state = fold(GROUP, [*PEOPLE, *STORY, CERTIFICATE, end, *seal]).state
        assert judge_record(state, earlier, NOW) == Quarantined(end.hash)
        assert becomes(at_the_end, end, *seal) == reason
        naming = endings.seals(by, under, end, AT + 2, [earlier])
        assert becomes(earlier, end, *seal, *naming) == "admitted"


def test_r9_a_mark_that_a_seal_leaves_out_is_refused() -> None:
    mark = BO.writes(GROUP, AT - 1, type_name="$reached")
    seal = endings.seals(ANA, FOUNDING, CLOSE, AT + 1, [KEPT])

    assert becomes(mark, CLOSE) == "admitted"
    assert becomes(mark, CLOSE, *seal) == Reason.NO_ROLE


def test_r10_of_two_versions_the_higher_modified_and_then_hash_is_live() -> None:
    versions = [BO.writes(GROUP, NOW, {"n": n}, id=INVITE.id) for n in range(5)]
    later = ANA.writes(GROUP, NOW + 1, {}, id=INVITE.id)
    highest = max(versions, key=lambda each: each.hash)

    assert all(highest.order > each.order for each in versions if each != highest)
    assert later.order > highest.order


def test_r11_a_record_without_a_role_has_it_once_an_earlier_grant_arrives() -> None:
    record = MALLORY.writes(GROUP)
    join = MALLORY.joins(INVITE, T0 + 300)
    late = ANA.admits(FOUNDING, join, T0 + 500)

    assert judge_record(STATE, record, NOW) == Refused(Reason.NO_ROLE)
    known = device()
    for each in (join, late):
        known.receive(each)
    assert judge_record(known.state, record, NOW) == ADMITTED

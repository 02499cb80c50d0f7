"""What a member with the code and all its own keys tries, before and after it was removed.

Each test shows the same outcome on devices to which everything came in different orders.
"""

from __future__ import annotations

import itertools

from peerstack.errors import Reason
from peerstack.groups.membership import GroupState
from peerstack.groups.statements import Admit, Role
from tests.groups import endings
from tests.groups.admins import (
    ANA,
    BO,
    BOS,
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
    everywhere,
    is_open,
    judged,
    known,
    makes,
    members,
    state,
    verdict,
)
from tests.people import T0, person

AT = T0 + 300
ALL = {"ana", "bo", "cy", "di", "eli", "flo"}

SEEN = [ELI.writes(GROUP, T0 + 200), JOIN]
REMOVAL = endings.closes(CY, CYS, ELIS, AT, SEEN)
REMOVED = [REMOVAL, *endings.seals(CY, CYS, REMOVAL, AT + 1, SEEN)]
"""Eli is removed: one record of his had been seen."""

NAMED = [INVITE, DIS]
DEPOSED = [
    fall := endings.closes(ANA, FOUNDING, BOS, AT, NAMED),
    *endings.seals(ANA, FOUNDING, fall, AT + 1, NAMED),
]
"""Bo is removed by the founder, who keeps what Bo had done."""


# --- After it was removed. ------------------------------------------------------------------------


def test_records_backdated_after_a_removal_are_quarantined() -> None:
    backdated, later = (ELI.writes(GROUP, at) for at in (AT - 1, AT + 1))

    def verdicts(now: GroupState) -> list[str]:
        return [judged(each, now) for each in (SEEN[0], backdated, later)]

    assert everywhere(verdicts, *REMOVED) == ["admitted", "quarantined", Reason.NO_ROLE]
    assert everywhere(verdicts, REMOVAL) == ["admitted", "admitted", Reason.NO_ROLE]


def test_statements_backdated_after_a_removal_are_void() -> None:
    grant = makes(BO, BOS, MALLORY, "admin", AT - 50)
    invite = BO.invites(BOS, AT - 50)
    join = MALLORY.joins(invite, AT - 40)
    tried = [
        grant,
        invite,
        join,
        CY.admits(CYS, join, AT - 30),
        BO.admits(BOS, MALLORY.joins(INVITE, T0 + 145), AT - 30),
        endings.closes(BO, BOS, FLOS, AT - 50),
        endings.closes(BO, BOS, DIS, AT - 50),
        endings.closes(BO, BOS, INVITE, T0 + 150),
        endings.leaves(BO, BOS, T0 + 115),
    ]

    assert everywhere(members, *DEPOSED, *tried) == ALL - {"bo"}


def test_who_was_removed_cannot_take_back_what_others_keep_of_it() -> None:
    """By ending the device that had signed it, at whatever time, or by a rotation without it."""
    for taking_back in (
        endings.revokes(BO, BO.user.device, T0 + 2),
        endings.rotates(BO, AT + 50, []),
        endings.leaves(BO, BOS, T0 + 111),
    ):
        assert everywhere(members, *DEPOSED, taking_back) == ALL - {"bo"}
    record = SEEN[0]
    for taking_back in (
        endings.revokes(ELI, ELI.user.device, T0 + 2),
        endings.rotates(ELI, AT + 50, []),
    ):
        assert everywhere(lambda now: judged(record, now), *REMOVED, taking_back) == "admitted"


def test_who_takes_back_what_it_did_while_a_member_is_put_right_by_a_removal() -> None:
    """A member may end its own device in the past, and with it all that it did, for a while."""
    taking_back = endings.revokes(BO, BO.user.device, T0 + 2)

    assert everywhere(members, taking_back) == {"ana", "cy", "flo"}
    assert everywhere(members, taking_back, *DEPOSED) == ALL - {"bo"}


def test_an_old_join_lets_nobody_in_again() -> None:
    again = [FLO.admits(FLOS, JOIN, AT + 10), DI.admits(DIS, JOIN, AT - 10)]

    assert everywhere(members, *REMOVED, *again) == ALL - {"eli"}


def test_an_old_link_lets_nobody_in_again_under_the_same_identity() -> None:
    joins = [ELI.joins(INVITE, at) for at in (AT - 10, AT + 10)]
    phone = ELI.at_new_device("phone", T0 + 145)
    joins.append(phone.joins(INVITE, AT + 20))
    admits = [FLO.admits(FLOS, join, AT + 30) for join in joins]

    tried = (phone.user.statements[-1], *joins, *admits)
    assert everywhere(members, *REMOVED, *tried) == ALL - {"eli"}


def test_an_old_link_lets_nobody_in_under_a_fresh_identity_once_it_was_closed() -> None:
    fresh = person("eli again")
    closed = endings.closes(CY, CYS, INVITE, AT)
    joins = [fresh.joins(INVITE, at) for at in (AT - 10, AT + 10)]
    admits = [FLO.admits(FLOS, join, AT + 30) for join in joins]
    tried = (*fresh.user.statements, *joins, *admits)

    assert everywhere(members, *REMOVED, closed, *tried) == ALL - {"eli"}
    assert everywhere(members, *REMOVED, *tried) == ALL - {"eli"} | {"eli again"}


def test_a_backdated_join_or_admit_by_who_was_removed_has_no_effect() -> None:
    mallory = MALLORY.joins(INVITE, T0 + 180)
    admit = ELI.admits(ELIS, mallory, T0 + 190)
    own = ELI.joins(INVITE, T0 + 190)
    by_itself = ELI.admits(ELIS, own, T0 + 200)
    tried = (mallory, admit, own, by_itself)

    assert everywhere(members, *tried) == ALL | {"mallory"}
    assert everywhere(members, *tried, *REMOVED) == ALL - {"eli"}


def test_void_admits_do_not_use_up_an_invite() -> None:
    once = BO.invites(BOS, T0 + 180, uses=1)
    join = MALLORY.joins(once, T0 + 190)
    void = ELI.admits(ELIS, join, AT - 10)

    uses = everywhere(lambda now: now.uses_of(once.hash), once, join, void, *REMOVED)
    assert uses == 0


def test_an_invite_made_after_a_demotion_lets_nobody_in() -> None:
    demoted = [makes(ANA, FOUNDING, BO, "writer", AT), *DEPOSED]
    for at_ms in (AT + 10, AT - 10):
        invite = BO.invites(BOS, at_ms)
        join = MALLORY.joins(invite, AT + 20)
        admit = FLO.admits(FLOS, join, AT + 30)
        tried = (invite, join, admit)
        assert everywhere(members, *demoted, *tried) == ALL
        assert everywhere(lambda now: list(now.invites()), *demoted, *tried) == list(
            state().invites()
        )
    assert everywhere(lambda now: now.role(BO.id), *demoted) is Role.WRITER


# --- Rising. --------------------------------------------------------------------------------------


def test_nobody_promotes_itself_or_a_puppet_without_the_right() -> None:
    for tried in (
        makes(ELI, ELIS, ELI, "admin", AT),
        makes(ELI, BOS, ELI, "admin", AT),
        makes(ELI, FOUNDING, MALLORY, "admin", AT),
        ELI.grants(JOIN, ELI.id, "admin", JOIN, AT),
        ELI.invites(ELIS, AT, "admin"),
        endings.closes(ELI, ELIS, BOS, AT),
    ):
        assert verdict(tried) == Reason.DOES_NOT_STAND
    invite = ANA.invites(FOUNDING, T0 + 180, "admin")
    join = MALLORY.joins(invite, T0 + 190)
    for_admin = ELI.states(GROUP, "$admit", AT, Admit(ELIS.hash.hex(), join.hash.hex()))
    assert verdict(for_admin, invite, join) == Reason.DOES_NOT_STAND


def test_a_puppet_promoted_before_a_removal_falls_with_it_unless_it_was_seen() -> None:
    puppet = makes(BO, BOS, MALLORY, "admin", AT - 20)
    by_puppet = [
        endings.closes(MALLORY, puppet, FLOS, AT - 10),
        makes(MALLORY, puppet, FLO, "admin", AT - 10),
    ]
    seen = [*NAMED, puppet]
    removal = endings.closes(ANA, FOUNDING, BOS, AT, seen)
    with_it = [removal, *endings.seals(ANA, FOUNDING, removal, AT + 1, seen)]

    assert everywhere(members, puppet, *by_puppet, *DEPOSED) == ALL - {"bo"}
    assert everywhere(members, puppet, *with_it) == ALL - {"bo"} | {"mallory"}
    next_removal = endings.closes(ANA, FOUNDING, puppet, AT + 10)
    assert everywhere(members, puppet, *by_puppet, *with_it, next_removal) == ALL - {"bo"}


def test_a_puppet_promoted_after_a_removal_is_none() -> None:
    puppet = makes(BO, BOS, MALLORY, "admin", AT + 20)
    back = makes(MALLORY, puppet, BO, "admin", AT + 30)

    assert everywhere(members, *DEPOSED, puppet, back) == ALL - {"bo"}


def test_a_puppet_seals_no_statement_of_who_is_above_it() -> None:
    puppet = makes(BO, BOS, MALLORY, "admin", T0 + 180)
    seen = [*NAMED, puppet]
    removal = endings.closes(ANA, FOUNDING, BOS, AT, seen)
    seal = endings.seals(ANA, FOUNDING, removal, AT + 1, seen)
    more = makes(BO, BOS, ELI, "admin", AT - 5)
    tried = endings.seals(MALLORY, puppet, removal, AT + 10, [more])

    def outcome(now: GroupState) -> tuple[bool, Role | None]:
        return is_open(more, now), now.role(ELI.id)

    everything = (puppet, removal, *seal, more, *tried)
    assert everywhere(outcome, *everything) == (False, Role.WRITER)


def test_two_admins_beside_each_other_cannot_end_each_other() -> None:
    tried = [endings.closes(BO, BOS, CYS, AT), endings.closes(CY, CYS, BOS, AT)]

    for order in itertools.permutations(tried):
        device = known(*order)
        assert [device.verdict(each) for each in order] == [Reason.DOES_NOT_STAND] * 2
        assert members(device.state) == ALL


def test_of_two_admins_who_end_each_other_at_once_the_upper_one_stays() -> None:
    """Each is above a grant of the other, but only one above all that the other's hang on."""
    returned = makes(DI, DIS, BO, "admin", T0 + 180)
    tried = [
        endings.closes(BO, BOS, DIS, AT),
        endings.closes(DI, DIS, returned, AT),
        makes(DI, DIS, MALLORY, "admin", AT - 1),
    ]

    for order in itertools.permutations(tried):
        now = known(returned, *order).state
        assert members(now) == ALL - {"di", "eli"}, "Eli was let in by Di, and Bo's end names none"
        assert is_open(BOS, now)
        assert not is_open(returned, now), "which hung on the grant that was ended"


def test_all_that_hangs_on_a_root_that_falls_falls_with_it_and_comes_back_with_a_seal() -> None:
    fall = endings.closes(ANA, FOUNDING, BOS, AT)
    back = endings.seals(ANA, FOUNDING, fall, AT + 1, NAMED)
    only_di = endings.seals(ANA, FOUNDING, fall, AT + 1, [DIS])
    record = ELI.writes(GROUP, T0 + 200)

    def outcome(now: GroupState) -> tuple[set[str], str]:
        return members(now), judged(record, now)

    assert everywhere(outcome) == (ALL, "admitted")
    assert everywhere(outcome, fall) == ({"ana", "cy", "flo"}, Reason.NO_ROLE)
    assert everywhere(outcome, fall, *only_di) == (ALL - {"bo", "eli"}, Reason.NO_ROLE)
    assert everywhere(outcome, fall, *back) == (ALL - {"bo"}, "admitted")


def test_a_founder_who_left_states_on_with_an_early_date_and_writes_nothing() -> None:
    """Nobody is above who founded a group, so no seal says which statements of theirs stay."""
    leave = endings.leaves(ANA, FOUNDING, AT)
    keeps = [BOS, CYS]
    ended = [leave, *endings.seals(BO, BOS, leave, AT + 1, keeps)]
    ended += endings.seals(CY, CYS, leave, AT + 1, keeps)
    early, late = (makes(ANA, FOUNDING, MALLORY, "admin", at) for at in (AT - 50, AT + 50))
    record = ANA.writes(GROUP, AT - 30)

    assert everywhere(members, *ended) == ALL - {"ana"}
    assert everywhere(members, *ended, late) == ALL - {"ana"}
    assert everywhere(members, *ended, early) == ALL - {"ana"} | {"mallory"}
    evicts = endings.closes(ANA, FOUNDING, BOS, AT - 40)
    assert everywhere(members, *ended, evicts) == {"cy", "flo"}
    assert everywhere(lambda now: judged(record, now), *ended) == "quarantined"

"""What a peer is told of a group unasked."""

from __future__ import annotations

from collections.abc import Sequence

from peerstack import limits
from peerstack.ids import as_group
from peerstack.record import Signed
from peerstack.session.introduction import Introduction
from tests.people import T0, person

ANA = person("ana")
IDENTITY = list(ANA.user.statements)
FOUNDING = ANA.founds(T0 + 1)


def begun() -> Introduction:
    return Introduction(as_group(FOUNDING.group))


def told(introduction: Introduction, *statements: Signed) -> Sequence[Signed]:
    """What the peer is sent of some statements."""
    introduction.tell(statements)
    return taken(introduction)


def taken(introduction: Introduction) -> Sequence[Signed]:
    due = introduction.due
    introduction.sent(len(due))
    return due


def test_a_statement_is_told_once() -> None:
    introduction = begun()

    assert told(introduction, *IDENTITY, FOUNDING) == [*IDENTITY, FOUNDING]
    assert told(introduction, *IDENTITY, FOUNDING) == []
    assert not introduction.due


def test_an_identity_is_told_once_more_with_the_first_that_its_user_signed() -> None:
    """A device keeps no identity of who has signed nothing in the group."""
    introduction = begun()

    assert told(introduction, *IDENTITY) == IDENTITY
    assert told(introduction, *IDENTITY) == []
    assert told(introduction, *IDENTITY, FOUNDING) == [*IDENTITY, FOUNDING]
    assert told(introduction, *IDENTITY) == []


def test_an_answer_leaves_out_what_the_peer_has_shown() -> None:
    introduction = begun()
    introduction.heard(IDENTITY)

    introduction.answer([*IDENTITY, FOUNDING])

    assert taken(introduction) == [FOUNDING]


def test_what_has_no_room_yet_stays_due() -> None:
    introduction = begun()
    introduction.tell([*IDENTITY, FOUNDING])

    introduction.sent(1)

    assert taken(introduction) == [*IDENTITY, FOUNDING][1:]
    assert not introduction.due


def test_of_what_a_peer_shows_a_bounded_number_is_noted() -> None:
    introduction = begun()
    many = range(limits.INTRODUCTION_STATEMENTS)
    introduction.heard([ANA.consents(as_group(FOUNDING.group), T0 + n) for n in many])

    introduction.heard([FOUNDING, *IDENTITY])
    introduction.answer(IDENTITY)

    assert taken(introduction) == IDENTITY

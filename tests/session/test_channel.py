"""What one side of a group's channel tells the other."""

from __future__ import annotations

from collections.abc import Sequence

from peerstack.ids import as_group
from peerstack.keys import Hash
from peerstack.record import Signed
from peerstack.session.channel import Channel
from tests.people import T0, person

ANA = person("ana")
IDENTITY = ANA.user.statements
FOUNDING = ANA.founds(T0 + 1)


def told(channel: Channel, *statements: Signed) -> Sequence[Signed]:
    """What the peer is sent of some statements."""
    channel.tell(statements)
    sent, channel.to_tell = channel.to_tell, []
    return sent


def test_a_statement_is_told_once() -> None:
    channel = Channel(as_group(FOUNDING.group), 0, salt=Hash(bytes(32)), leads=True)

    assert told(channel, *IDENTITY, FOUNDING) == [*IDENTITY, FOUNDING]
    assert told(channel, *IDENTITY, FOUNDING) == []


def test_an_identity_is_told_until_something_is_that_its_user_signed() -> None:
    """A device keeps no identity of who has signed nothing in the group."""
    channel = Channel(as_group(FOUNDING.group), 0, salt=Hash(bytes(32)), leads=True)

    assert told(channel, *IDENTITY) == list(IDENTITY)
    assert told(channel, *IDENTITY, FOUNDING) == [*IDENTITY, FOUNDING]
    assert told(channel, *IDENTITY) == []

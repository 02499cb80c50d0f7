"""Any bytes on a connection, before the handshake or after a genuine one by a member's keys."""

from __future__ import annotations

from peerstack.engine.writing import put
from tests.fuzz.family import check, family
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.fuzz.victim import Stranger, Victim


def run(data: bytes) -> None:
    """Whether hands are shaken and the group is named; who dialled; the messages, each a chunk."""
    reader, known = Reader(data), family()
    victim = Victim(known.ana)
    stranger = Stranger(victim, known.ben, dialled=reader.flag())
    if reader.number() % 8:
        stranger.shake_hands().name(known.group, known.secret)
    for message in reader.chunks():
        stranger.say_bytes(message)
    check(victim, known.group)
    victim.perform(lambda turn: put(turn, known.group, "note", {"title": "still there"}, ()))


TARGET = Target(
    "session",
    run,
    (
        *(
            f"peerstack.session.peer.Peer.{name}"
            for name in (
                "receive_untrusted",
                "_channel_untrusted",
                "_dispatch_untrusted",
                "_take_ack_untrusted",
                "_take_batch_untrusted",
                "_take_for_channel_untrusted",
                "_take_groups_untrusted",
            )
        ),
        "peerstack.engine.meeting.Meeting.check_untrusted",
        "peerstack.session.naming.Naming.take_untrusted",
        "peerstack.session.peer._known_scheme_untrusted",
    ),
)

"""The secrets by which devices recognise a group in each other, as this device has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from peerstack.engine.joining import open_invites, pending_joins
from peerstack.engine.turn import Turn
from peerstack.engine.writing import secret_of
from peerstack.groups.invites import decode_untrusted_link, invite_topic
from peerstack.groups.membership import GroupState
from peerstack.keys import Secret
from peerstack.session.replica import SharedSecret


def shared_secrets(turn: Turn) -> Sequence[SharedSecret]:
    """All by which a peer may recognise a group of this device, or see a newcomer in it.

    The user's own group first; of each group, the members' secret before those of invites.
    """
    if turn.secrets is None:
        turn.secrets = [*_of_groups(turn), *_of_pending_joins(turn)]
    return turn.secrets


def _of_groups(turn: Turn) -> Iterator[SharedSecret]:
    for row in sorted(turn.tx.groups(), key=lambda row: (row.id != turn.me.user.id, row.id)):
        state = turn.state(row.id)
        if state.role(turn.me.user.id) is None:
            continue
        secret = secret_of(turn, row.id)
        if secret is not None:
            yield SharedSecret(row.id, secret, by_invite=False)
        yield from _of_invites(turn, state)


def _of_invites(turn: Turn, state: GroupState) -> Iterator[SharedSecret]:
    for _, form in open_invites(turn, state):
        yield SharedSecret(state.group, Secret(bytes.fromhex(form.topic)), by_invite=True)


def _of_pending_joins(turn: Turn) -> Iterator[SharedSecret]:
    for group, pending in pending_joins(turn).items():
        topic = invite_topic(Secret(decode_untrusted_link(pending.link).seed))
        yield SharedSecret(group, topic, by_invite=True)

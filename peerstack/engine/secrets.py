"""The secrets by which devices recognise a group in each other, as this device has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from peerstack import limits
from peerstack.engine.joining import meeting_invites, pending_joins
from peerstack.engine.link_messages import meeting_secrets
from peerstack.engine.parting import removed_lately, untold
from peerstack.engine.turn import Turn
from peerstack.engine.writing import secret_of
from peerstack.groups.invites import decode_untrusted_link, invite_topic
from peerstack.groups.membership import GroupState
from peerstack.keys import Secret
from peerstack.session.replica import SharedSecret


def shared_secrets(turn: Turn) -> Sequence[SharedSecret]:
    """All by which a peer may recognise a group of this device, or see a newcomer in it.

    Those of devices that are being linked first, since somebody is waiting; then the members', the
    user's own group's before all; then those of invites.
    """
    if turn.is_revoked:
        # Nobody has anything for this device any more.
        return ()
    if turn.secrets is None:
        found = [
            *meeting_secrets(turn),
            *_of_groups(turn),
            *_of_pending_joins(turn),
            *_of_invites(turn),
        ]
        turn.secrets = list(dict.fromkeys(found))
    return turn.secrets


def _own_states(turn: Turn) -> Iterator[GroupState]:
    for row in sorted(turn.tx.groups(), key=lambda row: (row.id != turn.me.user.id, row.id)):
        state = turn.state(row.id)
        if state.role(turn.me.user.id) is not None:
            yield state


def _of_groups(turn: Turn) -> Iterator[SharedSecret]:
    own = [state.group for state in _own_states(turn)]
    for group in [*own, *untold(turn), *removed_lately(turn)]:
        secret = secret_of(turn, group)
        if secret is not None:
            yield SharedSecret(group, secret, by_invite=False)


def _of_invites(turn: Turn) -> Iterator[SharedSecret]:
    # Bounded, so that no admin's invites crowd out other groups.
    for state in _own_states(turn):
        newest = sorted(meeting_invites(turn, state), key=lambda each: each[0], reverse=True)
        for _, form in newest[: limits.INVITES_MET]:
            yield SharedSecret(state.group, Secret(bytes.fromhex(form.topic)), by_invite=True)


def _of_pending_joins(turn: Turn) -> Iterator[SharedSecret]:
    for group, pending in pending_joins(turn).items():
        topic = invite_topic(Secret(decode_untrusted_link(pending.link).seed))
        yield SharedSecret(group, topic, by_invite=True)

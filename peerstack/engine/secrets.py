"""The secrets by which devices recognise a group in each other, as this device has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest

from peerstack import limits
from peerstack.engine.joining import meeting_invites, pending_joins
from peerstack.engine.kept_secrets import GroupSecrets, secrets_of
from peerstack.engine.link_messages import meeting_secrets
from peerstack.engine.parting import removed_lately, untold
from peerstack.engine.turn import Turn
from peerstack.engine.whereabouts import restored_secret
from peerstack.errors import RemoteError
from peerstack.groups.invites import decode_untrusted_link, invite_topic
from peerstack.groups.membership import GroupState, Membership
from peerstack.groups.statements import Role
from peerstack.identity import Device
from peerstack.ids import GroupId
from peerstack.keys import Secret
from peerstack.session.replica import SecretKind, SharedSecret


def shared_secrets(turn: Turn) -> Sequence[SharedSecret]:
    """All by which a peer may recognise a group of this device, or see a newcomer in it.

    Those of devices that are being linked first, since somebody is waiting; then the members', the
    user's own group's before all; then those of invites and of pairs; then those that groups had
    before, the newest of each group first.
    """
    if turn.is_revoked:
        return _of_the_revoked(turn)
    if turn.secrets is None:
        kept = {group: secrets_of(turn, group) for group in _looked_for(turn)}
        found = [
            *meeting_secrets(turn),
            *_present(kept),
            *_restored(turn),
            *_of_pending_joins(turn),
            *_of_invites(turn),
            *_of_pairs(turn, kept),
            *_old(kept),
        ]
        turn.secrets = list(dict.fromkeys(found))
    return turn.secrets


def _of_the_revoked(turn: Turn) -> Sequence[SharedSecret]:
    """Nobody has anything for this device, but for the user's others, where they may keep it."""
    me = turn.me.user
    if not turn.is_unkept(me.device):
        return ()
    kept: _Kept = {me.id: secrets_of(turn, me.id)}
    return [*_present(kept), *_old(kept)]


def _groups(turn: Turn) -> Iterator[GroupState]:
    for group in sorted(turn.groups(), key=lambda each: (each != turn.me.user.id, each)):
        yield turn.state(group)


def _looked_for(turn: Turn) -> Iterator[GroupId]:
    """The groups that the user is in, as far as is known; and those where there is more to say."""
    others = {*untold(turn), *removed_lately(turn)}
    for state in _groups(turn):
        membership = state.membership(turn.me.user.id)
        if membership in (Membership.MEMBER, Membership.NONE) or state.group in others:
            yield state.group


_Kept = Mapping[GroupId, GroupSecrets]


def _present(kept: _Kept) -> Iterator[SharedSecret]:
    for group, secrets in kept.items():
        if secrets.present is not None:
            yield SharedSecret(group, secrets.present, SecretKind.MEMBER)


def _old(kept: _Kept) -> Iterator[SharedSecret]:
    by_group = (
        [SharedSecret(group, each, SecretKind.OLD) for each in secrets.old]
        for group, secrets in kept.items()
    )
    for row in zip_longest(*by_group):
        yield from filter(None, row)


def _restored(turn: Turn) -> Iterator[SharedSecret]:
    secret = restored_secret(turn)
    if secret is not None:
        yield SharedSecret(turn.me.user.id, secret, SecretKind.OLD)


def _of_pairs(turn: Turn, kept: _Kept) -> Iterator[SharedSecret]:
    """Where those meet who follow different secrets, which were made apart from each other.

    All of them would only listen under the old one. So everybody meets the admins, and admins
    everybody, each in a place of two; and only while somebody may lack the present secret.
    """
    for group, secrets in kept.items():
        if secrets.old:
            others = _to_pair_with(turn, turn.state(group))
            devices = (each for each in others if each.id not in secrets.holders)
            pairs = sorted(pair for device in devices for pair in _pair(turn, group, device))
            yield from pairs[: limits.PAIRS_MET]


def _to_pair_with(turn: Turn, state: GroupState) -> Iterator[Device]:
    """The devices of admins, even of former ones, who may not know it; for admins, of all."""
    members = state.members()
    mine = members.get(turn.me.user.id)
    if mine is None:
        return
    for user, standings in state.effect.standing.items():
        was_admin = any(each.grant.is_admin for each in standings)
        if was_admin or (mine is Role.ADMIN and user in members):
            for device in state.identities[user].devices.values():
                if state.is_active(user, device.id):
                    yield device


def _pair(turn: Turn, group: GroupId, device: Device) -> Iterator[SharedSecret]:
    known = turn.me.pairs
    if (group, device.id) not in known:
        # Whoever certified a key that is none is not met by it.
        with suppress(RemoteError):
            key = turn.me.user.device_key
            known[group, device.id] = key.pair_untrusted(device.key, group.encode())
    if (group, device.id) in known:
        yield SharedSecret(group, known[group, device.id], SecretKind.PAIR)


def _of_invites(turn: Turn) -> Iterator[SharedSecret]:
    # Bounded, so that no admin's invites crowd out other groups.
    for state in _groups(turn):
        if state.role(turn.me.user.id) is None:
            continue
        open_and_newest_first = sorted(meeting_invites(turn, state))
        for has_ended, _, topic in open_and_newest_first[: limits.INVITES_MET]:
            kind = SecretKind.ENDED_INVITE if has_ended else SecretKind.INVITE
            yield SharedSecret(state.group, topic, kind)


def _of_pending_joins(turn: Turn) -> Iterator[SharedSecret]:
    for group, pending in pending_joins(turn).items():
        topic = invite_topic(Secret(decode_untrusted_link(pending.link).seed))
        yield SharedSecret(group, topic, SecretKind.INVITE)

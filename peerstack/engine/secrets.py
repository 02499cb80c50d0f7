"""The secrets by which devices recognise a group in each other, as this device has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Final

from peerstack import limits
from peerstack.engine.joining import PendingJoin, meeting_invites, pending_joins
from peerstack.engine.kept_secrets import GroupSecrets, secrets_of
from peerstack.engine.link_messages import meeting_secrets
from peerstack.engine.parting import removed_lately, untold
from peerstack.engine.turn import Met, Turn
from peerstack.engine.whereabouts import restored_secret
from peerstack.errors import RemoteError
from peerstack.groups.invites import decode_untrusted_link, invite_topic
from peerstack.groups.membership import GroupState, Membership
from peerstack.groups.statements import Role
from peerstack.identity import Device
from peerstack.ids import GroupId
from peerstack.keys import Secret
from peerstack.session.replica import SecretKind, SharedSecret

_MET_MS: Final = 60 * 60 * 1000
"""How long it may take until an invite that has ended, and brought nothing, is met less."""


def shared_secrets(turn: Turn) -> Sequence[SharedSecret]:
    """All by which a peer may recognise a group of this device, or see a newcomer in it.

    Those of devices that are being linked first, since somebody is waiting; then the members', the
    user's own group's before all; then those of invites and of pairs; then those that groups had
    before, the newest of each group first.
    """
    if turn.is_revoked:
        return _of_the_revoked(turn)
    if turn.secrets is None:
        turn.secrets = list(dict.fromkeys(_found(turn)))
    return turn.secrets


def _found(turn: Turn) -> Iterator[SharedSecret]:
    met = _met(turn)
    looked_for = [met[group] for group in _looked_for(turn)]
    yield from meeting_secrets(turn)
    yield from chain.from_iterable(each.present for each in looked_for)
    yield from _restored(turn)
    yield from chain.from_iterable(each.joining for each in met.values())
    yield from chain.from_iterable(each.invites for each in met.values())
    yield from chain.from_iterable(each.pairs for each in looked_for)
    yield from _in_turns(each.old for each in looked_for)


def _met(turn: Turn) -> dict[GroupId, Met]:
    """The secrets of all groups; worked out of those alone that have changed, or a while ago."""
    known, now_ms = turn.me.met, turn.now.wall_ms
    groups = [state.group for state in _groups(turn)]
    stale = [
        group
        for group in groups
        if group not in known or abs(now_ms - known[group].worked_out_ms) > _MET_MS
    ]
    kept = secrets_of(turn, stale)
    joins = pending_joins(turn, stale)
    for group in stale:
        state = turn.state(group)
        known[group] = Met(
            now_ms,
            _present(group, kept[group]),
            _of_join(group, joins.get(group)),
            _of_invites(turn, state),
            _of_pairs(turn, state, kept[group]),
            _old(group, kept[group]),
        )
    return {group: known[group] for group in groups}


def _of_the_revoked(turn: Turn) -> Sequence[SharedSecret]:
    """Nobody has anything for this device, but for the user's others, where they may keep it."""
    me = turn.me.user
    if not turn.is_unkept(me.device):
        return ()
    kept = secrets_of(turn, [me.id])[me.id]
    return [*_present(me.id, kept), *_old(me.id, kept)]


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


def _present(group: GroupId, kept: GroupSecrets) -> Sequence[SharedSecret]:
    if kept.present is None:
        return ()
    return [SharedSecret(group, kept.present, SecretKind.MEMBER)]


def _old(group: GroupId, kept: GroupSecrets) -> Sequence[SharedSecret]:
    return [SharedSecret(group, each, SecretKind.OLD) for each in kept.old]


def _in_turns(lists: Iterable[Sequence[SharedSecret]]) -> Iterator[SharedSecret]:
    """The first of each list, then the second of each, and so on."""
    return filter(None, chain.from_iterable(zip_longest(*lists)))


def _restored(turn: Turn) -> Iterator[SharedSecret]:
    secret = restored_secret(turn)
    if secret is not None:
        yield SharedSecret(turn.me.user.id, secret, SecretKind.OLD)


def _of_pairs(turn: Turn, state: GroupState, kept: GroupSecrets) -> Sequence[SharedSecret]:
    """Where those meet who follow different secrets, which were made apart from each other.

    All of them would only listen under the old one. So everybody meets the admins, and admins
    everybody, each in a place of two; and only while somebody may lack the present secret.
    """
    if not kept.old:
        return ()
    devices = (each for each in _to_pair_with(turn, state) if each.id not in kept.holders)
    pairs = sorted(pair for device in devices for pair in _pair(turn, state.group, device))
    return pairs[: limits.PAIRS_MET]


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


def _of_invites(turn: Turn, state: GroupState) -> Sequence[SharedSecret]:
    """Bounded, so that no admin's invites crowd out other groups."""
    if state.role(turn.me.user.id) is None:
        return ()
    open_and_newest_first = sorted(meeting_invites(turn, state))[: limits.INVITES_MET]
    kinds = {False: SecretKind.INVITE, True: SecretKind.ENDED_INVITE}
    return [
        SharedSecret(state.group, topic, kinds[has_ended])
        for has_ended, _, topic in open_and_newest_first
    ]


def _of_join(group: GroupId, pending: PendingJoin | None) -> Sequence[SharedSecret]:
    if pending is None:
        return ()
    topic = invite_topic(Secret(decode_untrusted_link(pending.link).seed))
    return [SharedSecret(group, topic, SecretKind.INVITE)]

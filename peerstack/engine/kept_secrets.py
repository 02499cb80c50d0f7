"""The discovery secrets that a group has or had, and which devices are known to have them.

A member that was offline while the secret changed looks for the others by the one that it knows. So
whatever was ever live here is kept until every device of every member is known to have the present
one (`docs/protocol.md`, "Meeting places").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from peerstack import limits
from peerstack.engine.turn import Turn
from peerstack.ids import DeviceId, GroupId, RecordId
from peerstack.keys import KEY_BYTES, Secret
from peerstack.record import SECRET_TYPE, JsonObject, Signed, reserved_id


class GroupSecrets(NamedTuple):
    """What a group is found by."""

    present: Secret | None
    """The one to be found by: the live one, or the newest known where none is live."""
    old: Sequence[Secret]
    """Those to find others by, the newest first."""
    holders: Collection[DeviceId]
    """The devices that are known to have the present one, this one among them."""


class _Kept(msgspec.Struct):
    """A secret, and the devices that are known to have it."""

    text: str
    """In hex."""
    devices: list[DeviceId] = []

    @property
    def secret(self) -> Secret:
        return Secret(bytes.fromhex(self.text))


def secret_id(group: GroupId) -> RecordId:
    """The id of a group's `$secret`."""
    return reserved_id(group, SECRET_TYPE)


def secret_of(turn: Turn, group: GroupId) -> Secret | None:
    """The discovery secret of a group, where its record is here and well formed."""
    live = turn.tx.get(group, secret_id(group))
    return secret_in(live.value) if live else None


def remember(turn: Turn, group: GroupId, secrets: Iterable[Secret]) -> None:
    """Take up secrets that the group has or had elsewhere, the newest last.

    Where no `$secret` is live here, the last of them is the newest that is known from now on.
    """
    before = _load(turn, group)
    known = {each.text: each for each in before}
    texts = dict.fromkeys(secret.hex() for secret in secrets)
    if secret_of(turn, group) is None:
        rest = [each for each in before if each.text not in texts]
        kept = [*rest, *(known.get(text) or _Kept(text) for text in texts)]
    else:
        fresh = [_Kept(text) for text in texts if text not in known]
        kept = [*before[:-1], *fresh, *before[-1:]]
    if kept != before:
        _keep(turn, group, kept)
        turn.meet_anew(group)


def remember_versions(turn: Turn, group: GroupId, versions: Iterable[Signed]) -> None:
    """Take up what admitted versions of a `$secret` say; even a loser may have been live once."""
    in_order = sorted(versions, key=lambda each: each.order)
    found = (secret_in(each.value) for each in in_order)
    remember(turn, group, [secret for secret in found if secret is not None])


def live_secrets(turn: Turn, groups: Iterable[GroupId]) -> dict[GroupId, Signed]:
    """The live `$secret` of each of some groups, where there is one."""
    return turn.tx.live_in_groups({group: secret_id(group) for group in groups})


def secrets_of(turn: Turn, groups: Collection[GroupId]) -> dict[GroupId, GroupSecrets]:
    """The secrets of some groups, as they are now. Two statements, however many groups."""
    stored = turn.tx.profile_read([_key(group) for group in groups])
    live = live_secrets(turn, groups)
    return {
        group: _secrets_of(turn, group, _kept_in(stored.get(_key(group))), live.get(group))
        for group in groups
    }


def _secrets_of(
    turn: Turn, group: GroupId, kept: Sequence[_Kept], live: Signed | None
) -> GroupSecrets:
    present = secret_in(live.value) if live else None
    holders = {turn.me.user.device}
    if live is not None and present is not None:
        before, kept = kept, _trimmed(turn, group, _with_present(kept, present))
        holders.update([live.device, *kept[-1].devices])
        if kept != before:
            _keep(turn, group, kept)
        if len(kept) > 1 and _is_known_to_all(turn, group, holders):
            # Not used, but kept: somebody who was removed and let back in knows no other.
            kept = kept[-1:]
    newest_first = [each.secret for each in reversed(kept)]
    return GroupSecrets(next(iter(newest_first), None), newest_first[1:], holders)


def note_holder(turn: Turn, group: GroupId, device: DeviceId, secrets: Collection[Secret]) -> None:
    """A member's device is known to have these secrets."""
    kept = _load(turn, group)
    news = [each for each in kept if each.secret in secrets and device not in each.devices]
    # Who finds no room is not known to have it, so that older ones are kept for it.
    news = [each for each in news if len(each.devices) < limits.SECRET_HOLDERS]
    for each in news:
        each.devices.append(device)
    if news:
        _keep(turn, group, kept)
    if news and len(kept) > 1:
        turn.meet_anew(group)


def _is_known_to_all(turn: Turn, group: GroupId, holders: set[DeviceId]) -> bool:
    """Whether every device of every member is among those who have a secret."""
    # Until this user is one of them, they are not all known.
    is_member = turn.me.user.id in turn.state(group).members()
    return is_member and holders.issuperset(turn.state(group).active_devices())


def _with_present(kept: Sequence[_Kept], present: Secret) -> list[_Kept]:
    """The secrets with the present one as the newest.

    Where that one comes back, whoever had it may have let go of it meanwhile.
    """
    text = present.hex()
    if kept and kept[-1].text == text:
        return list(kept)
    return [*(each for each in kept if each.text != text), _Kept(text)]


def secret_in(value: JsonObject) -> Secret | None:
    """The secret in the value of a `$secret` or `$data.group`, where it is well formed."""
    text = value.get("secret")
    try:
        decoded = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    return Secret(decoded) if len(decoded) == KEY_BYTES else None


def _load(turn: Turn, group: GroupId) -> list[_Kept]:
    return _kept_in(turn.tx.profile_get(_key(group)))


def _kept_in(stored: Any) -> list[_Kept]:
    return msgspec.convert(stored or [], list[_Kept])


def _trimmed(turn: Turn, group: GroupId, kept: list[_Kept]) -> list[_Kept]:
    """Of more than fit, the oldest are let go, but last those that a member may sleep with.

    Else an admin who changes the secret often enough would strand who is away meanwhile.
    """
    surplus = len(kept) - limits.OLD_SECRETS - 1
    if surplus <= 0:
        return kept
    last_known = {device: each.text for each in kept for device in each.devices}
    slept_with = {last_known.get(device) for device in turn.state(group).active_devices()}
    eldest_first = sorted(kept[:-1], key=lambda each: each.text in slept_with)
    gone = {each.text for each in eldest_first[:surplus]}
    return [each for each in kept if each.text not in gone]


def _keep(turn: Turn, group: GroupId, kept: list[_Kept]) -> None:
    turn.tx.profile_set(_key(group), msgspec.to_builtins(_trimmed(turn, group, kept)))


def _key(group: GroupId) -> str:
    return f"secrets of {group}"

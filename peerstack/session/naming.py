"""By which groups two devices know each other: blinded names, made from secrets that both hold.

Pure: it looks nothing up and says nothing. What the names are worth, `SecretKind` says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.ids import DeviceId, GroupId
from peerstack.keys import Secret
from peerstack.session.handshake import Authenticated, group_tag
from peerstack.session.replica import SecretKind, SharedSecret


class Match(NamedTuple):
    """A group that both sides have named, by one secret."""

    group: GroupId
    mine: int
    """The place of the name among all that this side has said; the other's is `theirs`."""
    theirs: int


class Naming:
    """What two devices have named, for as long as one connection lasts."""

    def __init__(self, me: DeviceId, peer: Authenticated) -> None:
        self._me = me
        self._peer = peer
        self._secrets: dict[tuple[GroupId, Secret], SecretKind] = {}
        """What this side has named, in order."""
        self._expected: list[bytes] = []
        """The same as the peer would name it."""
        self._theirs: dict[bytes, int] = {}
        self._last: Sequence[SharedSecret] = ()
        """What was given to `name` last."""
        self._heard = 0
        self._common: dict[GroupId, set[Secret]] = {}
        self._noted: dict[GroupId, set[Secret]] = {}

    def has_news(self, shared: Sequence[SharedSecret]) -> bool:
        """Whether what this device has is not what it was when it named its groups last."""
        return shared != self._last

    def name(self, shared: Sequence[SharedSecret]) -> Sequence[bytes]:
        """The names of what was not named yet, to be said at once.

        `shared` is all that this device has now; what it had before stays named.
        """
        self._last = shared
        now: dict[tuple[GroupId, Secret], SecretKind] = {}
        for group, secret, kind in shared:
            now[group, secret] = min(kind, now.get((group, secret), kind))
        room = limits.GROUP_TAGS - len(self._secrets)
        fresh = [each for each in now if each not in self._secrets][:room]
        for each, kind in self._secrets.items():
            # A secret that is gone was one of the group's; an invite's stays an invite's.
            self._secrets[each] = now.get(each, max(kind, SecretKind.OLD))
        self._secrets.update((each, now[each]) for each in fresh)
        self._expected += [self._tag(*each, self._peer.device) for each in fresh]
        return [self._tag(*each, self._me) for each in fresh]

    def take_untrusted(self, tags: Collection[bytes]) -> None:
        """The peer has named more. Raises `RemoteError` for too many."""
        if self._heard + len(tags) > limits.GROUP_TAGS:
            raise RemoteError(Reason.TOO_MANY, "names of groups")
        for place, tag in enumerate(tags, self._heard):
            # Whoever says one twice means the first.
            self._theirs.setdefault(tag, place)
        self._heard += len(tags)

    def matches(self) -> Iterator[Match]:
        """All that both sides have named."""
        named = zip(self._secrets, self._expected, strict=True)
        for mine, ((group, secret), tag) in enumerate(named):
            theirs = self._theirs.get(tag)
            if theirs is not None:
                self._common.setdefault(group, set()).add(secret)
                yield Match(group, mine, theirs)

    def common(self, group: GroupId) -> Mapping[Secret, SecretKind]:
        """The secrets of a group that both sides have named."""
        return {each: self._secrets[group, each] for each in self._common.get(group, ())}

    def kind(self, group: GroupId) -> SecretKind:
        """What the best of the secrets says by which a common group is known."""
        return min(self.common(group).values())

    def take_news(self, group: GroupId) -> Collection[Secret]:
        """Secrets of a common group that the peer has named; each is returned once.

        It shows that the peer has them now, and not that it will keep them.
        """
        noted = self._noted.setdefault(group, set())
        fresh = self._common[group] - noted
        noted |= fresh
        return fresh

    def _tag(self, group: GroupId, secret: Secret, sender: DeviceId) -> bytes:
        return group_tag(secret, self._peer.transcript, group, sender)

"""Six digits that two devices show to their owner, one side each: commit, answer, reveal.

The new device is bound to its nonce before it sees the old one's, and the old one to its own before
it sees the new one's. So somebody in the middle, who holds two sessions and knows the link, has one
blind guess for each attempt that the digits of both come out alike: he can try out nothing. They
are bound to the session by its transcript, which no other connection has (`docs/protocol.md`,
"Linking a device"). What follows from the digits is decided elsewhere.
"""

from __future__ import annotations

import hmac
from typing import Final, NamedTuple

from peerstack.errors import Reason, RemoteError
from peerstack.keys import Hash, Label, PublicKey, Secret, derive
from peerstack.ports import Entropy
from peerstack.session.wire import NONCE_BYTES, LinkCommit, LinkNonce, LinkReveal

_DIGITS: Final = 6


class Parties(NamedTuple):
    """Whom some digits stand for: two devices, on one connection, by one link."""

    secret: Secret
    """The link's."""
    transcript: Hash
    old: PublicKey
    new: PublicKey
    name: str
    """What the new device says that it is called."""


def commitment_of(nonce: bytes, transcript: Hash) -> bytes:
    """What binds a new device to its nonce, without showing it."""
    return derive(nonce, Label.LINK_COMMIT, transcript)


def digits_of(parties: Parties, old_nonce: bytes, new_nonce: bytes) -> str:
    """What both devices show, such as "123 456"."""
    mixed = derive(
        parties.secret,
        Label.LINK_DIGITS,
        parties.transcript,
        parties.old,
        parties.new,
        parties.name.encode(),
        old_nonce,
        new_nonce,
    )
    digits = f"{int.from_bytes(mixed[:8], 'big') % 10**_DIGITS:0{_DIGITS}}"
    return f"{digits[:3]} {digits[3:]}"


class NewSide:
    """The new device in one attempt. Send `commit`, and hand in the answer."""

    def __init__(self, parties: Parties, entropy: Entropy) -> None:
        self.digits: str | None = None
        """What to show, once the old device has answered."""
        self._parties = parties
        self._nonce = entropy.draw(NONCE_BYTES)

    def commit(self) -> LinkCommit:
        """What to send first."""
        commitment = commitment_of(self._nonce, self._parties.transcript)
        return LinkCommit(commitment, self._parties.name)

    def answered_untrusted(self, answer: LinkNonce) -> LinkReveal:
        """The old device has answered: what to send, at once. Raises `RemoteError`."""
        if self.digits is not None:
            raise RemoteError(Reason.UNEXPECTED, "a second nonce in one attempt")
        self.digits = digits_of(self._parties, answer.nonce, self._nonce)
        return LinkReveal(self._nonce)


class OldSide:
    """The old device in one attempt. Send `answer`, and hand in what is revealed."""

    def __init__(self, parties: Parties, commitment: bytes, entropy: Entropy) -> None:
        self.digits: str | None = None
        """What to show, once the new device has revealed its nonce."""
        self.name: Final = parties.name
        self._parties = parties
        self._commitment = commitment
        self._nonce = entropy.draw(NONCE_BYTES)

    def answer(self) -> LinkNonce:
        """What to send first."""
        return LinkNonce(self._nonce)

    def revealed_untrusted(self, reveal: LinkReveal) -> None:
        """The new device has shown its nonce. Raises `RemoteError` where it is another one."""
        if self.digits is not None:
            raise RemoteError(Reason.UNEXPECTED, "a second reveal in one attempt")
        expected = commitment_of(reveal.nonce, self._parties.transcript)
        if not hmac.compare_digest(expected, self._commitment):
            raise RemoteError(Reason.BAD_PROOF, "revealed another nonce than was committed to")
        self.digits = digits_of(self._parties, self._nonce, reveal.nonce)

"""Known answers for linking a device: the link, its meeting place, the digits, and each message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peerstack.identity.linking import device_link_text, make_device_link
from peerstack.keys import Secret, sha256
from peerstack.session.linking import NewSide, OldSide, Parties, commitment_of
from peerstack.session.wire import Enrolled, Handover, LinkEnded, LinkMessage, encode
from tests.people import T0, Person, signer

Vector = dict[str, Any]


class _Drawn:
    """Entropy that was written down."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = drawn

    def draw(self, size_bytes: int) -> bytes:
        assert len(self._drawn) == size_bytes
        return self._drawn


def linking(ana: Person, seed: bytes, nonces: tuple[bytes, bytes]) -> Vector:
    """A link of Ana's, and what both devices say and show by these nonces, the old one's first."""
    link = make_device_link(Secret(seed), ana.id, T0 + 5_000, "Ána", ["http://127.0.0.1:3333"])
    key = signer("new device")
    parties = Parties(
        link.topic,
        sha256(b"a transcript"),
        ana.user.device_key.public,
        key.public,
        "Ána's laptop",
    )
    old_nonce, new_nonce = nonces
    new = NewSide(parties, _Drawn(new_nonce))
    commit = new.commit()
    old = OldSide(parties, commit.commitment, _Drawn(old_nonce))
    answer = old.answer()
    reveal = new.answered_untrusted(answer)
    old.revealed_untrusted(reveal)
    assert old.digits == new.digits
    said = [commit, answer, reveal, LinkEnded("refused"), *_afterwards()]
    return {
        "link": {
            "seed": seed.hex(),
            "user": link.user,
            "made_ms": link.made_ms,
            "user_name": link.user_name,
            "servers": list(link.servers),
            "text": device_link_text(link),
            "topic": link.topic.hex(),
        },
        "device_key": key.public.hex(),
        "device": link.device_of(key.public),
        "transcript": parties.transcript.hex(),
        "old_key": parties.old.hex(),
        "name": parties.name,
        "old_nonce": old_nonce.hex(),
        "new_nonce": new_nonce.hex(),
        "commitment": commitment_of(new_nonce, parties.transcript).hex(),
        "digits": new.digits,
        "messages": [{"name": type(each).__name__, "bytes": encode(each).hex()} for each in said],
    }


def _afterwards() -> Iterator[LinkMessage]:
    yield Enrolled(complete=False)
    yield Handover(b"\x01" * 32, b"\x02" * 32)
    yield Handover(None, None)
    yield Enrolled(complete=True)
    yield LinkEnded("complete")

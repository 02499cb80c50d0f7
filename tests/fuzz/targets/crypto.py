"""Boxes and keys that somebody else made: opened, or refused in one way."""

from __future__ import annotations

from typing import Final

from peerstack.errors import RemoteError
from peerstack.keys import BoxKey, PublicKey, Secret, Signer, open_untrusted, seal, seal_to
from peerstack.testing.ports import SeededEntropy
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

KEY: Final = Secret(bytes(range(32)))
BOX_KEY: Final = BoxKey(bytes(range(32)))
SIGNER: Final = Signer(bytes(range(32)))


def run(data: bytes) -> None:
    """How the rest is to be opened, whether it was sealed with the right key, and itself."""
    reader = Reader(data)
    way, genuine, content = reader.number() % 3, reader.flag(), reader.rest()
    try:
        match way:
            case 0:
                box = seal(KEY, content, SeededEntropy("box")) if genuine else content
                assert open_untrusted(KEY, box) == content or not genuine
            case 1:
                sealed = seal_to(BOX_KEY.public, content, SeededEntropy("box"))
                found = BOX_KEY.open_untrusted(sealed if genuine else content)
                assert found == content or not genuine
            case _:
                assert len(SIGNER.pair_untrusted(PublicKey(content), b"group")) == 32
    except RemoteError:
        assert not genuine or way == 2


TARGET = Target(
    "crypto",
    run,
    (
        "peerstack.keys.open_untrusted",
        "peerstack.keys.BoxKey.open_untrusted",
        "peerstack.keys.Signer.pair_untrusted",
    ),
)

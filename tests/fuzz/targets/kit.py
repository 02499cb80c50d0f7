"""A recovery kit: a file, or content by somebody who has the key that seals it."""

from __future__ import annotations

import base64
from typing import Final

from peerstack.errors import InvalidKit
from peerstack.identity import decode_untrusted_kit, is_kit, kit_key_of
from peerstack.keys import seal
from peerstack.testing.ports import SeededEntropy
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.people import person

KEY: Final = kit_key_of(person("ana").recovery)


def run(data: bytes) -> None:
    """Whether the rest is a file or the content of one."""
    reader = Reader(data)
    file = written(reader.rest()) if reader.flag() else reader.rest()
    try:
        kit = decode_untrusted_kit(file, KEY)
    except InvalidKit:
        is_kit(file)
        return
    assert is_kit(file)
    assert kit.user == kit.identity.user
    assert {each.signer for each in kit.statements} == {kit.user}


def written(content: bytes) -> bytes:
    """A kit file with any content."""
    box = base64.b64encode(seal(KEY, content, SeededEntropy("kit"))).decode()
    return f'{{"peerstack":"recovery kit","version":1,"box":"{box}"}}'.encode()


TARGET = Target(
    "kit",
    run,
    (
        "peerstack.identity.kit.decode_untrusted_kit",
        "peerstack.identity.kit._content_untrusted",
        "peerstack.identity.kit._holds_untrusted",
        "peerstack.identity.kit._verified_untrusted",
    ),
)

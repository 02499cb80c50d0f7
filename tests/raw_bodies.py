"""The fields of a plain record, to be changed, as bodies that nobody has signed."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import UNSET

from peerstack.ids import as_group
from tests.people import NOW

GROUP = as_group("01HF7YAT00W6WP18ZQ04S9JE0W")
DEVICES = ["01HF7YAT" + f"{number:018d}" for number in range(40)]
SIGNATURE = b"\x01" + bytes(64)
"""The form of a signature, which is all that decoding looks at."""


def fields(**changes: Any) -> dict[str, Any]:
    """A well-formed body, changed; UNSET takes a field away."""
    whole: dict[str, Any] = {
        "id": "01HF7YAT00W6WP18ZQ04S9JE0X",
        "group": GROUP,
        "type": "note",
        "modified": NOW,
        "signer": "01HF7YAT00W6WP18ZQ04S9JE0Y",
        "device": "01HF7YAT00W6WP18ZQ04S9JE0Z",
        "value": {},
    }
    return {name: value for name, value in (whole | changes).items() if value is not UNSET}


def encoded(**changes: Any) -> bytes:
    return orjson.dumps(fields(**changes))

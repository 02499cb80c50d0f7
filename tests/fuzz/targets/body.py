"""A body: what the code takes is what the list of rules takes, no more and no less."""

from __future__ import annotations

import hashlib

import orjson

from peerstack.errors import Reason, RemoteError
from peerstack.record import decode_untrusted
from tests.fuzz import strict_body
from tests.fuzz.target import Target
from tests.raw_bodies import SIGNATURE


def run(data: bytes) -> None:
    expected = _broken_rule(data)
    refused, signed = None, None
    try:
        signed = decode_untrusted(data, SIGNATURE)
    except RemoteError as error:
        refused = error
    if signed is None:
        assert expected, f"refused ({refused}), though it is well formed"
        assert refused is not None
        assert (refused.reason is Reason.OVERSIZE) == (expected in ("B1", "B21"))
        return
    assert not expected, f"taken, though it breaks {expected}"
    assert (signed.body, signed.hash) == (data, hashlib.sha256(data).digest())
    assert signed.value == orjson.loads(data).get("value", {})


def _broken_rule(data: bytes) -> str:
    try:
        strict_body.check(data)
    except strict_body.Malformed as error:
        return str(error)
    return ""


TARGET = Target(
    "body",
    run,
    (
        "peerstack.record.decode_untrusted",
        "peerstack.record._parse_untrusted",
        "peerstack.record._body_untrusted",
    ),
)

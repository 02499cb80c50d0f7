"""The ways that pairs of devices take, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping

from tests.nat.pairing import Pairing, Ways

_WORDS = {"direct": "directly", "relayed": "by TURN", "none": "**not at all**"}
_HEAD = ["| one | the other | without TURN | with TURN |", "|---|---|---|---|"]


def table(ways: Mapping[Pairing, Ways]) -> str:
    """A table in Markdown."""
    return "\n".join([*_HEAD, *(_row(pairing, ways[pairing]) for pairing in ways)])


def _row(pairing: Pairing, ways: Ways) -> str:
    one = f"{pairing.one}" if pairing.between else f"{pairing.one}, no route to the other"
    return f"| {one} | {pairing.other} | {_WORDS[ways.without_turn]} | {_WORDS[ways.with_turn]} |"

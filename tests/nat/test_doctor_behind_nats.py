"""`peerstack doctor` behind real NATs tells which kind it is, and what of STUN and TURN works."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.nat.lab import DEAD
from tests.nat.pairing import run_apart


def said(found: dict[str, Any], what: str) -> list[tuple[bool | None, str]]:
    return [(each["passed"], each["said"]) for each in found["checks"] if each["what"] == what]


@pytest.mark.own_network
@pytest.mark.services("turnserver", "nft")
def test_the_doctor_tells_a_cone_from_a_symmetric_nat() -> None:
    cone, symmetric = map(json.loads, run_apart("tests.nat.doctor").splitlines())

    [(passed, text)] = said(cone, "nat")
    assert passed is True
    assert "(cone)" in text
    [(passed, text)] = said(symmetric, "nat")
    assert passed is False
    assert "(symmetric)" in text
    for number, found in enumerate((cone, symmetric), 1):
        assert [passed for passed, _ in said(found, "stun")] == [True, True, False]
        assert f"sees this device as 198.51.{number}.2:" in said(found, "stun")[0][1]
        assert f"stun:{DEAD} does not answer" in said(found, "stun")[2][1]
        [(passed, text)] = said(found, "turn")
        assert passed is True
        assert "relays for this device, from 203.0.113.1:" in text
        assert said(found, "addresses") == [
            (
                True,
                "this device offers others 3: 1 of its own, 1 as STUN sees it, 1 relayed by TURN",
            )
        ]

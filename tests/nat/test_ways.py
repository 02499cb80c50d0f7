"""Two devices behind real NATs, and behind none with no route between them, sync a group.

Each pair has real routers, a real coturn and real servers in a network of its own. This is a part
of `make nat`, which tries all pairs.
"""

from __future__ import annotations

import pytest

from tests.nat.lab import Router
from tests.nat.pairing import EXPECTED, Pairing, found
from tests.nat.table import table
from tests.server_process import ROOT

PART = (
    Pairing(Router.OPEN, Router.OPEN, between=False),
    Pairing(Router.CONE, Router.CONE),
    Pairing(Router.NO_UDP, Router.NO_UDP),
    Pairing(Router.SYMMETRIC, Router.SYMMETRIC),
)


@pytest.mark.own_network
@pytest.mark.services("turnserver", "nft")
def test_devices_come_level_directly_or_by_turn_as_the_guide_says() -> None:
    assert found(PART) == {pairing: EXPECTED[pairing] for pairing in PART}


def test_the_guide_shows_the_table_that_make_nat_prints() -> None:
    assert table(EXPECTED) in (ROOT / "server/README.md").read_text(encoding="utf-8")

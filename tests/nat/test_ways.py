"""Two devices behind real NATs, and behind none with no route between them, sync a group.

Each pair has real routers, a real coturn and real servers in a network of its own. This is a part
of `make nat`, which tries all pairs.
"""

from __future__ import annotations

import aioice.ice
import pytest

from tests.nat import pairing
from tests.nat.lab import Router, lab
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
    assert found(PART) == {each: EXPECTED[each] for each in PART}


def test_the_guide_shows_the_table_that_make_nat_prints() -> None:
    assert table(EXPECTED) in (ROOT / "server/README.md").read_text(encoding="utf-8")


def test_no_lab_is_made_in_a_network_that_others_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["192.0.2.1"])

    with pytest.raises(RuntimeError, match="a network of its own"), lab():
        pass


def test_where_there_can_be_no_such_network_nothing_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pairing, "own_network", lambda: ())

    with pytest.raises(RuntimeError, match="permits no network namespace"):
        found(PART)

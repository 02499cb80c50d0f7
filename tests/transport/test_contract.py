"""Every transport keeps every promise of the contract."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from peerstack.testing.contract import TRANSPORT_CHECKS, MakePair
from tests.transport.pairs import memory_pair, webrtc_pair

pytestmark = pytest.mark.usefixtures("quiet_loop")


@pytest.mark.parametrize("make_pair", [memory_pair, webrtc_pair])
@pytest.mark.parametrize("check", TRANSPORT_CHECKS)
async def test_transport_keeps_the_contract(
    check: Callable[[MakePair], Awaitable[None]], make_pair: MakePair
) -> None:
    await check(make_pair)

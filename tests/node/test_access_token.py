"""A server that asks for an access token: devices have it in its address, and show it nowhere."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import peerstack
from peerstack.node.asking import ask_server
from peerstack.node.ports import SystemClock, SystemEntropy
from tests.server_process import running_server

TOKEN = "sesame-7f3a"
WITHIN_S = 30.0


def with_token(url: str, token: str = TOKEN) -> str:
    return url.replace("://", f"://{token}@")


async def test_who_joins_by_a_link_meets_the_others_there_and_nobody_is_shown_the_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running_server("--token", TOKEN) as url:
        async with (
            peerstack.open(tmp_path / "ana.db", "Ana", with_token(url)) as ana,
            peerstack.open(tmp_path / "ben.db", "Ben") as ben,
        ):
            family = await ana.create_group("Family")
            link = await family.invite()
            await ben.join(link, timeout=WITHIN_S)

            await ben.wait_synced(WITHIN_S)
            shown = [ben.server_urls, ben.preview(link), ben.status(), ana.status()]
            shown.append(await ana.diagnose())
            assert ben.server_urls == (url,)
    assert TOKEN not in repr(shown)
    assert TOKEN not in caplog.text


async def test_an_address_with_the_right_token_takes_the_place_of_that_with_the_wrong_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ana.db"
    with running_server("--token", TOKEN) as url:
        async with peerstack.open(path, "Ana", with_token(url, "wrong")) as ana:
            told = ana.live_status()
            while (await anext(told)).servers[0].state != "offline":
                pass
            assert any("access token" in each for each in ana.status().problems)

            await ana.add_server(with_token(url))
            while (await anext(told)).servers[0].state != "online":
                pass
            assert [each.url for each in ana.status().servers] == [url]
        async with peerstack.open(path) as ana:
            assert ana.server_addresses == (with_token(url),)


async def test_the_link_of_somebody_else_takes_no_right_token_away(tmp_path: Path) -> None:
    right, wrong = "https://right@meet.example", "https://wrong@meet.example"
    async with (
        peerstack.open(tmp_path / "eve.db", "Eve", wrong, network=False) as eve,
        peerstack.open(tmp_path / "ana.db", "Ana", right, network=False) as ana,
    ):
        link = await (await eve.create_group("Trap")).invite()
        with pytest.raises(peerstack.JoinPending):
            await ana.join(link)

        assert ana.server_addresses == (right, wrong)


@pytest.mark.parametrize(("token", "let_in"), [(TOKEN, True), ("wrong", False)])
async def test_the_doctor_says_whether_the_token_is_accepted(token: str, let_in: bool) -> None:
    clock = SystemClock()
    with running_server("--token", TOKEN) as url:
        found = await ask_server(
            with_token(url, token), SystemEntropy(), lambda: clock.now().wall_ms
        )

    (access,) = [each for each in found.checks if each.what == "access"]
    assert access.passed is let_in
    assert token not in repr(found)

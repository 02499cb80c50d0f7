"""`settings` and `cli`: what an operator gets told."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from peerstack_server.carrier import CarrierSettings, network_of
from peerstack_server.cli import main
from peerstack_server.ice import IceSettings
from peerstack_server.settings import InvalidSetting, Settings, parse_proxies

README = Path(__file__).resolve().parents[2] / "server" / "README.md"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (lambda: Settings(tls_key=Path("k")), "--tls-certificate"),
        (lambda: Settings(ice=IceSettings(turn_urls=("turn:t",))), "--turn-secret"),
        (lambda: Settings(ice=IceSettings(stun_urls=("http://s",))), "stun:"),
        (lambda: Settings(carrier=CarrierSettings(origins=("example.org",))), "--origin"),
        (lambda: Settings(carrier=CarrierSettings(origins=("https://a/b",))), "--origin"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(settings: object, named: str) -> None:
    with pytest.raises(InvalidSetting, match=named):
        settings()  # type: ignore[operator]


def test_a_wrong_setting_ends_the_command_with_its_name() -> None:
    result = CliRunner().invoke(main, ["--turn-url", "turn:t.example"])

    assert result.exit_code == 1
    assert "--turn-secret" in result.output


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERSTACK_SERVER_STUN_URL", "stun:a stun:b")
    monkeypatch.setenv("PEERSTACK_SERVER_TURN_SECRET", "north")

    params = main.make_context("peerstack-server", []).params

    assert (params["stun_url"], params["turn_secret"]) == (("stun:a", "stun:b"), "north")


def test_every_option_is_in_the_operators_guide() -> None:
    guide = README.read_text()
    flags = [p.opts[-1] for p in main.params if isinstance(p, click.Option)]

    assert [flag for flag in flags if f"`{flag}`" not in guide] == []


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "network"),
    [
        ("192.0.2.7", "", (), "192.0.2.7"),
        ("192.0.2.7", "203.0.113.9", (), "192.0.2.7"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", ("10.0.0.1",), "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", ("10.0.0.0/8",), "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", ("10.0.0.1",), "10.0.0.2"),
        ("192.0.2.7", "203.0.113.9", ("10.0.0.0/8",), "192.0.2.7"),
        ("::ffff:10.0.0.1", "2001:db8:1:2:3:4:5:6", ("10.0.0.1",), "2001:db8:1:2::/64"),
        ("10.0.0.1", "", ("10.0.0.0/8",), "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, nobody", ("10.0.0.0/8",), "unknown"),
        ("2001:db8:1:2:3:4:5:6", "", (), "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "", (), "192.0.2.7"),
        (None, "", (), "unknown"),
    ],
)
def test_a_network_is_what_named_proxies_say(
    peer: str | None, forwarded: str, proxies: tuple[str, ...], network: str
) -> None:
    assert network_of(peer, forwarded, parse_proxies(proxies)) == network

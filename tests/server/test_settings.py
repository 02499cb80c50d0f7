"""`settings` and `cli`: what an operator gets told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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
        (lambda: Settings(redis="http://r"), "--redis"),
        (lambda: Settings(carrier=CarrierSettings(token="open sesame")), "--token"),
        (lambda: parse_proxies(["nginx"]), "--proxy"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(settings: object, named: str) -> None:
    with pytest.raises(InvalidSetting, match=named):
        settings()  # type: ignore[operator]


def test_a_wrong_setting_ends_the_command_with_its_name() -> None:
    result = CliRunner().invoke(main, ["--turn-url", "turn:t.example"])

    assert result.exit_code == 1
    assert "--turn-secret" in result.output


def settings_of(*words: str, **environment: str) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return main.make_context("peerstack-server", list(words)).params


def test_every_setting_can_come_from_the_environment() -> None:
    found = settings_of(
        PEERSTACK_SERVER_STUN_URL="stun:a stun:b", PEERSTACK_SERVER_TURN_SECRET="north"
    )

    assert (found["stun_url"], found["turn_secret"]) == (("stun:a", "stun:b"), "north")


def test_every_setting_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('port = 4444\nturn-secret = "north"\nstun-url = ["stun:a", "stun:b"]\n')

    for words, environment in (
        (["--config", str(file)], {}),
        ([], {"PEERSTACK_SERVER_CONFIG": str(file)}),
    ):
        found = settings_of(*words, **environment)
        assert (found["port"], found["turn_secret"]) == (4444, "north")
        assert found["stun_url"] == ("stun:a", "stun:b")


def test_the_command_line_counts_before_the_environment_and_that_before_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "server.toml"
    file.write_text("port = 1\nmembers = 1\ntopics = 1\nproxy = '10.0.0.0/8'\n")

    found = settings_of(
        *("--config", str(file), "--port", "3"),
        PEERSTACK_SERVER_PORT="2",
        PEERSTACK_SERVER_MEMBERS="2",
    )

    assert (found["port"], found["members"], found["topics"]) == (3, 2, 1)
    assert found["proxy"] == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('turn-sekret = "x"', "turn-sekret; was turn-secret meant?"),
        ("turn_secret = 'x'", "turn_secret; was turn-secret meant?"),
        ("config = 'x'", "config"),
        ("[server]\nport = 1", "server"),
        ("port = [1]", "port takes a number or a text"),
        ("port = true", "port takes a number or a text"),
        ("origin = [[]]", "origin takes a list of texts"),
        ("port = 'many'", "'--port'"),
        ("port = 70000", "'--port'"),
        ("port =", "server.toml: "),
        ('token = "\\', "server.toml: "),
    ],
)
def test_a_file_that_makes_no_sense_ends_the_command_with_what_is_wrong(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(content)

    result = CliRunner().invoke(main, ["--config", str(file)])

    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_setting_that_there_is_not_ends_the_command_wherever_it_stands() -> None:
    for words, environment, said in (
        (["--prot", "1"], {}, "--port"),
        ([], {"PEERSTACK_SERVER_PROT": "1"}, "PEERSTACK_SERVER_PROT; was PORT meant?"),
        ([], {"PEERSTACK_SERVER_XYZZY": ""}, "PEERSTACK_SERVER_XYZZY; --help lists all"),
        (["--config", "/nowhere/server.toml"], {}, "/nowhere/server.toml"),
    ):
        result = CliRunner(env=environment).invoke(main, words)

        assert (result.exit_code, said in result.output) == (2, True), result.output


def test_a_password_is_not_in_what_is_said_of_a_wrong_address() -> None:
    for address in ("http://:opensesame@redis", "redis://:opensesame@redis:port"):
        result = CliRunner().invoke(main, ["--redis", address, "--port", "0"])

        assert result.exit_code == 1
        assert "--redis" in result.output
        assert "opensesame" not in result.output


def test_the_operators_guide_lists_every_option_with_its_default() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)` \|([^|]*)\|", README.read_text(), re.MULTILINE)
    options = [each for each in main.params if isinstance(each, click.Option)]

    assert sorted(dict(rows)) == sorted(each.opts[0] for each in options)
    for option in options:
        default = settings_of().get(str(option.name)) or ""
        assert dict(rows)[option.opts[0]].strip() == str(default)


def test_help_says_what_each_option_is_for() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output

    for option in main.params:
        assert isinstance(option, click.Option)
        assert option.opts[0] in shown
        assert option.help


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

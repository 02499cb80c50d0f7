"""The command starts fast, ends with the right code, and every part of it is documented."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from peerstack.cli.app import cli
from tests.cli.person import Person
from tests.server_process import ROOT

HEAVY = {"aiortc", "av", "socketio", "engineio", "aiohttp", "alembic", "rich", "mnemonic", "segno"}
MANUAL = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
LIST_MODULES = """
import sys
from peerstack.cli import main
try:
    main()
finally:
    print(*(name for name in sys.modules if "." not in name), file=open(0, "w"))
"""


def commands(
    group: click.Group = cli, prefix: str = "peerstack"
) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


COMMANDS = dict(commands())


def modules_loaded(profile: Path, *words: str) -> set[str]:
    """The top-level modules that a command in a fresh process has imported at its end."""
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", LIST_MODULES, *words],
        stdin=write,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PEERSTACK_PROFILE": str(profile)},
    ) as process:
        os.close(write)
        with open(read, encoding="utf-8") as listed:
            found = set(listed.read().split())
    assert process.returncode == 0
    return found


@pytest.mark.parametrize(
    "words",
    [["--help"], ["put", "note", "n:=1"], ["ls"], ["get", "ID"], ["members"], ["devices"]],
    ids=lambda words: words[0],
)
def test_what_is_used_all_day_loads_nothing_that_it_does_not_need(
    words: list[str], ana: Person
) -> None:
    (record,) = ana.json("put", "note", "title=Milk")
    words = [record["id"] if word == "ID" else word for word in words]

    loaded = modules_loaded(ana.profile, *words)

    assert "click" in loaded
    assert not loaded & HEAVY


def test_help_loads_no_database_either(ana: Person) -> None:
    assert not modules_loaded(ana.profile, "--help") & {"sqlalchemy", "nacl", "orjson"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_and_is_in_the_manual(name: str) -> None:
    command = COMMANDS[name]

    assert command.help
    assert f"`{name}" in MANUAL
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts[0]} has no help"
            longest = max(option.opts, key=len)
            assert f"`{longest}" in MANUAL, f"{name} {longest} is not in docs/cli.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json_quiet_and_a_profile(name: str) -> None:
    options = {text for option in COMMANDS[name].params for text in option.opts}

    assert {"--json", "--quiet", "--profile"} <= options or name == "peerstack demo"


def test_wrong_usage_ends_with_2_and_what_cannot_be_done_with_1(ana: Person) -> None:
    assert ana.run("nonsense").returncode == 2
    assert ana.run("put", "note").returncode == 2
    assert ana.run("ls").returncode == 1


def test_ctrl_c_ends_watch_with_130_and_nothing_but_a_word(ana: Person) -> None:
    ana.json("put", "note", "title=Milk")

    with ana.running("watch", "--since", "0") as watch:
        watch.until(lambda change: change["record"]["type"] == "note")
        code = watch.end()

        assert code == 130
        assert watch.complaints().split() == ["stopped"]


def test_a_reader_that_has_seen_enough_is_no_error_to_tell_of(ana: Person, tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("".join(f'{{"n": {n}}}\n' for n in range(2_000)))
    ana.json("import", str(file), "--type", "number")

    with ana.running("ls") as listing:
        assert listing.process.stdout is not None
        listing.process.stdout.readline()
        listing.process.stdout.close()

        assert listing.complaints() == ""

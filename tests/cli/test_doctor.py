"""`doctor`: a line for each thing that devices need to connect, and whether anything can work."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.person import Person, befriend
from tests.own_network import own_network
from tests.server_process import ROOT, running_server

NOBODY = "http://127.0.0.1:1"


def test_a_right_server_is_ticked_off_line_by_line(ana: Person, server: str) -> None:
    ana.json("init", "--name", "Ana", "--server", server)

    done = ana.call("doctor")

    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert f"✓ server    {server} is reached by DNS, TCP and HTTP" in lines
    assert f"✓ access    {server} lets this device in" in lines
    assert f"✓ clock     this device's clock agrees with that of {server}" in lines
    assert "- device    no other device was met: is one online?" in lines


def test_where_nothing_can_work_it_ends_with_1_and_says_what_to_do(ana: Person) -> None:
    ana.json("init", "--name", "Ana", "--server", NOBODY)

    done = ana.call("doctor")

    assert done.exit_code == 1
    assert f"✗ server    TCP: cannot reach {NOBODY} " in done.stdout
    assert "check the URL, the network, and that it runs" in done.stdout
    assert done.stderr == ""


def test_json_has_the_same(ana: Person) -> None:
    ana.json("init", "--name", "Ana", "--server", NOBODY)
    with running_server("--token", "open-sesame") as url:
        done = ana.run("doctor", "--server", url, "--json")

    assert done.returncode == 1
    assert '"can_connect": false' in done.stdout
    assert '"what": "access"' in done.stdout
    assert done.stdout.count("\n") == 1


def test_beside_a_sync_that_stays_it_says_who_has_the_network(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    with ana.running("sync", "--stay") as sync:
        sync.until_event("online")
        done = ana.run("doctor")
        beside = ben.run("doctor")
        sync.end()

    assert done.returncode == 0
    assert "✓ server " in done.stdout
    assert "- device    other devices are not met here: " in done.stdout
    assert "✓ device    connected directly to " in beside.stdout


@pytest.mark.own_network
def test_a_machine_with_no_network_is_told_so(ana: Person) -> None:
    ana.json("init", "--name", "Ana", "--server", NOBODY)
    words = [*own_network(), sys.executable, "-m", "peerstack", "doctor"]
    done = subprocess.run(
        words,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PEERSTACK_PROFILE": str(ana.profile)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "✗ addresses this machine has no network interface but loopback" in done.stdout

"""Tests that need a network of their own run in one, or are said not to have run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.own_network import own_network
from tests.server_process import ROOT

SHOW = "import aioice; print(aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True))"
LISTEN = "import socket; socket.create_server(('127.0.0.1', 0)); print('listens')"


@pytest.mark.own_network
def test_an_own_network_has_loopback_and_nothing_else() -> None:
    def said(program: str) -> str:
        words = [*own_network(), sys.executable, "-c", program]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    assert said(SHOW) == "[]"
    assert said(LISTEN) == "listens"


def test_where_there_can_be_none_that_is_said() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            __file__,
            "-k",
            "loopback",
        ],
        cwd=ROOT,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
    )

    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
    assert "2 deselected" in done.stdout
    assert "NOT RUN: tests marked `own_network`" in done.stdout

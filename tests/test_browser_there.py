"""Where there is no browser, its tests are said not to have run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.server_process import ROOT


def test_where_there_is_no_browser_that_is_said_and_what_to_do() -> None:
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/browser/test_notes.py"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
    )

    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
    assert "NOT RUN: tests marked `browser`" in done.stdout
    assert "make test-browser" in done.stdout

"""Tests that need a program beside the server have it, or are said not to have run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server_process import ROOT
from tests.services import PROGRAMS, missing, running_redis

WITHOUT = (
    "import sys, pytest, tests.services as s; s.PATH = ''; sys.exit(pytest.main(sys.argv[1:]))"
)


@pytest.mark.services("redis-server")
def test_a_redis_that_was_stopped_comes_back_at_its_place(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        redis.stop()
        assert redis.start()


def test_where_a_program_is_missing_that_is_said_with_what_to_do() -> None:
    words = ["-q", "-p", "no:cacheprovider", __file__, "-k", "comes_back"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
    for program in PROGRAMS:
        assert f"NOT RUN: tests marked `services` that need `{program}`" in done.stdout
    assert "`.ci/ensure-services`" in done.stdout


def test_what_is_asked_for_is_what_is_installed() -> None:
    script = (ROOT / ".ci/ensure-services").read_text(encoding="utf-8")

    assert [name for name in PROGRAMS if f'    "{name} ' not in script] == []
    with pytest.raises(AssertionError, match="PROGRAMS"):
        missing("unheard-of")

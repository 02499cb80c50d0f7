"""Tests that need a disk of their own get one, or are said not to have run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.own_disk import disk
from tests.server_process import ROOT


@pytest.mark.own_disk
def test_a_full_disk_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    with disk(tmp_path, "1m") as small:
        small.fill()
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "more").write_bytes(b"x" * 4096)
        small.make_room()
        (tmp_path / "more").write_bytes(b"x" * 4096)

    assert list(tmp_path.iterdir()) == []


def test_where_there_can_be_none_that_is_said() -> None:
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "full_disk"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
    )

    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout
    assert "2 deselected" in done.stdout
    assert "NOT RUN: tests marked `own_disk`" in done.stdout

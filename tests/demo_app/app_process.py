"""Starts the app as a process: `with running(folder) as (address, process): ...`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server_process import ROOT

SAID = "Family notes is at "


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The app with its profile in a folder, and the address that it printed; killed at the end."""
    paths = os.pathsep.join(str(ROOT / each) for each in ("", "demo_app"))
    home = {"HOME": str(folder), "BROWSER": str(folder / "browser")}
    with subprocess.Popen(
        [sys.executable, "-m", "family_notes", "--folder", str(folder / "profile"), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **home, "PYTHONPATH": paths},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(SAID), line
            yield line.removeprefix(SAID).strip(), process
        finally:
            process.kill()

"""Chromium and axe-core, which the browser tests need: found, never installed, from here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.server_process import ROOT

AXE: Final = ROOT / ".browser" / "axe.min.js"
"""What `.ci/ensure-browser` has put there."""

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> Path | None:
    """The program, where the system has one."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return Path(found) if found else None


def browser() -> bool:
    """Whether all that the browser tests need is there."""
    return chromium() is not None and AXE.exists()

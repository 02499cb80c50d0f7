"""Runs rivals, each in an environment of its own that `uv` makes and keeps in its cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_IROH: Final = "iroh==0.35.0"
_SCRIPT: Final = Path(__file__).with_name("iroh_docs.py")


def iroh_per_s(count: int, *, content: bool) -> float:
    """Entries per second of iroh-docs' first sync, between two processes with disks."""
    uv = shutil.which("uv", path=Path(sys.executable).parent) or "uv"
    command = [uv, "run", "--quiet", "--no-project", "--python", sys.executable, "--with", _IROH]
    command += ["python", str(_SCRIPT), "measure", str(count), "content" if content else "entries"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return count / float(json.loads(done.stdout)["seconds"])

"""Asks whether a fault is known in a library that the locks pin: `make audit`.

`pip-audit` asks; this says what its answer is worth. By itself it says "No known vulnerabilities
found", and succeeds, where the service had never heard of a single one of the libraries: a mirror
of PyPI has packages, but not always what is known about them. So a library that was not audited is
counted and named here, and the words for it are not those for a good one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from tests.architecture.project import ROOT

LOCKS: Final = ("requirements-dev.lock", "requirements-fuzz.lock")
"""All that is shipped stands in the first too, at the same versions (`test_lock`)."""

PIP_AUDIT: Final = (
    *(sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"),
    *("--progress-spinner", "off", "--format", "json", "--desc", "off"),
)

LIMIT_S: Final = 300
LINE: Final = "!" * 78


class Unreadable(Exception):
    """A lock cannot be read, so nobody was asked anything."""


class Known(msgspec.Struct):
    """A fault that is known of one version."""

    id: str
    fix_versions: list[str]


class Pin(msgspec.Struct):
    """One library of a lock: either with a version, or with why nothing is known."""

    name: str
    version: str = ""
    vulns: list[Known] = []
    skip_reason: str = ""


class _Report(msgspec.Struct):
    dependencies: list[Pin]


@dataclass(frozen=True)
class Audit:
    """What came of asking; `unreached` says why nobody answered at all, where it was so."""

    pins: Sequence[Pin] = ()
    unreached: str = ""

    @property
    def has_faults(self) -> bool:
        return any(pin.vulns for pin in self.pins)

    @property
    def is_whole(self) -> bool:
        """Whether something is known of each library, good or bad."""
        return bool(self.pins) and not any(pin.skip_reason for pin in self.pins)

    def lines(self) -> list[str]:
        """What to tell whoever asked."""
        return [*self._faults(), *self._gaps()] or [
            f"audit: no fault is known in any of the {len(self.pins)} libraries of the locks"
        ]

    def _faults(self) -> list[str]:
        return [
            f"audit: {pin.name} {pin.version} has a KNOWN FAULT, {known.id}; "
            f"it is mended in {', '.join(known.fix_versions) or 'no version yet'}"
            for pin in self.pins
            for known in pin.vulns
        ]

    def _gaps(self) -> list[str]:
        if self.is_whole:
            return []
        skipped = [pin.skip_reason for pin in self.pins if pin.skip_reason]
        which = f"{len(skipped)} of {len(self.pins)}" if skipped else "all"
        return [
            LINE,
            f"!! NOT AUDITED: {which} libraries of the locks",
            f"!! {skipped[0] if skipped else self.unreached or 'the locks name none'}",
            "!! Whether faults are known in them is open. Where PyPI's own JSON can be read, do:",
            "!!     make audit",
            LINE,
        ]


def ask(locks: Sequence[Path], *options: str) -> Audit:
    """Ask `pip-audit` about locks. Raises `Unreadable` where one cannot be read.

    Markers are read as they are here: what only another platform installs is not asked about.
    """
    named = [word for lock in locks for word in ("--requirement", str(lock))]
    command = [*PIP_AUDIT, *named, *options]
    read = _run(command, "--dry-run")
    if read.returncode != 0:
        raise Unreadable(_last_line(read))
    # It ends with 1 both where a fault is known and where nobody answers; a report tells the two
    # apart, since it has none of what it did not hear.
    asked = _run(command)
    if not asked.stdout:
        return Audit(unreached=_last_line(asked))
    return Audit(msgspec.json.decode(asked.stdout, type=_Report).dependencies)


def _run(command: Sequence[str], *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *more], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]


def main(locks: Sequence[Path], *options: str) -> int:
    """Tell what came of asking. The exit code: 1 where a fault is known, or a lock unreadable."""
    try:
        audit = ask(locks, *options)
    except Unreadable as unreadable:
        print(f"audit: a lock cannot be read: {unreadable}")
        return 1
    print("\n".join(audit.lines()))
    return int(audit.has_faults)


if __name__ == "__main__":
    sys.exit(main([ROOT / name for name in LOCKS]))

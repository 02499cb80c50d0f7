"""Fuzzes all targets, as many at a time as there are cores: `python -m tests.fuzz.campaign`.

Each begins with the inputs in the repository and with what earlier campaigns on this machine found
worth keeping (`.fuzz`). A finding is shown with its traceback and how to run it again; its input is
saved among the findings, where it is run with every test from then on.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.registry import CORPUS, FINDINGS, TARGETS

_TOP: Final = Path(__file__).parents[2]
_KEPT: Final = _TOP / ".fuzz"
_GRACE_S: Final = 120
"""For starting, and for reading the inputs that there are."""

_MISSING: Final = (
    "make fuzz needs atheris, which is built for Linux on x86-64 with CPython: it is not installed "
    "here. `make test` runs every input in the repository without it."
)


@dataclass(frozen=True)
class Outcome:
    """What became of one target."""

    name: str
    runs: int
    coverage: int
    """Edges of the product's code that were seen, as libFuzzer counts them."""
    finding: str
    """What is to be shown of it; empty where there is none."""

    def __str__(self) -> str:
        verdict = "FAILED" if self.finding else "nothing found"
        return f"{self.name:<16} {self.runs:>11,} runs {self.coverage:>6,} edges   {verdict}"


def main() -> int:
    """Fuzz, and say what was found; 1 if anything was, 2 where it cannot be done here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="by default all of them")
    wanted = parser.parse_args()
    unknown = set(wanted.targets) - TARGETS.keys()
    if unknown or not importlib.util.find_spec("atheris"):
        known = f"no target is called {', '.join(unknown)}; there are {', '.join(TARGETS)}"
        print(known if unknown else _MISSING, file=sys.stderr)
        return 2
    outcomes = _fuzz_all(wanted.targets or list(TARGETS), wanted.seconds)
    found = [each for each in outcomes if each.finding]
    for each in found:
        print(f"\n=== {each.name} ===\n{each.finding}")
    print(f"\n{len(found)} of {len(outcomes)} targets failed")
    return 1 if found else 0


def _fuzz_all(names: list[str], seconds: int) -> list[Outcome]:
    cores = len(os.sched_getaffinity(0))
    about = -(-len(names) // cores) * seconds
    print(f"{len(names)} targets, {seconds} s each, {cores} at a time: about {about} s", flush=True)
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(cores) as pool:
        waiting: list[Future[Outcome]] = [pool.submit(_fuzz, name, seconds) for name in names]
        for done in as_completed(waiting):
            outcomes.append(done.result())
            print(f"[{len(outcomes):>2}/{len(names)}] {outcomes[-1]}", flush=True)
    return outcomes


def _fuzz(name: str, seconds: int) -> Outcome:
    folders = [_KEPT / name, CORPUS / name, FINDINGS / name]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    before = set(folders[-1].iterdir())
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={folders[-1]}{os.sep}"]
    command = [sys.executable, "-m", "tests.fuzz.drive", name, *options, *map(str, folders)]
    try:
        ended = subprocess.run(
            command,
            cwd=_TOP,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds + _GRACE_S,
            check=False,
        )
        output, failed = ended.stdout.decode(errors="replace"), ended.returncode != 0
    except subprocess.TimeoutExpired as late:
        output, failed = (late.stdout or b"").decode(errors="replace"), True
    saved = sorted(set(folders[-1].iterdir()) - before)
    if not any(folders[-1].iterdir()):
        folders[-1].rmdir()
    return Outcome(
        name,
        max((int(each) for each in re.findall(r"^#(\d+)\s", output, re.MULTILINE)), default=0),
        max((int(each) for each in re.findall(r"\bcov: (\d+)", output)), default=0),
        _shown(name, output, saved) if failed else "",
    )


def _shown(name: str, output: str, saved: list[Path]) -> str:
    """The end of what the fuzzer wrote, the input, and how to run it again."""
    told = [line for line in output.splitlines() if not re.match(r"#\d+\s|INFO:|WARNING:", line)]
    lines = told[-40:]
    for path in saved:
        lines.append(f"input: {path.read_bytes()[:200]!r}, saved as {path.relative_to(_TOP)}")
        lines.append(f"again: {sys.executable} -m tests.fuzz.again {name} {path.relative_to(_TOP)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

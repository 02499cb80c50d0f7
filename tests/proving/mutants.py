"""Breaks the code on purpose, one place at a time, and asks whether the proving ground notices.

`python -m tests.proving.mutants`. A mutant that lives on shows that nothing would find such a
fault. First, whatever is to notice one has to find nothing in code that is not broken: else it
would have "noticed" each of them. What a rule decides, the stories' invariants decide by the same
rule; so faults in rules are for the naive model of them, under `tests/groups`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click
from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).parents[2]
NEEDED: Final = ("peerstack", "server", "tests", "benchmarks", "pyproject.toml")
TIMEOUT_S: Final = 30 * 60

STORIES: Final = ("-m", "tests.proving", "--seeds", "{seeds}", "--no-shrink")
RULES: Final = (
    # What takes long under a load was not noticed by that.
    *("-m", "pytest", "-q", "-x", "--timeout=0"),
    *("tests/groups/test_rules_of_ends.py", "tests/groups/test_random_stories.py"),
)

INTRODUCTIONS: Final = ("-m", "pytest", "-q", "-x", "tests/simulation/test_introductions.py")
"""What is told twice is little beside what a story may say: tests count it."""

NOT_ASKED_FOR: Final = (
    *("-m", "pytest", "-q", "-x"),
    "tests/simulation/test_hostile_messages.py::"
    "test_a_member_who_asks_for_what_is_in_another_group_gets_nothing",
)
"""Nobody in a story asks for keys of another group: ids are not guessed."""


class Mutant(NamedTuple):
    """One fault: what to put in place of what, and who should notice."""

    name: str
    path: str
    before: str
    after: str
    noticed_by: Sequence[str] = STORIES


MUTANTS: Final[Sequence[Mutant]] = (
    Mutant(
        "of two versions of one time, the first to come wins",
        "peerstack/engine/merging.py",
        "candidate.order > head.order:",
        "candidate.modified > head.modified:",
    ),
    Mutant(
        "what nobody had the right to write is admitted",
        "peerstack/engine/records.py",
        "verdict = judge_record(state, item, turn.now.wall_ms)",
        "verdict = Admitted()",
    ),
    Mutant(
        "signatures are not checked",
        "peerstack/testing/device.py",
        "found = tuple(map(holds, checks))",
        "found = tuple(True for _ in checks)",
    ),
    Mutant(
        "a group has one name on all pipes",
        "peerstack/session/naming.py",
        "return group_tag(secret, self._peer.transcript, group, sender)",
        "return group_tag(secret, bytes(32), group, sender)",
    ),
    Mutant(
        "what was said is not always stored",
        "peerstack/store/store.py",
        "            self._writer.commit()",
        "            self._turns = getattr(self, '_turns', 0) + 1\n"
        "            (self._writer.rollback if self._turns % 10 == 0 else self._writer.commit)()",
    ),
    Mutant(
        "former members are served as members",
        "peerstack/engine/replica.py",
        "if active and state.role(user) is not None:",
        "if active and state.was_let_in(user):",
    ),
    Mutant(
        "who asks by key is served from every group",
        "peerstack/engine/replica.py",
        "live = self._turn.tx.live(group, list(dict.fromkeys(map(_id_of, keys))))",
        "ids = list(dict.fromkeys(map(_id_of, keys)))\n"
        "            every = [self._turn.tx.live(each, ids) for each in self._turn.groups()]\n"
        "            live = {id: signed for each in every for id, signed in each.items()}",
        NOT_ASKED_FOR,
    ),
    Mutant(
        "nobody is judged again",
        "peerstack/engine/judging.py",
        "        queue(turn, after.group, users)\n        queued",
        "        queued",
    ),
    Mutant(
        "what was replaced by what has fallen does not return",
        "peerstack/engine/judging.py",
        "return next((each for each in newest_first if _why_not(state, each) is None), None)",
        "return None",
    ),
    Mutant(
        "a removal does not change the secret",
        "peerstack/engine/ending.py",
        "    _close(turn, group, grants, authority)\n    write_new_secret(turn, group)",
        "    _close(turn, group, grants, authority)",
    ),
    Mutant(
        "what was held is not released in time",
        "peerstack/store/versions.py",
        "def next_due_ms(self) -> int | None:",
        "def next_due_ms(self) -> None:\n        return\n\n    def _(self) -> int | None:",
    ),
    Mutant(
        "records are not compared",
        "peerstack/session/channel.py",
        "kinds.append(Kind.RECORDS)",
        "pass",
    ),
    Mutant(
        "what several have, all of them bring at once",
        "peerstack/session/lease.py",
        "self.waits = not replica.takes_lease(self._group)",
        "self.waits = False",
    ),
    Mutant(
        "who was told who somebody is, is told again",
        "peerstack/session/introduction.py",
        "if signed.hash not in self._told]",
        "]",
        INTRODUCTIONS,
    ),
    Mutant(
        "an end leaves in what is dated back",
        "peerstack/groups/seals.py",
        "return signed.hash in self.named or (not self.sealed and signed.modified < self.at_ms)",
        "return signed.hash in self.named or signed.modified < self.at_ms",
        RULES,
    ),
    Mutant(
        "whoever is an admin ends every grant",
        "peerstack/groups/log.py",
        "return grant.is_admin and (not target.is_admin or self.is_above(grant.hash, target))",
        "return grant.is_admin",
        RULES,
    ),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seeds", default=200, show_default=True, help="Stories told of each, at most.")
@click.option("--only", default="", help="Only mutants whose name contains this.")
def main(seeds: int, only: str) -> None:
    """Break the code in many ways, and see each noticed."""
    console = Console(stderr=True)
    chosen = [mutant for mutant in MUTANTS if only in mutant.name]
    _demand_control(console, chosen, seeds)
    table = Table("mutant", "where", "noticed")
    survivors = 0
    for mutant in chosen:
        noticed = _first_words(mutant.noticed_by, seeds, mutant)
        survivors += noticed is None
        console.print(f"{mutant.name}: {noticed or '[bold red]lives on[/]'}", highlight=False)
        table.add_row(mutant.name, mutant.path, noticed or "no")
    console.print(table)
    sys.exit(min(survivors, 1))


def _demand_control(console: Console, mutants: Iterable[Mutant], seeds: int) -> None:
    """End everything where what is to notice mutants fails in code that is not broken."""
    failed = 0
    # In order, each once: several mutants are noticed by the same.
    for command in dict.fromkeys(tuple(mutant.noticed_by) for mutant in mutants):
        words = _first_words(command, seeds)
        failed += words is not None
        outcome = "holds" if words is None else f"fails, so that it can notice nothing: {words}"
        shown = f"python {' '.join(command)}".format(seeds=seeds)
        line = f"unbroken, {shown}: {outcome}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if failed:
        raise click.ClickException(f"{failed} of the commands fail though nothing is broken")


def _first_words(command: Sequence[str], seeds: int, mutant: Mutant | None = None) -> str | None:
    """What a command says of a mutant, or of the code as it is; None where it finds nothing."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        there = Path(name)
        _copy(there)
        if mutant is not None:
            _break(there, mutant)
        arguments = [each.format(seeds=seeds) for each in command]
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=there,
            env={**os.environ, "PYTHONPATH": f"{there}:{there}/server", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if ran.returncode == 0:
        return None
    said = (ran.stdout + ran.stderr).splitlines()
    telling = (line for line in said if line.startswith(("seed ", "FAILED", "ERROR", "E  ")))
    last = said[-1] if said else f"exit status {ran.returncode}, without a word"
    return next(telling, last).strip()[:120]


def _copy(there: Path) -> None:
    for each in NEEDED:
        source = ROOT / each
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "corpus")
            shutil.copytree(source, there / each, ignore=ignored)
        else:
            shutil.copy(source, there / each)


def _break(there: Path, mutant: Mutant) -> None:
    path = there / mutant.path
    text = path.read_text()
    if text.count(mutant.before) != 1:
        raise click.ClickException(f"{mutant.name}: {mutant.path} has changed; adapt the mutant")
    path.write_text(text.replace(mutant.before, mutant.after))


if __name__ == "__main__":
    main()

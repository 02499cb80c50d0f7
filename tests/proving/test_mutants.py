"""Every mutant still finds the place that it breaks; that each is noticed, `make mutants` shows.

What notices one is a command; here, one that is over at once.
"""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from tests.proving import mutants
from tests.proving.mutants import MUTANTS, ROOT, Mutant

PATH = "peerstack/engine/leases.py"
LOOKS = ("-c", f"assert 'class Leases' in open('{PATH}').read(), 'no leases'")
"""Finds one fault, and nothing else."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_breaks_one_place(mutant: Mutant) -> None:
    text = (ROOT / mutant.path).read_text()
    assert text.count(mutant.before) == 1
    compile(text.replace(mutant.before, mutant.after), mutant.path, "exec")


def test_a_command_that_fails_by_itself_notices_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _run(monkeypatch, ("-c", "raise SystemExit('it never works')"))
    assert ran.exit_code == 1
    assert "it never works" in ran.output
    assert "fail though nothing is broken" in ran.output
    assert "a fault: it never" not in ran.output


def test_a_test_that_is_not_there_notices_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _run(monkeypatch, ("-m", "pytest", "-q", "tests/proving/test_mutants.py::test_nothing"))
    assert ran.exit_code == 1
    assert "fail though nothing is broken" in ran.output


def test_what_finds_a_fault_and_nothing_else_notices_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _run(monkeypatch, LOOKS)
    assert ran.exit_code == 0, ran.output
    assert "a fault: AssertionError: no leases" in ran.output


def test_a_fault_that_nothing_finds_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _run(monkeypatch, ("-c", ""))
    assert ran.exit_code == 1
    assert "a fault: lives on" in ran.output


def test_what_notices_several_is_tried_once_on_what_is_not_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = _run(monkeypatch, LOOKS, LOOKS)
    assert ran.output.count("unbroken, ") == 1
    assert ran.output.count("a fault: AssertionError: no leases") == 2


def _run(monkeypatch: pytest.MonkeyPatch, *commands: tuple[str, ...]) -> Result:
    """Run with one fault, noticed by each of these commands."""
    faults = [Mutant("a fault", PATH, "class Leases", "class Lease", each) for each in commands]
    monkeypatch.setattr(mutants, "MUTANTS", faults)
    return CliRunner().invoke(mutants.main)

"""Every input in the repository runs through its target, and every way in has a target."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.architecture.project import project_modules
from tests.fuzz import campaign
from tests.fuzz.registry import CORPUS, FINDINGS, TARGETS, inputs

INPUTS = [(target.name, path) for target in TARGETS.values() for path in inputs(target)]


def untrusted_functions() -> Iterator[str]:
    """The names of all functions that say of themselves that they take untrusted input."""
    for module in project_modules():
        yield from _functions(ast.parse(module.source), module.name)


def _functions(node: ast.AST, path: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{path}.{child.name}")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if "untrusted" in child.name:
                yield f"{path}.{child.name}"
            yield from _functions(child, f"{path}.{child.name}")


@pytest.mark.parametrize(
    ("name", "path"), INPUTS, ids=[f"{name}-{path.name}" for name, path in INPUTS]
)
def test_no_input_is_a_finding(name: str, path: Path) -> None:
    TARGETS[name].run(path.read_bytes())


def test_everything_that_takes_untrusted_input_is_reached_by_a_target() -> None:
    reached = {name for target in TARGETS.values() for name in target.reaches}
    assert set(untrusted_functions()) - reached == set()


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_reaches_what_it_says_by_the_inputs_in_the_repository(name: str) -> None:
    target, called = TARGETS[name], set[str]()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}")

    sys.setprofile(note)
    try:
        for path in inputs(target):
            target.run(path.read_bytes())
    finally:
        sys.setprofile(None)
    assert set(target.reaches) - called == set()


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_the_repository_is_longer_than_its_target_takes(name: str) -> None:
    target = TARGETS[name]
    assert list(inputs(target))
    assert all(path.stat().st_size <= target.bytes_max for path in inputs(target))


def test_every_folder_of_inputs_has_its_target() -> None:
    folders = {path.name for top in (CORPUS, FINDINGS) if top.is_dir() for path in top.iterdir()}
    assert folders <= TARGETS.keys()


def test_without_the_fuzzer_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    monkeypatch.setattr(sys, "argv", ["campaign"])
    assert campaign.main() == 2
    assert "needs atheris" in capsys.readouterr().err

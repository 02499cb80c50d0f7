"""Real text for the demo: notes made from the docstrings of Python's standard library.

Reads source files; nothing of them is imported or run.
"""

from __future__ import annotations

import ast
import json
import sysconfig
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

_NOT_READ: Final = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3"}
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Note(NamedTuple):
    """One docstring: what it documents, its text, and the module that it stands in."""

    title: str
    text: str
    module: str


def standard_library_notes() -> Iterator[Note]:
    """The docstrings of the standard library, module by module."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        place = path.relative_to(library)
        if not _NOT_READ & set(place.parts):
            module = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
            yield from _notes_of(path, module)


def write_notes(path: Path, count: int) -> list[Note]:
    """Write the first `count` notes as JSON Lines, for `peerstack import --type note`."""
    notes = list(islice(standard_library_notes(), count))
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(note._asdict()) + "\n" for note in notes)
    return notes


def _notes_of(path: Path, module: str) -> Iterator[Note]:
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for name, node in _documented(tree, module):
        text = ast.get_docstring(node)
        if text:
            yield Note(name, text, module)


def _documented(node: _Documented, name: str) -> Iterator[tuple[str, _Documented]]:
    """A module, class or function and what stands in it, by their full names."""
    yield name, node
    for inner in node.body:
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _documented(inner, f"{name}.{inner.name}")

"""Where the parts of the project are, and what pyproject.toml says about them."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.import_rules import Module

ROOT: Final = Path(__file__).parents[2]
PYPROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: Final = PYPROJECT["project"]
PACKAGES: Final = [
    Path(name) for name in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
]


def name_of(path: Path) -> str:
    """The path as it is read from the top of the checkout."""
    return str(path.relative_to(ROOT))


def project_modules() -> Iterator[Module]:
    """Each module of the packages that are shipped."""
    for package in map(ROOT.joinpath, PACKAGES):
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package.parent).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            yield Module(name, path.read_text(encoding="utf-8"), is_package)


def own_files() -> list[Path]:
    """Each file that is, or would be, under version control, by its path from the top."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout: which files belong to it cannot be told")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(name) for name in listed.stdout.split("\0") if name]
    return [path for path in paths if (ROOT / path).is_file()]

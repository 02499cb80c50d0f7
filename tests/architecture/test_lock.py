"""pyproject.toml asks for all that is used; the locks hold it, by hash, and name no machine."""

from __future__ import annotations

import re
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.import_rules import uses_of
from tests.architecture.project import PACKAGES, PROJECT, PYPROJECT, ROOT, project_modules

RUNTIME, DEVELOPMENT = "requirements.lock", "requirements-dev.lock"
FUZZING, IMAGE = "requirements-fuzz.lock", "requirements-image.lock"

Pins = dict[str, list[Requirement]]


def pins(lock: str) -> Pins:
    """The locked requirements of one file by name; a name may have several, under markers."""
    found: Pins = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if re.match(r"[a-z0-9]", line):
            pin = Requirement(line.removesuffix("\\").strip())
            found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


def direct(*, development: bool) -> list[Requirement]:
    """What pyproject.toml asks for by itself: at run time, in every extra, and for the work."""
    asked = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        asked += extra
    if development:
        asked += PYPROJECT["dependency-groups"]["dev"] + PYPROJECT["build-system"]["requires"]
    return [Requirement(text) for text in asked]


@pytest.mark.parametrize(
    ("lock", "development"), [(RUNTIME, False), (DEVELOPMENT, True)], ids=[RUNTIME, DEVELOPMENT]
)
def test_every_direct_dependency_is_locked_at_a_version_it_allows(
    lock: str, development: bool
) -> None:
    locked = pins(lock)

    for asked in direct(development=development):
        found = locked.get(canonicalize_name(asked.name), [])
        versions = [str(pin.specifier).removeprefix("==") for pin in found]
        assert versions, f"{asked.name} is missing from {lock}: run `make lock`"
        assert all(map(asked.specifier.contains, versions)), f"{asked}: run `make lock`"


def test_what_is_tested_is_what_is_shipped() -> None:
    runtime, development = pins(RUNTIME), pins(DEVELOPMENT)

    differing = {name for name in runtime if runtime[name] != development.get(name)}

    assert not differing, "the two locks disagree: run `make lock`"


def test_the_image_holds_what_was_tested_and_no_more_than_the_server_needs() -> None:
    runtime, image = pins(RUNTIME), pins(IMAGE)

    for name in image:
        tested = {str(pin.specifier) for pin in runtime.get(name, [])}
        assert {str(pin.specifier) for pin in image[name]} <= tested, f"{name}: run `make lock`"
    assert not {"aiortc", "sqlalchemy", "pynacl"} & set(image)


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT, FUZZING, IMAGE])
def test_every_pin_has_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text)[1:]

    assert all("--hash=sha256:" in block for block in blocks)
    assert len(blocks) == sum(map(len, pins(lock).values()))


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT, FUZZING, IMAGE])
def test_a_lock_names_no_host_and_no_folder(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")

    assert not re.search(r"://|--(extra-)?index|--find-links| @ |(^|\s)/", text)


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT])
def test_ids_come_from_the_one_ulid_library(lock: str) -> None:
    """`python-ulid` brings a module of the same name, so having both breaks one of them."""
    locked = pins(lock)

    assert "ulid-py" in locked
    assert "python-ulid" not in locked


def test_every_library_that_is_imported_is_asked_for_by_name() -> None:
    """One that only comes along with another can go away with the other's next version."""
    asked = {canonicalize_name(requirement.name) for requirement in direct(development=False)}
    known = sys.stdlib_module_names | {package.name for package in PACKAGES}
    libraries = packages_distributions()
    imported = {
        top: use
        for module in project_modules()
        for use in uses_of(module)
        if (top := use.name.split(".")[0]) not in known
    }

    unasked = {
        top: use
        for top, use in imported.items()
        if asked.isdisjoint(map(canonicalize_name, libraries.get(top, [])))
    }

    assert not unasked, "put these into the dependencies of pyproject.toml, then `make lock`"

"""The wheel works by itself: built, put into an empty environment, and used from an empty folder.

The environment gets the libraries that the wheel declares and no others, linked from the one that
runs the tests. So it needs no network, and shows what an editable install hides: a file that is not
packaged, a dependency that is not declared.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.project import PACKAGES, PROJECT, ROOT, own_files

COMMANDS = sorted(PROJECT["scripts"])
EXTRA_OF = {"peerstack": "", "peerstack-server": "server", "family-notes": "demo"}
"""What has to be installed for a command, as in `pip install peerstack[server]`."""

IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
assert pathlib.Path(package.__file__).is_relative_to(sys.prefix), package.__file__
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith(".__main__") and ".migrations." not in module.name:
        importlib.import_module(module.name)
"""

Install = Callable[[str], Path]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """The standard output of a command that has to succeed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.defpath, "HOME": str(cwd), "LANG": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command[:3]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without network."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Installs the wheel with an extra into an environment of its own and gives its `bin`."""

    @functools.cache
    def install_with(extra: str) -> Path:
        environment = tmp_path_factory.mktemp(f"environment-{extra}")
        run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
        (site_packages,) = environment.glob("lib/python*/site-packages")
        link_libraries(declared_by(wheel, extra), site_packages)
        python = environment / "bin/python"
        pip = (sys.executable, "-m", "pip", "--python", python)
        run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=environment)
        return python.parent

    return install_with


def declared_by(wheel: Path, extra: str) -> dict[str, Distribution]:
    """The installed libraries that the wheel asks for with `extra`, and those that they ask for."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().split("\n\n")[0].splitlines()
    prefix = "Requires-Dist: "
    asked = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
    found: dict[str, Distribution] = {}
    waiting = list(needed(asked, {extra}))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        library = found.get(name) or distribution(name)
        if name not in found or requirement.extras:
            waiting += needed(library.requires or [], requirement.extras | {""})
        found[name] = library
    return found


def needed(requirements: list[str], extras: set[str]) -> Iterator[Requirement]:
    """Those of `requirements` whose markers hold here under one of `extras`."""
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def link_libraries(libraries: dict[str, Distribution], site_packages: Path) -> None:
    for library in libraries.values():
        tops = {path.parts[0] for path in library.files or []} - {"..", "__pycache__"}
        for top in tops:
            link = site_packages / top
            if not link.exists():
                link.symlink_to(Path(str(library.locate_file(top))).resolve())


def shipped_files() -> set[str]:
    """Each file of the three packages under the path that it has to have in the wheel."""
    return {
        str(path.relative_to(package.parent))
        for package in PACKAGES
        for path in own_files()
        if path.is_relative_to(package)
    }


def test_the_wheel_holds_each_file_of_the_three_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert packed == shipped_files()
    assert "peerstack/py.typed" in packed


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_starts_where_only_its_extra_is_installed(
    command: str, install: Install, tmp_path: Path
) -> None:
    commands = install(EXTRA_OF[command])

    shown = run(commands / command, "--help", cwd=tmp_path)

    assert f"Usage: {command}" in shown or f"usage: {command}" in shown
    assert list(tmp_path.iterdir()) == [], "showing the help left files behind"


@pytest.mark.parametrize(
    ("package", "extra"),
    [("peerstack", ""), ("peerstack_server", "server"), ("family_notes", "demo")],
)
def test_every_module_finds_what_it_imports_among_the_declared_libraries(
    package: str, extra: str, install: Install, tmp_path: Path
) -> None:
    python = install(extra) / "python"

    run(python, "-c", IMPORT_ALL, package, cwd=tmp_path)


def test_the_server_runs_with_no_more_libraries_than_its_container_image_holds(
    wheel: Path, tmp_path: Path
) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", "image", cwd=tmp_path)
    (site_packages,) = tmp_path.glob("image/lib/python*/site-packages")
    link_libraries({name: distribution(name) for name in image_libraries()}, site_packages)
    python = tmp_path / "image/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=tmp_path)

    run(python, "-c", IMPORT_ALL, "peerstack_server", cwd=tmp_path)


def image_libraries() -> Iterator[str]:
    for line in (ROOT / "requirements-image.lock").read_text(encoding="utf-8").splitlines():
        if line[:1].isalpha():
            pin = Requirement(line.removesuffix("\\").strip())
            if pin.marker is None or pin.marker.evaluate():
                yield canonicalize_name(pin.name)

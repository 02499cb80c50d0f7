"""Nothing in the checkout depends on one machine, and no rule is switched off without a word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.project import ROOT, own_files

ONE_MACHINE_ONLY = re.compile(
    r"""(?<![\w.~-])/(work|workspace|home/\w+|Users/\w+)/   # a folder of one machine
      | /tmp/(venv|spec)                                    # scratch of one session
      | \.\./shared                                         # a neighbour of one checkout
    """,
    re.VERBOSE,
)


def text_files() -> dict[Path, str]:
    contents = {path: (ROOT / path).read_bytes() for path in own_files()}
    decoded = {path: content.decode(errors="replace") for path, content in contents.items()}
    return {path: text for path, text in decoded.items() if "\0" not in text}


UNEXPLAINED = re.compile(r"# noqa: S\d++(, S\d++)*+(?! -- \w)")
"""A rule of security that is switched off, for no reason that is given."""


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{name}, line {number}: {line.strip()}"
        for name, text in text_files().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if ONE_MACHINE_ONLY.search(line)
    ]

    assert not found, "name a path inside the checkout instead:\n" + "\n".join(found)


def test_where_a_rule_of_security_is_switched_off_it_is_said_why() -> None:
    found = [
        f"{name}, line {number}"
        for name, text in text_files().items()
        if name.suffix == ".py"
        for number, line in enumerate(text.splitlines(), start=1)
        if UNEXPLAINED.search(line)
    ]

    assert not found, "say why behind the code, as in `# noqa: S... -- why`:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [f"cd {prefix}{rest}" for prefix, rest in [("/wor", "k/main"), ("/hom", "e/ana/peerstack")]]
    + ["see .." + "/shared/design", "/tm" + "p/venv/bin/python"],
)
def test_the_check_sees_a_path_of_one_machine(line: str) -> None:
    assert ONE_MACHINE_ONLY.search(line)


@pytest.mark.parametrize("line", ["see docs/work/notes.md", "/home", "../README.md"])
def test_the_check_lets_other_paths_be(line: str) -> None:
    assert not ONE_MACHINE_ONLY.search(line)


@pytest.mark.parametrize("rest", ["608", "608 -- ", "104, S105", "608 columns"])
def test_the_check_sees_a_rule_that_is_switched_off_without_a_word(rest: str) -> None:
    assert UNEXPLAINED.search("f()  # noqa: " + "S" + rest)


def test_the_check_lets_a_rule_be_switched_off_for_a_reason() -> None:
    assert not UNEXPLAINED.search("f()  # noqa: " + "S104, S105 -- made up")

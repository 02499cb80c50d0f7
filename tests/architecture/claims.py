"""Reads the claims of `docs/threat-model.md`, and which tests they name.

Pure: text in, findings out. Knows nothing of the file system but what it is given to ask.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

UNSHOWN: Final = re.compile(r"\*[^*]*[Ss]hown\s+by\s+no\s+test\.\*")
"""What a claim says that no test shows."""

_HEADING: Final = re.compile(r"^(#{2,3}) (.+)$", re.MULTILINE)
_CLAIM: Final = re.compile(r"^- (.*(?:\n(?:  .*))*)", re.MULTILINE)
_NAME: Final = re.compile(r"(tests/[\w/.-]+\.py)(?:::(\w+))?")
_LINK: Final = re.compile(r"\[`(tests/[\w/.-]+\.py)::\w+`\]\(((?:\.\./)?)(\S+?)\)")
_KIND: Final = re.compile(r"^(\w[^\n]*):$", re.MULTILINE)

Source = Callable[[str], str | None]
"""The text of a file, by its path from the top of the checkout; None where there is none."""


class Claim(NamedTuple):
    """One point of the list of what somebody can or cannot do."""

    section: str
    kind: str
    """The words above the list, such as "Cannot"."""
    text: str

    @property
    def tests(self) -> list[tuple[str, str]]:
        """The tests that it names: file and function."""
        return [(path, name) for path, name in _NAME.findall(self.text) if name]

    @property
    def admits(self) -> bool:
        """Whether it says that no test shows it."""
        return UNSHOWN.search(self.text) is not None


def sections(text: str, level: int) -> dict[str, str]:
    """What stands under each heading of one level, up to the next that is as high or higher."""
    found = {}
    headings = list(_HEADING.finditer(text))
    for place, heading in enumerate(headings):
        if len(heading[1]) == level:
            later = (each for each in headings[place + 1 :] if len(each[1]) <= level)
            end = next((each.start() for each in later), len(text))
            found[heading[2]] = text[heading.end() : end]
    return found


def claims(section: str, text: str) -> Iterator[Claim]:
    """The points of the lists under the words "Can", "Cannot" and the like."""
    kinds = list(_KIND.finditer(text))
    for place, kind in enumerate(kinds):
        end = kinds[place + 1].start() if place + 1 < len(kinds) else len(text)
        for claim in _CLAIM.finditer(text, kind.end(), end):
            yield Claim(section, kind[1], claim[1])


def missing(text: str, source: Source) -> list[str]:
    """The tests that a text names and that are not there; files, where it names no test in them."""
    names = dict.fromkeys(_NAME.findall(text))
    return [
        f"{path}::{name}" if name else path
        for path, name in names
        if not _is_there(source(path), name)
    ]


def _is_there(code: str | None, name: str) -> bool:
    if code is None or not name:
        return code is not None
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return name.startswith("test_") and any(
        isinstance(node, functions) and node.name == name for node in ast.parse(code).body
    )


def misled(text: str) -> list[str]:
    """The tests whose link leads to another file than the one that is named."""
    return [path for path, _, target in _LINK.findall(text) if target != path]

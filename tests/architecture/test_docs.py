"""What the documents promise holds: links lead somewhere, code in them and the examples run.

A ```python block is a whole program: it is run, by itself, in an empty folder. Two kinds are marked
behind the language, where readers do not see it:

- ```python examples/two_devices.py    quotes that file, line for line (indentation aside)
- ```python excerpt                    is part of something: it only has to compile
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.architecture.project import ROOT, name_of

FOLDERS_NOT_READ = {".venv", ".git", ".pytest_cache", "build", "dist", "node_modules"}
PROGRAM_LIMIT_S = 60

FENCE = re.compile(r"^ {0,3}(`{3,})([^\n`]*)\n(.*?)^ {0,3}\1`*[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)


class Block(NamedTuple):
    """One fenced block of Python in a document."""

    document: Path
    line: int
    mark: str
    code: str


def documents() -> list[Path]:
    paths = sorted(ROOT.rglob("*.md"))
    return [path for path in paths if not FOLDERS_NOT_READ & set(path.relative_to(ROOT).parts)]


def prose(text: str) -> str:
    """The text without fenced blocks and inline code, in which nothing is a link or a heading."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", text))


def links(text: str) -> list[str]:
    found = [inline or reference for inline, reference in LINK.findall(prose(text))]
    return [link for link in found if not re.match(r"[a-z][a-z0-9+.-]*:", link)]


def anchors(text: str) -> set[str]:
    """The fragments by which the headings of a document are reached, as code hosts make them."""
    headings = HEADING.findall(FENCE.sub("", text))
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in words}


def dead_links(document: Path, text: str) -> Iterator[str]:
    for link in links(text):
        path, _, fragment = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.is_relative_to(ROOT) or not target.exists():
            yield link
        elif fragment and target.suffix == ".md":
            aim = target.read_text(encoding="utf-8") if path else text
            if fragment not in anchors(aim):
                yield link


def blocks(document: Path, text: str) -> Iterator[Block]:
    for match in FENCE.finditer(text):
        language, _, mark = match[2].strip().partition(" ")
        if language == "python":
            line = text.count("\n", 0, match.start()) + 1
            yield Block(document, line, mark.strip(), textwrap.dedent(match[3]))


BLOCKS = [
    block
    for document in documents()
    for block in blocks(document, document.read_text(encoding="utf-8"))
]


def lines_of(code: str) -> str:
    return "\n".join(line.strip() for line in code.strip().splitlines())


def check_block(block: Block, folder: Path) -> None:
    if block.mark == "":
        run_program("-c", block.code, folder=folder)
    elif block.mark == "excerpt":
        compile(block.code, name_of(block.document), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    else:
        source = (ROOT / block.mark).read_text(encoding="utf-8")
        assert lines_of(block.code) in lines_of(source), (
            f"{block.mark} does not say this (any more)"
        )


def run_program(*program: str | Path, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", *program],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROGRAM_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_links_inside_the_project_lead_somewhere(document: Path) -> None:
    found = list(dead_links(document, document.read_text(encoding="utf-8")))

    assert not found, f"{name_of(document)} links to what is not there: {found}"


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_no_side_of_a_merge_was_left_in_a_document(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(("<" * 7 + " ", ">" * 7 + " "))] == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: f"{name_of(b.document)}:{b.line}")
def test_python_in_the_documents_does_what_it_says(block: Block, tmp_path: Path) -> None:
    check_block(block, tmp_path)


@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*.py")), ids=name_of)
def test_an_example_runs_in_an_empty_folder(example: Path, tmp_path: Path) -> None:
    run_program(example, folder=tmp_path)


# --- The checks themselves. -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[a](no-such-file.md)",
        "[a](#no-such-heading)",
        "[a](LICENSE/../../elsewhere.md)",
        "text\n\n[a]: no-such-file.md",
        '[a](no-such-file.md "with a title")',
    ],
)
def test_a_dead_link_is_seen(text: str) -> None:
    assert list(dead_links(ROOT / "README.md", text))


@pytest.mark.parametrize(
    "text",
    [
        "[a](LICENSE)",
        "## What's in here?\n\n[a](#whats-in-here)",
        "[a](https://example.org/no-such-file.md)",
        "`[a](no-such-file.md)`",
        "```\n[a](no-such-file.md)\n```",
    ],
)
def test_a_living_link_is_left_alone(text: str) -> None:
    assert list(dead_links(ROOT / "README.md", text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "```python\nraise SystemExit(1)\n```",
        "```python excerpt\nasync def\n```",
        "```python LICENSE\nprint('not in there')\n```",
        "1. a step\n\n   ```python\n   raise SystemExit(1)\n   ```",
    ],
)
def test_python_that_does_not_hold_is_seen(text: str, tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "README.md", text)

    with pytest.raises((AssertionError, SyntaxError)):
        check_block(block, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint('ran')\n```",
        "```python excerpt\nawait notes.put('a', {})\n```",
        "```python LICENSE\nMIT License\n```",
    ],
)
def test_python_that_holds_is_accepted(text: str, tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "README.md", text)

    check_block(block, tmp_path)

"""The guide "Build your own app in an hour" is walked through: code, commands, what they show.

Its Python pieces, in their order, are the program; the first two are its beginning and its end. In
a ```console block, `ana$` says in which folder a command runs, and what follows is what it prints.
`...` stands for anything within a line. A block that is marked with a terminal's name has a program
that stays: a later block of that name has what it prints then, and `^C` ends it.
"""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.architecture.project import ROOT
from tests.architecture.test_docs import FENCE

GUIDE = ROOT / "docs" / "build-your-own-app.md"
FINISHED = ROOT / "examples" / "shopping.py"
PORT = "8080"
LINK = "peerstack:join:..."
ANSWER_S = 60
PROGRAMS = {"python": (), "peerstack-server": ("-m", "peerstack_server")}


class Step(NamedTuple):
    """One block of the guide."""

    language: str
    mark: str
    lines: Sequence[str]


def steps() -> Iterator[Step]:
    text = GUIDE.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        language, _, mark = match[2].strip().partition(" ")
        if language == "console" or mark == "examples/shopping.py":
            yield Step(language, mark, match[3].splitlines())


class Walk:
    """One who does what the guide says, in a folder."""

    def __init__(self, folder: Path, programs: ExitStack) -> None:
        self._folder = folder
        self._programs = programs
        self._terminals: dict[str, subprocess.Popen[str]] = {}
        self._pieces: list[str] = []
        self._link = ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])

    def take(self, step: Step) -> None:
        if step.language == "python":
            self._write(step.lines)
        elif step.mark:
            self._stay(step.mark, step.lines)
        else:
            for command, shown in commands(step.lines):
                with self._start(command) as running:
                    said, _ = running.communicate(timeout=ANSWER_S)
                assert running.returncode == 0
                self._compare(shown, said.splitlines())

    def program(self) -> str:
        beginning, end, *later = self._pieces
        return "\n".join([beginning, *later, end])

    def _write(self, lines: Sequence[str]) -> None:
        self._pieces.append("\n".join(lines) + "\n")
        if len(self._pieces) > 1:
            (self._folder / "shopping.py").write_text(self.program(), encoding="utf-8")

    def _stay(self, terminal: str, lines: Sequence[str]) -> None:
        if "$ " in lines[0]:
            command, *lines = lines
            process = self._programs.enter_context(self._start(command))
            self._terminals[terminal] = process
            self._programs.callback(process.kill)
        running = self._terminals[terminal]
        if lines == ["^C"]:
            running.send_signal(signal.SIGINT)
            assert running.wait(ANSWER_S) == 0
        else:
            assert running.stdout is not None
            self._compare(lines, [running.stdout.readline().rstrip("\n") for _ in lines])

    def _start(self, line: str) -> subprocess.Popen[str]:
        folder, _, command = line.partition("$ ")
        said = command.replace(PORT, self._port).replace(LINK, self._link)
        program, *arguments = shlex.split(said)
        at = self._folder / folder
        at.mkdir(exist_ok=True)
        words = [sys.executable, *PROGRAMS[program], *arguments]
        return subprocess.Popen(words, cwd=at, stdout=subprocess.PIPE, text=True)

    def _compare(self, shown: Sequence[str], said: Sequence[str]) -> None:
        assert len(shown) == len(said), (shown, said)
        for expected, line in zip(shown, said, strict=True):
            pattern = re.escape(expected.replace(PORT, self._port)).replace(r"\.\.\.", ".+")
            assert re.fullmatch(pattern, line), (shown, said)
            if expected == LINK:
                self._link = line


def commands(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block with the lines that it prints."""
    starts = [place for place, line in enumerate(lines) if re.match(r"\w+\$ ", line)]
    assert starts[:1] == [0]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start], list(lines[start + 1 : end])


def test_the_guide_does_what_it_shows_from_an_empty_folder_on(tmp_path: Path) -> None:
    with ExitStack() as programs:
        walk = Walk(tmp_path, programs)
        for step in steps():
            walk.take(step)

    finished = FINISHED.read_text(encoding="utf-8")
    assert [line for line in walk.program().splitlines() if line] == [
        line for line in finished.splitlines() if line
    ]

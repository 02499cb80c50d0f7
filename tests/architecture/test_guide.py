"""The guide "Build your own app in an hour" is walked through: code, commands, what they show.

Its Python pieces, in their order, are the program; the first two are its beginning and its end. In
a ```console block, `ana$` says in which folder a command runs, and what follows is what it prints.
`...` stands for anything within a line. A block that is marked with a terminal's name has a program
that stays: a later block of that name has what it prints then, and `^C` ends it.

Each command is a process of its own, forked from one that has loaded the libraries: to load them
anew for each would take most of the test's time.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import runpy
import shlex
import signal
import socket
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
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["click", "peerstack.node.blocking", "peerstack.transport.webrtc", "peerstack_server.cli"]
)


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


class Program:
    """A program that runs, and what it prints."""

    def __init__(self, words: Sequence[str], folder: Path, pipe: Path) -> None:
        os.mkfifo(pipe)
        self.process = PROCESSES.Process(target=run, args=(words, folder, pipe))
        self.process.start()
        self.printed = pipe.open(encoding="utf-8")

    def end(self) -> None:
        """Wait until it has ended, and well."""
        self.process.join(ANSWER_S)
        assert self.process.exitcode == 0

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGINT)

    def discard(self) -> None:
        """End it, however it is."""
        self.printed.close()
        self.process.kill()
        self.process.join()


def run(words: Sequence[str], folder: Path, pipe: Path) -> None:
    """What the new process does."""
    with pipe.open("w", encoding="utf-8") as printed:
        os.dup2(printed.fileno(), 1)
    os.chdir(folder)
    program, *_ = sys.argv = list(words)
    if program == "peerstack-server":
        runpy.run_module("peerstack_server", run_name="__main__")
    else:
        runpy.run_path(program, run_name="__main__")


class Walk:
    """One who does what the guide says, in a folder."""

    def __init__(self, folder: Path, programs: ExitStack) -> None:
        self._folder = folder
        self._programs = programs
        self._terminals: dict[str, Program] = {}
        self._pieces: list[str] = []
        self._link = ""
        self._count = 0
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
                program = self._start(command)
                self._compare(shown, program.printed.read().splitlines())
                program.end()

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
            self._terminals[terminal] = self._start(command)
        running = self._terminals[terminal]
        if lines == ["^C"]:
            running.interrupt()
            running.end()
        else:
            self._compare(lines, [running.printed.readline().rstrip("\n") for _ in lines])

    def _start(self, line: str) -> Program:
        folder, _, command = line.partition("$ ")
        said = command.replace(PORT, self._port).replace(LINK, self._link)
        at = self._folder / folder
        at.mkdir(exist_ok=True)
        self._count += 1
        pipe = self._folder / f"pipe-{self._count}"
        program = Program(shlex.split(said.removeprefix("python ")), at, pipe)
        self._programs.callback(program.discard)
        return program

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
